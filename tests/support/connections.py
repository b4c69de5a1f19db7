"""Keep-alive connections to servers on loopback, as cheap as they can be, that tell how an answer was missed."""

import asyncio
import random
import resource
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx2

from tests.support.wire import Response, request_bytes

# Far beyond any promise: a request that takes so long hangs.
PATIENCE = 60.0

# uvicorn gives an idle connection up after 5 s; a request must not meet that.
_IDLE_SECONDS = 2.0

# Then another is made, so that every worker gets its share, new ones too.
_MOST_REQUESTS = 20

# Connections of a crowd that are made at the same time: less than a server's backlog.
_AT_ONCE = 500


class NotConnected(ConnectionError):
    """The server took no connection: it has not seen the request."""


class AnswerLost(ConnectionError):
    """The connection ended first: the server may have done its work."""


class Connection(asyncio.Protocol):
    """One connection, one request at a time.

    Attributes:
        requests: how many were sent.
    """

    def __init__(self) -> None:
        self.requests = 0
        self._used_at = time.monotonic()
        self._received = b""
        self._head = self._body = b""
        self._status: asyncio.Future[int] | None = None

    @classmethod
    async def to(cls, port: int) -> Self:
        try:
            return (await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port))[1]
        except OSError as error:
            raise NotConnected from error

    def connection_made(self, transport: Any) -> None:
        """Any: uvloop's transports are not asyncio's."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if end and len(body) >= int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]):
            self._received, self._head, self._body = b"", head, body
            if self._status is not None and not self._status.done():
                self._status.set_result(int(head.split(b" ", 2)[1]))

    def connection_lost(self, _: Exception | None) -> None:
        if self._status is not None and not self._status.done():
            self._status.set_exception(AnswerLost())

    def send(self, request: bytes) -> asyncio.Future[int]:
        """The status of the answer to come, or `AnswerLost`."""
        self.requests += 1
        self._status = asyncio.get_running_loop().create_future()
        if self._transport.is_closing():
            self.connection_lost(None)
        else:
            self._transport.write(request)
        return self._status

    async def exchange(self, request: bytes) -> Response:
        """The whole answer."""
        status = await self.send(request)
        self._used_at = time.monotonic()
        pairs = (line.partition(":") for line in self._head.decode("latin-1").split("\r\n")[1:])
        return Response(status, tuple((name.lower(), value.strip()) for name, _, value in pairs), self._body)

    def usable(self) -> bool:
        rested = time.monotonic() - self._used_at
        return not self._transport.is_closing() and self.requests < _MOST_REQUESTS and rested < _IDLE_SECONDS

    def close(self) -> None:
        self._transport.abort()


class Connections:
    """Those to one server, as many as there are requests at a time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[Connection] = []

    async def exchange(self, request: bytes) -> Response:
        """One request and its answer.

        Raises:
            NotConnected: nothing was sent.
            AnswerLost: it was sent, perhaps.
            TimeoutError: it hangs.
        """
        connection = None
        try:
            async with asyncio.timeout(PATIENCE):
                connection = self._one_at_rest() or await Connection.to(self._port)
                response = await connection.exchange(request)
        except BaseException:
            if connection is not None:
                connection.close()
            raise
        if connection.usable() and response.one("connection") != "close":
            self._idle.append(connection)
        else:
            connection.close()
        return response

    def _one_at_rest(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop(random.randrange(len(self._idle)))
            if connection.usable():
                return connection
            connection.close()
        return None

    def close(self) -> None:
        for connection in self._idle:
            connection.close()


class Http:
    """As much of an HTTP client as is asked for here: a whole one needs four times as long for a request."""

    def __init__(self) -> None:
        self._servers: dict[int, Connections] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for connections in self._servers.values():
            connections.close()

    async def get(self, url: str, *, headers: Mapping[str, str] = MappingProxyType({})) -> httpx2.Response:
        """Raises as `Connections.exchange` does."""
        parts = urlsplit(url)
        assert parts.scheme == "http"
        assert parts.port is not None
        connections = self._servers.setdefault(parts.port, Connections(parts.port))
        response = await connections.exchange(request_for(parts.path or "/", parts.port, headers))
        return httpx2.Response(response.status, headers=list(response.fields), content=response.body)


class Crowd:
    """So many connections to one server that all ask at the same time."""

    def __init__(self, port: int, size: int) -> None:
        self._port = port
        self._size = size
        self.connections: list[Connection] = []

    async def __aenter__(self) -> Self:
        while (missing := self._size - len(self.connections)) > 0:
            made = (Connection.to(self._port) for _ in range(min(missing, _AT_ONCE)))
            self.connections += await asyncio.gather(*made)
        return self

    async def __aexit__(self, *_: object) -> None:
        for connection in self.connections:
            connection.close()

    async def ask(self, requests: Iterable[bytes]) -> Counter[int]:
        """One request on each connection, all of them before any answer is read: how many got which status."""
        pairs = zip(self.connections, requests, strict=True)
        return Counter(await asyncio.gather(*(connection.send(request) for connection, request in pairs)))

    async def go_on(self, request: bytes, *, until: asyncio.Event) -> Counter[int]:
        """Ask again as soon as there is an answer, until the event."""
        seen: Counter[int] = Counter()

        async def go_on(connection: Connection) -> None:
            while not until.is_set():
                seen[await connection.send(request)] += 1

        await asyncio.gather(*(go_on(connection) for connection in self.connections))
        return seen


def request_for(path: str, port: int, fields: Mapping[str, str]) -> bytes:
    """A GET as it goes over the wire."""
    return request_bytes("GET", path, [("Host", f"127.0.0.1:{port}"), *fields.items()])


def allow_files(wanted: int) -> int:
    """Let this process, and those that it starts from now on, have so many files open; gives how many they may."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = max(now, wanted if most == resource.RLIM_INFINITY else min(wanted, most))
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, most))
    return allowed
