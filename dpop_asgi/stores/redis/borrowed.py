"""A connection of redis-py's pool, for as long as the store holds it."""

from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

# The pipeline has the deadline, and counts no time in which this process was busy. redis-py's timeouts do, and its
# retries outlast the deadline: a refused password would look like a server that does not answer. Closing has no
# deadline of the pipeline, so there is one timeout, far beyond it.
_WHILE_BORROWED: dict[str, Any] = {
    "socket_timeout": None,
    "socket_connect_timeout": 5.0,
    "retry": Retry(NoBackoff(), 0),
}


class Borrowed:
    """Takes a connection, without retries and timeouts, and gives it back as it was.

    Args:
        take: it from the pool, connected or not.
        give: it back.
        check: that one which others used before has nothing left to read; connects.
    """

    def __init__(
        self,
        take: Callable[[], AbstractConnection],
        give: Callable[[AbstractConnection], Awaitable[None]],
        check: Callable[[AbstractConnection], Awaitable[Any]],
    ) -> None:
        self._take = take
        self._give = give
        self._check = check
        self._before: dict[str, Any] = {}

    async def acquire(self) -> AbstractConnection:
        """The connection, connected."""
        connection = self._take()
        self._before = {name: getattr(connection, name) for name in _WHILE_BORROWED}
        _set(connection, _WHILE_BORROWED)
        try:
            await self._check(connection)
        except BaseException:
            await self.release(connection)
            raise
        return connection

    async def release(self, connection: AbstractConnection) -> None:
        """Give it back."""
        _set(connection, self._before)
        await self._give(connection)


def _set(connection: AbstractConnection, options: dict[str, Any]) -> None:
    for name, value in options.items():
        setattr(connection, name, value)
