"""The one server there is, or the master that Sentinels name."""

import asyncio
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.sentinel import SentinelConnectionPool

from dpop_asgi.stores.redis.borrowed import Borrowed
from dpop_asgi.stores.redis.connection import Command, RedisConnection
from dpop_asgi.stores.redis.incarnation import UNSTABLE, Reply, go_back_and_forth
from dpop_asgi.stores.redis.pipeline import Pipeline
from dpop_asgi.stores.redis.sentinel import MasterWatch

# New connections that are compared: a few, and more when they differ, to tell a proxy from a server that is replaced.
_FEW_COMPARED, _MOST_COMPARED = 3, 8


class SingleServer:
    """One server, or the master that Sentinels name.

    Args:
        client: of redis-py.
        timeout: seconds until a call fails.
        ours: whether connections are to be ended by `aclose`.
        fence: whether to find out which incarnation of the server answers.
    """

    def __init__(self, client: Redis, *, timeout: float, ours: bool, fence: bool) -> None:
        pool = client.connection_pool
        self._pool = pool
        self._ours = ours
        self._timeout = timeout
        self._connection = self._connect(fence=fence)
        self._pipeline = Pipeline("the Redis store", self._connection.exchange, timeout=timeout)
        self._watch = (
            MasterWatch(pool, self._connection, timeout=timeout) if isinstance(pool, SentinelConnectionPool) else None
        )

    def _connect(self, *, fence: bool) -> RedisConnection:
        borrowed = Borrowed(self._pool.get_available_connection, self._pool.release, self._pool.ensure_connection)
        return RedisConnection(borrowed.acquire, borrowed.release, ours=self._ours, fence=fence)

    async def call(self, command: Command) -> Reply:
        """The reply. See `Pipeline.call`."""
        if self._watch is not None:
            await self._watch.look()
        reply: Reply = await self._pipeline.call(command)
        return reply

    async def look(self, _: str) -> None:
        """Have the next call go the way that a new connection takes: the server may have been replaced."""
        if self._watch is not None:
            await self._watch.look_now()
            self._connection.ask_again()
        else:
            self._connection.renew()

    async def call_all_masters(self, command: Command) -> list[Any]:
        """The replies of all masters."""
        return [(await self._pipeline.call(command)).value]

    async def why_unfenced(self) -> str | None:
        """Why the fence is off, if it is. A proxy may lead each new connection to another server."""
        incarnations = self._connection.incarnations
        if self._ours and incarnations.off is None and go_back_and_forth(await self._seen_by_new_connections()):
            incarnations.turn_off(UNSTABLE)
        return incarnations.off

    async def _seen_by_new_connections(self) -> list[str | None]:
        found: list[str | None] = []
        while len(found) < _MOST_COMPARED and not (len(found) >= _FEW_COMPARED and len(set(found)) == 1):
            connection = self._connect(fence=True)
            try:
                async with asyncio.timeout(self._timeout):
                    await connection.exchange([("PING",)])
            finally:
                await connection.aclose()
            found.append(connection.incarnations.current)
        return found

    async def aclose(self) -> None:
        """Bring to its end what is under way, and give the connection back."""
        if self._watch is not None:
            await self._watch.aclose()
        await self._pipeline.aclose()
        await self._connection.aclose()
