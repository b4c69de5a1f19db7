"""Keep-alive connections to one server, as cheap as they can be, that tell how an answer was missed."""

import asyncio
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Self
from urllib.parse import urlsplit

import httpx2

from tests.support.wire import Response, request_bytes

# Far beyond any promise: a request that takes so long hangs.
PATIENCE = 60.0

# uvicorn gives an idle connection up after 5 s; a request must not meet that.
_IDLE_SECONDS = 2.0

# Then another is made, so that every worker gets its share, new ones too.
_MOST_REQUESTS = 20


class NotConnected(ConnectionError):
    """The server took no connection: it has not seen the request."""


class AnswerLost(ConnectionError):
    """The connection ended first: the server may have done its work."""


@dataclass(slots=True)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    requests: int = 0
    used_at: float = field(default_factory=time.monotonic)

    @classmethod
    async def to(cls, port: int) -> Self:
        try:
            return cls(*await asyncio.open_connection("127.0.0.1", port))
        except OSError as error:
            raise NotConnected from error

    async def exchange(self, request: bytes) -> Response:
        self.requests += 1
        self.writer.write(request)
        try:
            status, fields = _head(await self.reader.readuntil(b"\r\n\r\n"))
            length = next(int(value) for name, value in fields if name == "content-length")
            body = await self.reader.readexactly(length)
        except (EOFError, OSError) as error:
            raise AnswerLost from error
        self.used_at = time.monotonic()
        return Response(status, fields, body)

    def usable(self) -> bool:
        rested = time.monotonic() - self.used_at
        ended = self.reader.at_eof() or self.reader.exception() is not None or self.writer.is_closing()
        return not ended and self.requests < _MOST_REQUESTS and rested < _IDLE_SECONDS


def _head(raw: bytes) -> tuple[int, tuple[tuple[str, str], ...]]:
    first, *lines = raw.decode("latin-1").rstrip("\r\n").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return int(first.split(" ")[1]), tuple((name.lower(), value.strip()) for name, _, value in pairs)


class Connections:
    """Those to one server, as many as there are requests at a time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[_Connection] = []

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
                connection = self._one_at_rest() or await _Connection.to(self._port)
                response = await connection.exchange(request)
        except BaseException:
            if connection is not None:
                connection.writer.transport.abort()
            raise
        self._put_back(connection, response)
        return response

    def _one_at_rest(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop(random.randrange(len(self._idle)))
            if connection.usable():
                return connection
            connection.writer.close()
        return None

    def _put_back(self, connection: _Connection, response: Response) -> None:
        if connection.usable() and response.one("connection") != "close":
            self._idle.append(connection)
        else:
            connection.writer.close()

    def close(self) -> None:
        for connection in self._idle:
            connection.writer.close()


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
        request = request_bytes("GET", parts.path or "/", [("Host", parts.netloc), *headers.items()])
        response = await connections.exchange(request)
        return httpx2.Response(response.status, headers=list(response.fields), content=response.body)
