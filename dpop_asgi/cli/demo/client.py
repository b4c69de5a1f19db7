"""Sends requests over real sockets, and records the responses."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import responses
from urllib.parse import urlsplit

import httpx2
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.http11 import Response
from websockets.sync.client import connect

from dpop_asgi.cli.demo.servers import CannotRun, ExampleServer

_TIMEOUT_SECONDS = 10.0
_SWITCHING_PROTOCOLS = 101
_ERROR = re.compile(r'error="([^"]+)"')


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchange:
    """A request and its response.

    Attributes:
        request_line: the request line without the HTTP version.
        sent: the request headers that matter, and the body.
        sent_at: seconds since the epoch.
        status: the response's status.
        received: its headers, names in lower case.
        content: its body, or what the WebSocket sent back.
        milliseconds: from connecting until the response was complete.
        log: what the server logged about a rejection; `None` if it accepted the request.
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
        """The status's reason phrase."""
        return responses.get(self.status, "")

    @property
    def reason(self) -> str | None:
        """The reason of the rejection: the first word of the log."""
        return None if self.log is None else self.log.split()[0].rstrip(":")

    @property
    def error(self) -> str | None:
        """The OAuth error code of the challenge."""
        code = _ERROR.search(self.received.get("www-authenticate", ""))
        return code[1] if code else None

    @property
    def nonce(self) -> str | None:
        """The nonce that the server issued."""
        return self.received.get("dpop-nonce")


@dataclass(frozen=True, slots=True)
class _Received:
    status: int
    received: dict[str, str]
    content: str


class DemoClient:
    """Sends requests to one server.

    Args:
        server: the server; its log is read for the reasons of rejections.
    """

    def __init__(self, server: ExampleServer) -> None:
        self._server = server
        # No keep-alive: the server may close a connection while the demo waits for a nonce to rotate.
        limits = httpx2.Limits(max_keepalive_connections=0)
        self._http = httpx2.Client(trust_env=False, timeout=_TIMEOUT_SECONDS, limits=limits)

    def get(self, path: str, headers: Mapping[str, str]) -> Exchange:
        """Send `GET path`.

        Raises:
            CannotRun: If there is no response.
        """
        return self._timed(f"GET {path}", headers, lambda: self._request("GET", self._server.url + path, headers))

    def echo(self, path: str, headers: Mapping[str, str]) -> Exchange:
        """Open a WebSocket, send hello and receive the echo. A rejected handshake is a response, too.

        Raises:
            CannotRun: If there is no response.
        """
        return self._timed(f"GET {path}", {"Upgrade": "websocket", **headers}, lambda: self._hello(path, headers))

    def post(self, url: str, headers: Mapping[str, str], form: Mapping[str, str]) -> Exchange:
        """Send a form to another server.

        Raises:
            CannotRun: If there is no response.
        """
        sent = {**headers, "Body": "  ".join(f"{name}={value}" for name, value in form.items())}
        return self._timed(f"POST {urlsplit(url).path}", sent, lambda: self._request("POST", url, headers, data=form))

    def _timed(self, request_line: str, sent: Mapping[str, str], send: Callable[[], _Received]) -> Exchange:
        self._server.news()
        sent_at, start = time.time(), time.perf_counter()
        try:
            response = send()
        except (httpx2.HTTPError, WebSocketException, OSError) as error:
            self._server.check()
            msg = f"There is no response to {request_line}: {type(error).__name__}: {error}"
            raise CannotRun(msg) from error
        return Exchange(
            request_line=request_line,
            sent=sent,
            sent_at=sent_at,
            status=response.status,
            received=response.received,
            content=response.content,
            milliseconds=(time.perf_counter() - start) * 1000,
            log=self._server.rejection(),
        )

    def _request(
        self, method: str, url: str, headers: Mapping[str, str], data: Mapping[str, str] | None = None
    ) -> _Received:
        response = self._http.request(method, url, headers=dict(headers), data=data)
        return _Received(response.status_code, dict(response.headers), response.text)

    def _hello(self, path: str, headers: Mapping[str, str]) -> _Received:
        url = self._server.url.replace("http:", "ws:", 1) + path
        try:
            with connect(url, additional_headers=dict(headers), proxy=None, open_timeout=_TIMEOUT_SECONDS) as socket:
                socket.send("hello")
                return _Received(_SWITCHING_PROTOCOLS, _lower(socket.response), str(socket.recv(_TIMEOUT_SECONDS)))
        except InvalidStatus as rejected:
            return _Received(rejected.response.status_code, _lower(rejected.response), "")


def _lower(response: Response | None) -> dict[str, str]:
    return {} if response is None else {name.lower(): value for name, value in response.headers.raw_items()}
