"""One connection through a proxy, and what can befall its bytes in either direction."""

import asyncio
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

_CHUNK = 65536

Ending = Literal["reset", "close", "hang"]


@dataclass(frozen=True, eq=False)
class Cut:
    """On each connection so many bytes pass from now on, then it ends: by RST, by FIN, or in silence for good."""

    after: int = 0
    ending: Ending = "reset"


@dataclass
class Way:
    """One direction.

    Attributes:
        delay: seconds by which bytes are late; what comes meanwhile may be late by twice as much.
        pace: seconds between one byte and the next.
        silent: bytes are swallowed, and that the sender has gone is not told.
        cut: when connections end, and how.
    """

    delay: float = 0.0
    pace: float = 0.0
    silent: bool = False
    cut: Cut | None = None


class Faults:
    """What befalls the connections of one proxy.

    Attributes:
        requests: the direction to the server.
        replies: the direction to the client.
        lose_reply_to: the next request with these bytes reaches the server, its reply is lost; once.
        lost_reply_ending: what the connection comes to then.
        reset_at: the next request with these bytes does not reach the server, and its connection is reset; once.
        replies_lost: how many.
        alter: what becomes of the bytes of replies, also while all is well.
    """

    def __init__(self) -> None:
        self.replies_lost = 0
        self.alter: Callable[[bytes], bytes] = bytes
        self.heal()

    def heal(self) -> None:
        """From now on all is well; what was lost is lost."""
        self.requests = Way()
        self.replies = Way()
        self.lose_reply_to: bytes | None = None
        self.lost_reply_ending: Ending = "reset"
        self.reset_at: bytes | None = None

    @property
    def silent(self) -> bool:
        """Whether everything is swallowed in both directions without closing: a host that is gone."""
        return self.requests.silent and self.replies.silent

    @silent.setter
    def silent(self, silent: bool) -> None:
        self.requests.silent = self.replies.silent = silent

    def is_due(self, fault: Literal["reset_at", "lose_reply_to"], data: bytes) -> bool:
        """Whether these bytes are those that it waits for; once."""
        sought: bytes | None = getattr(self, fault)
        due = sought is not None and sought in data
        if due:
            setattr(self, fault, None)
        return due


class Line:
    """One connection of a client, and the one to the server that belongs to it.

    Attributes:
        dead: bytes are taken and never answered, in both directions.
    """

    def __init__(self, client: socket.socket, faults: Faults) -> None:
        self.dead = False
        self._faults = faults
        self._client = client
        self._server = socket.socket()
        self._loses_reply = False
        for end in (self._client, self._server):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def run(self, port: int) -> None:
        try:
            await self._connect(port)
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self._requests())
                ways.create_task(self._replies())
        except* OSError:
            pass

    def close(self) -> None:
        """Whatever ended it, nothing lingers."""
        reset(self._client)
        reset(self._server)

    async def _connect(self, port: int) -> None:
        try:
            await asyncio.get_running_loop().sock_connect(self._server, ("127.0.0.1", port))
        except OSError:
            if not self._faults.silent:
                raise
            self.dead = True

    async def _requests(self) -> None:
        way = _Forwarder(self, self._client, self._server)
        while data := await way.receive():
            if self._faults.is_due("reset_at", data):
                raise ConnectionResetError
            self._loses_reply = self._loses_reply or self._faults.is_due("lose_reply_to", data)
            await way.forward(data, self._faults.requests)
        if not way.tell_the_end(self._faults.requests):
            raise ConnectionResetError

    async def _replies(self) -> None:
        if self.dead:
            return
        way = _Forwarder(self, self._server, self._client)
        while data := await way.receive():
            if self._loses_reply:
                self._loses_reply = False
                self._faults.replies_lost += 1
                way.end(self._faults.lost_reply_ending)
            await way.forward(self._faults.alter(data), self._faults.replies)
        way.tell_the_end(self._faults.replies)


class _Forwarder:
    """The bytes of one direction of one connection."""

    def __init__(self, line: Line, source: socket.socket, target: socket.socket) -> None:
        self._line = line
        self._source = source
        self._target = target
        self._ended = False
        self._cut: Cut | None = None
        self._left = 0

    async def receive(self) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self._source, _CHUNK)

    async def forward(self, data: bytes, way: Way) -> None:
        await asyncio.sleep(way.delay)
        if self._is_mute(way):
            return
        if way.cut is not self._cut:
            self._cut, self._left = way.cut, way.cut.after if way.cut else 0
        if self._cut is None:
            await self._send(data, way)
            return
        await self._send(data[: self._left], way)
        self._left = max(0, self._left - len(data))
        if not self._left:
            self.end(self._cut.ending)

    async def _send(self, data: bytes, way: Way) -> None:
        size = 1 if way.pace else _CHUNK
        for start in range(0, len(data), size):
            await asyncio.sleep(way.pace)
            await asyncio.get_running_loop().sock_sendall(self._target, data[start : start + size])

    def end(self, ending: Ending) -> None:
        if ending == "reset":
            raise ConnectionResetError
        if ending == "close":
            self._target.shutdown(socket.SHUT_WR)
        self._ended = True

    def tell_the_end(self, way: Way) -> bool:
        """Pass on that the sender has closed, where the faults let it through."""
        told = not self._is_mute(way)
        if told:
            self._target.shutdown(socket.SHUT_WR)
        return told

    def _is_mute(self, way: Way) -> bool:
        return self._ended or self._line.dead or way.silent


def reset(connection: socket.socket) -> None:
    """Close by RST: nothing waits for it to linger."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
