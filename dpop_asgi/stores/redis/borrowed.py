"""Borrows connections from redis-py's pool."""

from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

# The pipeline enforces the deadline, and doesn't count time in which this process was busy. redis-py's timeouts would,
# and its retries outlast the deadline: a wrong password would look like a server that doesn't respond. Closing is not
# covered by the pipeline's deadline, so one timeout remains, far beyond it.
_WHILE_BORROWED: dict[str, Any] = {
    "socket_timeout": None,
    "socket_connect_timeout": 5.0,
    "retry": Retry(NoBackoff(), 0),
}


class Borrowed:
    """Borrows a connection, without retries and timeouts, and restores its options when it is returned.

    Args:
        take: takes a connection from the pool, connected or not.
        give: returns it to the pool.
        check: connects it, and checks that an earlier user left nothing to read.
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
        """Borrow a connection, and connect it."""
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
        """Return it to the pool."""
        _set(connection, self._before)
        await self._give(connection)


def _set(connection: AbstractConnection, options: dict[str, Any]) -> None:
    for name, value in options.items():
        setattr(connection, name, value)
