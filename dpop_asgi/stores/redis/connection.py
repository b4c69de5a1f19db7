"""Sends pipelines over one of redis-py's connections."""

import math
import time
from collections.abc import Awaitable, Callable
from typing import Any

from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection, Connection
from redis.exceptions import (
    AskError,
    AuthenticationError,
    BusyLoadingError,
    MovedError,
    ReadOnlyError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError

from dpop_asgi.stores.redis.incarnation import IDENTITY, Incarnations, Reply

Command = tuple[str | int, ...]

# What writing to a dead connection raises: uvloop raises RuntimeError for a closed one, and asyncio's own loop in
# Python 3.12 and 3.13 AttributeError, from its `writelines`.
CONNECTION_ERRORS = (RedisConnectionError, OSError, RuntimeError, AttributeError)


# A flushed server keeps its connections, but notifies those with key tracking on before it replies to their next
# command. Where tracking isn't allowed, IDENTITY shows the flush.
_TRACK_FLUSHES: tuple[Command, ...] = (("HELLO", 3), ("CLIENT", "TRACKING", "ON"))

# How old the last reply to IDENTITY may be. A master can be demoted, synchronised and promoted again under one
# connection, but not this fast. More frequent checks would cost more than the commands themselves.
_IDENTITY_SECONDS = 0.1


class RedisConnection:
    """Holds one connection: taking one from the pool for each pipeline would be more expensive than the commands.

    Args:
        acquire: takes a connection from redis-py's pool.
        release: returns it.
        owned: whether to close it before it is returned; a custom client's pool gets it back open.
        fence: whether to find out which incarnation of the server replies.
    """

    def __init__(
        self,
        acquire: Callable[[], Awaitable[AbstractConnection]],
        release: Callable[[AbstractConnection], Awaitable[None]],
        *,
        owned: bool,
        fence: bool = False,
    ) -> None:
        self._acquire = acquire
        self._release = release
        self._owned = owned
        self._connection: AbstractConnection | None = None
        self._is_outdated = False
        self._is_new = True
        self._was_flushed = False
        self._checked_at = -math.inf
        self.incarnations: Incarnations = Incarnations()
        if not fence:
            self.incarnations.off = "not wanted"

    @property
    def address(self) -> tuple[str, int] | None:
        """The host and port that it is connected to."""
        connection = self._connection
        if not isinstance(connection, Connection) or not connection.is_connected:
            return None
        return connection.host, connection.port

    def renew(self) -> None:
        """Reconnect for the next pipeline; the one in flight completes."""
        self._is_outdated = True

    def recheck_identity(self) -> None:
        """Have the next pipeline find out which incarnation replies."""
        self._checked_at = -math.inf

    async def exchange(self, commands: list[Command]) -> list[Any]:
        """A `Reply` for each command, in order; for a command that failed, its exception.

        A connection that died while idle, or whose server was demoted, fails only when it is used, so there is one
        retry. It is safe: the value in the command tells this store's own write from another's.
        """
        replies: list[Any] | None = None
        try:
            replies = await self._attempt(commands)
        except CONNECTION_ERRORS as error:
            if isinstance(error, (AuthenticationError, BusyLoadingError)):
                raise
        # Outside of `except`, where an error of this attempt would get the previous one as its context.
        if replies is None or any(isinstance(reply, ReadOnlyError) for reply in replies):
            await self.disconnect()
            return await self._attempt(commands)
        return replies

    async def _attempt(self, commands: list[Command]) -> list[Any]:
        try:
            connection = await self._connected()
            now = time.monotonic()
            first, last = self._identity_checks(now)
            replies = await _exchange(connection, [*first, *commands, *last])
            if first:
                self.incarnations.note(replies[len(first) - 1])
            before = self.incarnations.current
            if last:
                self.incarnations.note(replies[-1])
            if self._was_flushed:
                self._was_flushed = False
                self.incarnations.note(*await _exchange(connection, [IDENTITY]))
        except BaseException:
            # Replies may still arrive, and must not be read as replies to other commands.
            await self.disconnect()
            raise
        if first or last:
            self._is_new, self._checked_at = False, now
        after, is_fenced = self.incarnations.current, self.incarnations.off is None
        found = replies[len(first) : len(replies) - len(last)]
        return [reply if isinstance(reply, Exception) else Reply(reply, before, after, is_fenced) for reply in found]

    async def _connected(self) -> AbstractConnection:
        if self._is_outdated:
            await self.disconnect()
            self._is_outdated = False
        if self._connection is None:
            self._connection = await self._acquire()
            self._is_new = True
        # `send_packed_command` would reconnect too, but without asking the Sentinels for the master's new address.
        if not self._connection.is_connected:
            await self._connection.connect()  # type: ignore[no-untyped-call]
            self._is_new = True
        return self._connection

    def _identity_checks(self, now: float) -> tuple[tuple[Command, ...], tuple[Command, ...]]:
        """What to send before and after the commands, in the same pipeline, so that it costs no round trip.

        Before them on a new connection; after them if the last reply to IDENTITY is too old.
        """
        if self.incarnations.off is not None:
            return (), ()
        if self._is_new:
            return (*self._track_flushes(), IDENTITY), ()
        return (), (IDENTITY,) if now - self._checked_at > _IDENTITY_SECONDS else ()

    def _track_flushes(self) -> tuple[Command, ...]:
        """Have the server report flushes, except on a connection that goes back to a custom client's pool."""
        self._was_flushed = False
        set_handler = getattr(getattr(self._connection, "_parser", None), "set_invalidation_push_handler", None)
        if not self._owned or set_handler is None:
            return ()
        set_handler(self._note_flush)
        return _TRACK_FLUSHES

    async def _note_flush(self, message: list[Any]) -> None:
        # Without keys the message is about a flush.
        self._was_flushed = self._was_flushed or message[1] is None

    async def disconnect(self) -> None:
        """Disconnect; the next pipeline reconnects."""
        if self._connection is not None:
            await self._connection.disconnect(nowait=True)

    async def aclose(self) -> None:
        """Return the connection."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._owned:
            await connection.disconnect()
        await self._release(connection)


async def _exchange(connection: AbstractConnection, commands: list[Command]) -> list[Any]:
    parts = [part for command in commands for part in _parts(command)]
    # Packed here, since the connection's own packer is pure Python, and slow.
    packed = b"".join([pack_command(part) for part in parts])  # type: ignore[arg-type]  # of any length
    await connection.send_packed_command(packed, check_health=False)
    return _by_command(commands, await _replies(connection, len(parts)))


def _parts(command: Command) -> tuple[Command, ...]:
    """`ASKING` is a command of its own, sent before the one that it applies to."""
    return (command[:1], command[1:]) if command[0] == "ASKING" else (command,)


def _by_command(commands: list[Command], replies: list[Any]) -> list[Any]:
    if len(replies) == len(commands):
        return replies
    found, rest = [], iter(replies)
    for command in commands:
        reply = next(rest)
        if command[0] == "ASKING":
            second = next(rest)
            reply = reply if isinstance(reply, Exception) else second
        found.append(reply)
    return found


async def _replies(connection: AbstractConnection, count: int) -> list[Any]:
    replies: list[Any] = []
    while len(replies) < count:
        try:
            replies.append(await connection.read_response(disable_decoding=True))
        except ResponseError as error:
            replies.append(error)
    return replies


def is_redirection(reply: object) -> bool:
    """Whether another node of the cluster has the key: the node that replied is healthy."""
    return isinstance(reply, (MovedError, AskError))
