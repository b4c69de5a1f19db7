"""Many connections to one server that all ask at the same time, as cheap as they can be."""

import asyncio
import resource
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Self

from tests.support.wire import request_bytes

# Far beyond any promise: a request that takes so long hangs. A crowd waits for its turn on a busy machine.
_PATIENCE = 300.0

# Less than a server's backlog.
_AT_ONCE = 500


def allow_files(wanted: int) -> int:
    """Let this process, and those that it starts from now on, have so many files open; gives how many they may."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = max(now, wanted if most == resource.RLIM_INFINITY else min(wanted, most))
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, most))
    return allowed


class Connection(asyncio.Protocol):
    """One keep-alive connection, one request at a time."""

    def __init__(self) -> None:
        self._received = b""
        self._status: asyncio.Future[int] | None = None

    def connection_made(self, transport: Any) -> None:
        """Any: uvloop's transports are not asyncio's."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if end and len(body) >= int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]):
            self._received = b""
            if self._status is not None and not self._status.done():
                self._status.set_result(int(head.split(b" ", 2)[1]))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._status is not None and not self._status.done():
            self._status.set_exception(exc or ConnectionError("the server closed the connection"))

    def send(self, request: bytes) -> asyncio.Future[int]:
        """The status of the answer to come."""
        self._status = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._status

    async def ask(self, request: bytes) -> int:
        """The status of the answer."""
        async with asyncio.timeout(_PATIENCE):
            return await self.send(request)

    def close(self) -> None:
        self._transport.abort()


class Crowd:
    """So many connections to a server on loopback."""

    def __init__(self, port: int, size: int) -> None:
        self._port = port
        self._size = size
        self.connections: list[Connection] = []

    async def __aenter__(self) -> Self:
        while (missing := self._size - len(self.connections)) > 0:
            self.connections += await asyncio.gather(*(self._connect() for _ in range(min(missing, _AT_ONCE))))
        return self

    async def _connect(self) -> Connection:
        return (await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", self._port))[1]

    async def __aexit__(self, *_: object) -> None:
        for connection in self.connections:
            connection.close()

    async def ask(self, requests: Iterable[bytes]) -> Counter[int]:
        """One request on each connection, all of them before any answer is read: how many got which status."""
        pairs = zip(self.connections, requests, strict=True)
        return Counter(await asyncio.gather(*(connection.ask(request) for connection, request in pairs)))

    async def go_on(self, request: bytes, *, until: asyncio.Event) -> Counter[int]:
        """Ask again as soon as there is an answer, until the event."""
        seen: Counter[int] = Counter()

        async def go_on(connection: Connection) -> None:
            while not until.is_set():
                seen[await connection.ask(request)] += 1

        await asyncio.gather(*(go_on(connection) for connection in self.connections))
        return seen


def request_for(path: str, port: int, fields: Mapping[str, str]) -> bytes:
    """A GET as it goes over the wire."""
    return request_bytes("GET", path, [("Host", f"127.0.0.1:{port}"), *fields.items()])
