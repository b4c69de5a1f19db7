"""Pipelines over one connection of redis-py."""

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

# How a dead connection shows itself: uvloop tells of a closed one by a RuntimeError, asyncio's own loop of Python
# 3.12 and 3.13 by an AttributeError of its `writelines`.
CONNECTION_ERRORS = (RedisConnectionError, OSError, RuntimeError, AttributeError)


# A server that is emptied keeps its connections, but tells those that track keys (any at all) of it before it answers
# their next command. Where that is not allowed the flush shows in IDENTITY.
_HEAR_OF_FLUSHES: tuple[Command, ...] = (("HELLO", 3), ("CLIENT", "TRACKING", "ON"))

# How old the last answer to IDENTITY may be: a master can be demoted, synchronised and promoted again under one
# connection, but not within this. Asked more often it would cost more than the commands themselves.
_IDENTITY_SECONDS = 0.1


class RedisConnection:
    """Holds one connection: to take it from the pool for each pipeline would cost as much as three commands.

    Args:
        acquire: takes a connection from redis-py's pool.
        release: gives it back.
        ours: whether to end it when it is given back; a user's pool gets it as it is.
        fence: whether to find out which incarnation of the server answers.
    """

    def __init__(
        self,
        acquire: Callable[[], Awaitable[AbstractConnection]],
        release: Callable[[AbstractConnection], Awaitable[None]],
        *,
        ours: bool,
        fence: bool = False,
    ) -> None:
        self._acquire = acquire
        self._release = release
        self._ours = ours
        self._connection: AbstractConnection | None = None
        self._is_outdated = False
        self._is_new = True
        self._is_emptied = False
        self._asked_at = -math.inf
        self.incarnations: Incarnations = Incarnations()
        if not fence:
            self.incarnations.off = "not wanted"

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port that it is connected to."""
        connection = self._connection
        if not isinstance(connection, Connection) or not connection.is_connected:
            return None
        return connection.host, connection.port

    def renew(self) -> None:
        """Connect anew for the next pipeline; the one under way is brought to its end."""
        self._is_outdated = True

    def ask_again(self) -> None:
        """Have the next pipeline find out which incarnation answers."""
        self._asked_at = -math.inf

    async def exchange(self, commands: list[Command]) -> list[Any]:
        """A `Reply` for each command, in order; a refusal of a single command stands in its place as an exception.

        A second try is safe, since the value in our command tells our own write from another's. There is one: a
        connection that died while idle, or whose server was demoted, shows itself only when it is used.
        """
        replies: list[Any] | None = None
        try:
            replies = await self._attempt(commands)
        except CONNECTION_ERRORS as error:
            if isinstance(error, (AuthenticationError, BusyLoadingError)):
                raise
        # Not within `except`: the cause of this attempt's failure would be lost to the one before.
        if replies is None or any(isinstance(reply, ReadOnlyError) for reply in replies):
            await self.disconnect()
            return await self._attempt(commands)
        return replies

    async def _attempt(self, commands: list[Command]) -> list[Any]:
        try:
            connection = await self._connected()
            now = time.monotonic()
            first, last = self._questions(now)
            answers = await _ask(connection, [*first, *commands, *last])
            if first:
                self.incarnations.note(answers[len(first) - 1])
            before = self.incarnations.current
            if last:
                self.incarnations.note(answers[-1])
            if self._is_emptied:
                self._is_emptied = False
                self.incarnations.note(*await _ask(connection, [IDENTITY]))
        except BaseException:
            # What was asked may still be answered: nobody must read that as the answer to something else.
            await self.disconnect()
            raise
        if first or last:
            self._is_new, self._asked_at = False, now
        after, found = self.incarnations.current, answers[len(first) : len(answers) - len(last)]
        return [answer if isinstance(answer, Exception) else Reply(answer, before, after) for answer in found]

    async def _connected(self) -> AbstractConnection:
        if self._is_outdated:
            await self.disconnect()
            self._is_outdated = False
        if self._connection is None:
            self._connection = await self._acquire()
            self._is_new = True
        # Not left to `send_packed_command`: it would not ask the Sentinels for the master's new address.
        if not self._connection.is_connected:
            await self._connection.connect()  # type: ignore[no-untyped-call]
            self._is_new = True
        return self._connection

    def _questions(self, now: float) -> tuple[tuple[Command, ...], tuple[Command, ...]]:
        """What is asked before and after the commands, in the same pipeline: nobody waits for a round trip more.

        On a new connection before them; else after them, when the last answer is too old to vouch for them.
        """
        if self.incarnations.off is not None:
            return (), ()
        if self._is_new:
            return (*self._listen(), IDENTITY), ()
        return (), (IDENTITY,) if now - self._asked_at > _IDENTITY_SECONDS else ()

    def _listen(self) -> tuple[Command, ...]:
        """Have the server tell of flushes; not on a connection that goes back to a user's pool."""
        self._is_emptied = False
        listen = getattr(getattr(self._connection, "_parser", None), "set_invalidation_push_handler", None)
        if not self._ours or listen is None:
            return ()
        listen(self._note_flush)
        return _HEAR_OF_FLUSHES

    async def _note_flush(self, message: list[Any]) -> None:
        # Keys are named where single ones change; we track none.
        self._is_emptied = self._is_emptied or message[1] is None

    async def disconnect(self) -> None:
        """Start anew with the next pipeline."""
        if self._connection is not None:
            await self._connection.disconnect(nowait=True)

    async def aclose(self) -> None:
        """Give the connection back."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._ours:
            await connection.disconnect()
        await self._release(connection)


async def _ask(connection: AbstractConnection, commands: list[Command]) -> list[Any]:
    words = [part for command in commands for part in _parts(command)]
    # Not by the connection, which packs in Python: 5 us for each command.
    packed = b"".join([pack_command(command) for command in words])  # type: ignore[arg-type]  # of any length
    await connection.send_packed_command(packed, check_health=False)
    return _by_command(commands, await _replies(connection, len(words)))


def _parts(command: Command) -> tuple[Command, ...]:
    """A node of a cluster is asked for a key that is just coming with two commands in a row."""
    return (command[:1], command[1:]) if command[0] == "ASKING" else (command,)


def _by_command(commands: list[Command], replies: list[Any]) -> list[Any]:
    if len(replies) == len(commands):
        return replies
    found, rest = [], iter(replies)
    for command in commands:
        reply = next(rest)
        if command[0] == "ASKING":
            answer = next(rest)
            reply = reply if isinstance(reply, Exception) else answer
        found.append(reply)
    return found


async def _replies(connection: AbstractConnection, count: int) -> list[Any]:
    replies: list[Any] = []
    while len(replies) < count:
        try:
            replies.append(await connection.read_response(disable_decoding=True))
        except ResponseError as refusal:
            replies.append(refusal)
    return replies


def is_redirection(reply: object) -> bool:
    """Whether another node of the cluster has the key: the node that says so is in good health."""
    return isinstance(reply, (MovedError, AskError))
