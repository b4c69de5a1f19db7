"""A TCP proxy in front of a real server that misbehaves when told to.

Everything can be switched at any time, for connections that stand as for new ones:

    latency                         proxy.replies.delay = 0.2
    slow trickle                    proxy.replies.pace = 0.05
    black hole                      proxy.silent = True
    one direction of it             proxy.replies.silent = True
    cut mid-reply                   proxy.replies.cut = Cut(after=100, ending="close")
    lost reply                      proxy.lose_reply_to = b"SET"; proxy.lost_reply_ending = "hang"
    reset on the next request       proxy.reset_at = b"SET"
    reset at once                   proxy.reset_connections()
    half-open                       proxy.forget_connections()
    reset new connections           proxy.door = "reset"
    taken by the backlog alone      proxy.door = "backlog"
    connection refused              proxy.door = "closed"
    all is well                     proxy.heal()
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from itertools import cycle
from typing import Literal, Self

from anyio.from_thread import start_blocking_portal

from tests.support.fault_line import Cut, Faults, Line, reset

__all__ = ["Cut", "FaultProxy", "ProxyThread"]

_BACKLOG = 1024
_PATIENCE = 60.0

Door = Literal["open", "reset", "backlog", "closed"]


class FaultProxy(Faults):
    """Forwards to `port` on loopback, or to each of several in turn; see above for what else it does.

    Attributes:
        port: where it listens; always the same.
        connections: how many were taken.
    """

    def __init__(self, port: int, *others: int) -> None:
        self._upstreams = cycle((port, *others))
        self._lines: dict[asyncio.Task[None], Line] = {}
        self._listening: socket.socket | None = None
        self.port = 0
        self.connections = 0
        super().__init__()

    async def __aenter__(self) -> Self:
        # Keeps the port while the door is closed: nobody else may get it, nor an outgoing connection be given it.
        self._holding = _bound(0)
        self.port = int(self._holding.getsockname()[1])
        self.door = "open"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.door = "closed"
        tasks = list(self._lines)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._holding.close()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def lead_to(self, *ports: int) -> None:
        """From now on new connections go there, in turn."""
        self._upstreams = cycle(ports)

    async def emptied(self) -> None:
        """Wait until all connections have been ended by their clients or servers."""
        async with asyncio.timeout(_PATIENCE):
            while self._lines:
                await asyncio.wait(list(self._lines))

    def heal(self) -> None:
        """From now on all is well; what was lost is lost."""
        super().heal()
        if self.port:
            self.door = "open"

    @property
    def door(self) -> Door:
        """What becomes of new connections: served, reset, left to the kernel's backlog, or refused."""
        return self._door

    @door.setter
    def door(self, door: Door) -> None:
        self._door: Door = door
        if self._listening is not None:
            asyncio.get_running_loop().remove_reader(self._listening)
        if door == "closed":
            self._close()
            return
        listening = self._listening or self._listen()
        if door != "backlog":
            asyncio.get_running_loop().add_reader(listening, self._accept, listening)

    def _listen(self) -> socket.socket:
        self._listening = _bound(self.port)
        self._listening.listen(_BACKLOG)
        self._listening.setblocking(False)
        return self._listening

    def _close(self) -> None:
        if self._listening is not None:
            self._listening.close()
            self._listening = None

    def _accept(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            client, _ = listening.accept()
            self.connections += 1
            if self._door == "reset":
                reset(client)
                return
            line = Line(client, self)
            task = asyncio.get_running_loop().create_task(line.run(next(self._upstreams)))
            self._lines[task] = line
            task.add_done_callback(lambda task: self._lines.pop(task).close())

    def reset_connections(self) -> None:
        """Reset all that stand."""
        for task in self._lines:
            task.cancel()

    def forget_connections(self) -> None:
        """Those that stand are dead from now on and nobody is told: bytes are taken and never answered."""
        for line in self._lines.values():
            line.dead = True


class ProxyThread:
    """A `FaultProxy` with an event loop of its own, for tests whose own loop stands still meanwhile."""

    def __init__(self, *ports: int, alter: Callable[[bytes], bytes] = bytes) -> None:
        self._proxy = FaultProxy(*ports)
        self._proxy.alter = alter
        self._running = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._portal = self._running.enter_context(start_blocking_portal())
        self._running.enter_context(self._portal.wrap_async_context_manager(self._proxy))
        self.port, self.url = self._proxy.port, self._proxy.url
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def tell(self, change: Callable[[FaultProxy], object]) -> None:
        """Change what it does, in its own loop."""
        self._portal.call(change, self._proxy)


def _bound(port: int) -> socket.socket:
    """A socket on a port that sockets of this kind share, as long as one of them listens at most."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    return bound
