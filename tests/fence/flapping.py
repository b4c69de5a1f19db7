"""A TCP proxy that gives each new connection to another server than the one before."""

import asyncio
import contextlib
import itertools
import re
import threading
from collections.abc import Sequence
from typing import Self

from tests.support.processes import PATIENCE

_IDENTITY = re.compile(rb"\b(run_id|master_replid):[0-9a-f]{40}")
_CHUNK = 65536


class FlappingProxy:
    """In an event loop of its own, like a program of its own.

    Args:
        ports: of the servers behind it, on loopback.
        faces: that each server shows in turn, as `INFO` identifies it; `None` for the one that it has.
    """

    def __init__(self, *ports: int, faces: Sequence[bytes | None] = (None,)) -> None:
        self._behind = itertools.cycle(itertools.product(ports, faces))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._connections: set[asyncio.Task[None]] = set()
        self.port = 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> Self:
        self._thread.start()
        starting = asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result(PATIENCE)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    async def _stop(self) -> None:
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        this = asyncio.current_task()
        assert this is not None
        self._connections.add(this)
        this.add_done_callback(self._connections.discard)
        port, face = next(self._behind)
        with contextlib.suppress(OSError), contextlib.closing(writer):
            back, forth = await asyncio.open_connection("127.0.0.1", port)
            with contextlib.closing(forth):
                ways = asyncio.create_task(_pump(reader, forth, None)), asyncio.create_task(_pump(back, writer, face))
                try:
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for way in ways:
                        way.cancel()
                    await asyncio.gather(*ways, return_exceptions=True)


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter, face: bytes | None) -> None:
    while data := await source.read(_CHUNK):
        target.write(data if face is None else _IDENTITY.sub(rb"\1:" + face, data))
        await target.drain()
