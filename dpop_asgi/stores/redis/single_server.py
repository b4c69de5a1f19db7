"""A single Redis server, or the master that Sentinels name."""

import asyncio
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.sentinel import SentinelConnectionPool

from dpop_asgi.single_flight import SingleFlight
from dpop_asgi.stores.redis.addresses import addresses_and_user
from dpop_asgi.stores.redis.borrowed import Borrowed
from dpop_asgi.stores.redis.connection import Command, RedisConnection
from dpop_asgi.stores.redis.incarnation import UNSTABLE, Reply, alternate
from dpop_asgi.stores.redis.pipeline import Pipeline
from dpop_asgi.stores.redis.sentinel import MasterWatch

# New connections to compare: a few, and more if they differ, to tell a proxy from a server that is being replaced.
_MIN_COMPARED, _MAX_COMPARED = 3, 8


class SingleServer:
    """A single server, or the master that Sentinels name.

    Args:
        client: redis-py's client.
        timeout: seconds until a call fails.
        owned: whether `aclose` closes the connection.
        fence: whether to find out which incarnation of the server replies.
    """

    def __init__(self, client: Redis, *, timeout: float, owned: bool, fence: bool) -> None:
        pool = client.connection_pool
        self._pool = pool
        self._owned = owned
        self._timeout = timeout
        self._connection = self._connect(fence=fence)
        self._comparing = SingleFlight(self._seen_by_new_connections)
        self._has_compared = False
        self._pipeline = Pipeline(
            "the Redis store", self._connection.exchange, where=addresses_and_user(client), timeout=timeout
        )
        self._watch = (
            MasterWatch(pool, self._connection, timeout=timeout) if isinstance(pool, SentinelConnectionPool) else None
        )

    def _connect(self, *, fence: bool) -> RedisConnection:
        borrowed = Borrowed(self._pool.get_available_connection, self._pool.release, self._pool.ensure_connection)
        return RedisConnection(borrowed.acquire, borrowed.release, owned=self._owned, fence=fence)

    @property
    def is_failing(self) -> bool:
        """Whether calls fail without being tried."""
        return self._pipeline.is_failing

    async def call(self, command: Command) -> Reply:
        """The reply. See `Pipeline.call`."""
        if self._watch is not None:
            await self._watch.check()
        reply: Reply = await self._pipeline.call(command)
        return reply

    async def recheck(self, _: str) -> None:
        """Have the next call go wherever a new connection leads: the server may have been replaced."""
        if self._watch is not None:
            await self._watch.check_now()
            self._connection.recheck_identity()
        else:
            self._connection.renew()

    async def call_all_masters(self, command: Command) -> list[Any]:
        """The replies of all masters."""
        return [(await self._pipeline.call(command)).value]

    async def why_unfenced(self) -> str | None:
        """Why the fence is off, if it is. A proxy may lead each new connection to another server.

        That is found out once: later, new connections may differ for a moment, while a server is being replaced.
        """
        incarnations = self._connection.incarnations
        if self._owned and incarnations.off is None and not self._has_compared:
            comparison = self._comparing.start()
            await asyncio.wait([comparison])
            # The store may have been closed in the meantime: nothing is known then.
            if not comparison.cancelled():
                found = comparison.result()
                self._has_compared = True
                if alternate(found):
                    incarnations.turn_off(UNSTABLE)
        return incarnations.off

    async def _seen_by_new_connections(self) -> list[str | None]:
        found: list[str | None] = []
        while len(found) < _MAX_COMPARED and not (len(found) >= _MIN_COMPARED and len(set(found)) == 1):
            connection = self._connect(fence=True)
            try:
                async with asyncio.timeout(self._timeout):
                    await connection.exchange([("PING",)])
            finally:
                await connection.aclose()
            found.append(connection.incarnations.current)
        return found

    async def aclose(self) -> None:
        """Wait for calls in flight, and return the connection."""
        await self._comparing.aclose()
        if self._watch is not None:
            await self._watch.aclose()
        await self._pipeline.aclose()
        await self._connection.aclose()
