"""One request and its answer, over a real socket, kept for showing."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import responses

import httpx2
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.http11 import Response
from websockets.sync.client import connect

from dpop_asgi.cli.demo.servers import CannotRun, ExampleServer

_PATIENCE_SECONDS = 10.0
_SWITCHING_PROTOCOLS = 101
_ERROR = re.compile(r'error="([^"]+)"')


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchange:
    """What was sent, and what came back.

    Attributes:
        request_line: without the HTTP version.
        sent: the header fields that matter.
        sent_at: seconds since the epoch.
        status: of the answer.
        received: its header fields, names in lower case.
        content: its body, or what the WebSocket sent back.
        milliseconds: from connecting to the whole answer.
        log: what the server wrote to its log about a refusal; `None` when it accepted.
    """

    request_line: str
    sent: Mapping[str, str] = field(repr=False)
    sent_at: float
    status: int
    received: Mapping[str, str] = field(repr=False)
    content: str
    milliseconds: float
    log: str | None

    @property
    def phrase(self) -> str:
        """Of the status."""
        return responses.get(self.status, "")

    @property
    def reason(self) -> str | None:
        """Of the refusal: the first word of the log."""
        return None if self.log is None else self.log.split()[0].rstrip(":")

    @property
    def error(self) -> str | None:
        """The OAuth error code of the challenge."""
        code = _ERROR.search(self.received.get("www-authenticate", ""))
        return code[1] if code else None

    @property
    def nonce(self) -> str | None:
        """The nonce that the server handed out."""
        return self.received.get("dpop-nonce")


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    received: dict[str, str]
    content: str


class DemoClient:
    """Talks to one server.

    Args:
        server: which; its log is read for the reasons of its refusals.
    """

    def __init__(self, server: ExampleServer) -> None:
        self._server = server
        # Without kept connections: the server may close one while the demo waits for a nonce to rotate.
        limits = httpx2.Limits(max_keepalive_connections=0)
        self._http = httpx2.Client(trust_env=False, timeout=_PATIENCE_SECONDS, limits=limits)

    def get(self, path: str, headers: Mapping[str, str]) -> Exchange:
        """`GET path`.

        Raises:
            CannotRun: no answer.
        """
        return self._timed(path, headers, websocket=False)

    def echo(self, path: str, headers: Mapping[str, str]) -> Exchange:
        """Open a WebSocket, say hello, take the echo; a refused handshake is an answer too.

        Raises:
            CannotRun: no answer.
        """
        return self._timed(path, headers, websocket=True)

    def _timed(self, path: str, headers: Mapping[str, str], *, websocket: bool) -> Exchange:
        self._server.news()
        sent_at, start = time.time(), time.perf_counter()
        try:
            reply = self._hello(path, headers) if websocket else self._request(path, headers)
        except (httpx2.HTTPError, WebSocketException, OSError) as error:
            self._server.check()
            msg = f"The resource server does not answer: {type(error).__name__}: {error}"
            raise CannotRun(msg) from error
        return Exchange(
            request_line=f"GET {path}",
            sent={"Upgrade": "websocket", **headers} if websocket else headers,
            sent_at=sent_at,
            status=reply.status,
            received=reply.received,
            content=reply.content,
            milliseconds=(time.perf_counter() - start) * 1000,
            log=self._server.refusal(),
        )

    def _request(self, path: str, headers: Mapping[str, str]) -> _Reply:
        response = self._http.get(self._server.url + path, headers=dict(headers))
        return _Reply(response.status_code, dict(response.headers), response.text)

    def _hello(self, path: str, headers: Mapping[str, str]) -> _Reply:
        url = self._server.url.replace("http:", "ws:", 1) + path
        try:
            with connect(url, additional_headers=dict(headers), proxy=None, open_timeout=_PATIENCE_SECONDS) as socket:
                socket.send("hello")
                return _Reply(_SWITCHING_PROTOCOLS, _lower(socket.response), str(socket.recv(_PATIENCE_SECONDS)))
        except InvalidStatus as refused:
            return _Reply(refused.response.status_code, _lower(refused.response), "")


def _lower(response: Response | None) -> dict[str, str]:
    return {} if response is None else {name.lower(): value for name, value in response.headers.raw_items()}
