"""A TCP proxy in front of a real server that misbehaves when told to."""

import asyncio
import contextlib
import socket
import struct
from typing import Self

_CHUNK = 65536


class FaultProxy:
    """Forwards to `port` on loopback, and counts connections.

    Set `silent` to swallow everything in both directions without closing: a host that is gone. Set `lose_reply_to` to
    some bytes: the next request with them reaches the server, its reply is lost and the connection is reset, once.
    """

    def __init__(self, port: int) -> None:
        self._upstream = port
        self._connections: set[asyncio.Task[None]] = set()
        self.silent = False
        self.lose_reply_to: bytes | None = None
        self.replies_lost = 0
        self.connections = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        upstream, server = await asyncio.open_connection("127.0.0.1", self._upstream)
        doomed = asyncio.Event()
        pumps = [
            asyncio.create_task(self._requests(reader, server, doomed)),
            asyncio.create_task(self._replies(upstream, writer, doomed)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            _end(server)
            _end(writer)
            self._connections.discard(task)

    async def _requests(
        self, client: asyncio.StreamReader, server: asyncio.StreamWriter, doomed: asyncio.Event
    ) -> None:
        while data := await client.read(_CHUNK):
            if self.silent:
                continue
            if self.lose_reply_to is not None and self.lose_reply_to in data:
                self.lose_reply_to = None
                doomed.set()
            server.write(data)

    async def _replies(self, server: asyncio.StreamReader, client: asyncio.StreamWriter, doomed: asyncio.Event) -> None:
        while data := await server.read(_CHUNK):
            if doomed.is_set():
                self.replies_lost += 1
                return
            if not self.silent:
                client.write(data)


def _end(writer: asyncio.StreamWriter) -> None:
    """Reset, so that nothing waits for a connection to linger."""
    connection = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
