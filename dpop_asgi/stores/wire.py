"""Pipelines over one connection of redis-py, and what its errors mean to an operator."""

from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio.connection import AbstractConnection
from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    NoPermissionError,
    ReadOnlyError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

Command = tuple[str | int, ...]


class Wire:
    """Holds one connection: to take it from the pool for each pipeline would cost as much as three commands.

    Args:
        acquire: takes a connection from redis-py's pool.
        release: gives it back.
        ours: whether to end it when it is given back; a user's pool gets it as it is.
    """

    def __init__(
        self,
        acquire: Callable[[], Awaitable[AbstractConnection]],
        release: Callable[[AbstractConnection], Awaitable[None]],
        *,
        ours: bool,
    ) -> None:
        self._acquire = acquire
        self._release = release
        self._ours = ours
        self._connection: AbstractConnection | None = None

    async def exchange(self, commands: list[Command]) -> list[Any]:
        """The replies, in order; a refusal of a single command stands in its place as an exception.

        A second try is safe, since the value in our command tells our own write from another's. There is one: a
        connection that died while idle, or whose server was demoted, shows itself only when it is used.
        """
        try:
            replies = await self._attempt(commands)
        except RedisConnectionError as error:
            if isinstance(error, (AuthenticationError, BusyLoadingError)):
                raise
            return await self._attempt(commands)
        if any(isinstance(reply, ReadOnlyError) for reply in replies):
            await self.disconnect()
            return await self._attempt(commands)
        return replies

    async def _attempt(self, commands: list[Command]) -> list[Any]:
        try:
            if self._connection is None:
                self._connection = await self._acquire()
            # Not left to `send_packed_command`: it would not ask the Sentinels for the master's new address.
            if not self._connection.is_connected:
                await self._connection.connect()  # type: ignore[no-untyped-call]
            connection = self._connection
            await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
            return [await _reply(connection) for _ in commands]
        except BaseException:
            # What was asked may still be answered: nobody must read that as the answer to something else.
            await self.disconnect()
            raise

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


async def _reply(connection: AbstractConnection) -> Any:  # noqa: ANN401 - whatever the command answers
    try:
        return await connection.read_response(disable_decoding=True)
    except ResponseError as refusal:
        return refusal


def is_redirection(reply: object) -> bool:
    """Whether another node of the cluster has the key: the node that says so is in good health."""
    return isinstance(reply, (MovedError, AskError))


# The first that fits is told. Kinds of connection errors stand before the connection error itself.
_EXPLANATIONS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
    ((AuthenticationError, AuthorizationError), "the Redis store refuses the user name or password"),
    (NoPermissionError, "the Redis store's ACL must allow this user SET and PING on our keys"),
    (ReadOnlyError, "the Redis store is a read-only replica: give the master's address, or use redis+sentinel://"),
    (BusyLoadingError, "the Redis store is still loading its data"),
    (MasterDownError, "the Redis store is a replica that lost its master"),
    (MovedError, "the Redis store is a node of a cluster: use redis+cluster://"),
    (ClusterDownError, "the Redis Cluster is down: some slots have no master"),
    (MasterNotFoundError, "no Sentinel names a master"),
    ((RedisTimeoutError, TimeoutError), "the Redis store did not answer in time"),
)


def explain(error: Exception) -> str:
    """What an operator can do about it. redis-py reports a wrong password as a kind of connection error."""
    said = str(error) or type(error).__name__
    if isinstance(error, ResponseError) and "syntax" in said.lower():
        return (
            "the Redis store is older than 7.0: it does not know SET with NX and GET. Use Redis 7.0, Valkey, or newer"
        )
    for kind, meaning in _EXPLANATIONS:
        if isinstance(error, kind):
            return f"{meaning}: {said}"
    return f"the Redis store failed: {type(error).__name__}: {said}"
