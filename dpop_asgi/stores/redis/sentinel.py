"""Which master the Sentinels name, and whether the store is still connected to it."""

import asyncio
import contextlib

from redis.asyncio.sentinel import MasterNotFoundError, Sentinel, SentinelConnectionPool
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.utils import str_if_bytes

from dpop_asgi.single_flight import SingleFlight
from dpop_asgi.stores.redis.connection import CONNECTION_ERRORS, RedisConnection

# Each check costs one round trip. A replaced master is abandoned within this many seconds.
_CHECK_EVERY_SECONDS = 0.2


class Sentinels(Sentinel):
    """Asks the Sentinels for the address that clients should use.

    redis-py reads it from SENTINEL MASTERS, where the Sentinel that leads a failover keeps the old one a second longer.
    """

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        """The host and port reported by the first Sentinel that responds; it is asked first from now on.

        Raises:
            MasterNotFoundError: If no Sentinel responds, or none knows the service.
        """
        failures = []
        for number, sentinel in enumerate(self.sentinels):
            try:
                command = "SENTINEL GET-MASTER-ADDR-BY-NAME"
                address = await sentinel.execute_command(command, service_name)  # type: ignore[no-untyped-call]
            except (*CONNECTION_ERRORS, RedisTimeoutError) as error:
                failures.append(f" - {error!r}")
                continue
            if address:
                self.sentinels[0], self.sentinels[number] = sentinel, self.sentinels[0]
                return str_if_bytes(address[0]), int(address[1])
        raise MasterNotFoundError(f"No master found for {service_name!r} :{','.join(failures)}")


class MasterWatch:
    """Abandons a master that was replaced.

    After a manual failover, or on the minority side of a network partition, an old master keeps accepting writes for
    ten seconds or more. They are lost afterwards, so proofs recorded only there could be used again.

    Args:
        pool: redis-py's pool, which knows the Sentinels.
        connection: the connection to the master.
        timeout: seconds until a call fails. Sentinels get half of it.
    """

    def __init__(self, pool: SentinelConnectionPool, connection: RedisConnection, *, timeout: float) -> None:
        self._pool = pool
        self._connection = connection
        self._sentinel_timeout = timeout / 2
        self._loop = asyncio.get_running_loop()
        self._due = 0.0
        self._called_at = 0.0
        self._checking = SingleFlight(self._ask)
        self._is_urgent = False

    async def check(self) -> None:
        """Check if it is time: in the background, but before the first call after a pause."""
        now = self._loop.time()
        after_pause, self._called_at = now > self._called_at + 2 * _CHECK_EVERY_SECONDS, now
        if now >= self._due and self._connection.address is not None:
            self._due = now + _CHECK_EVERY_SECONDS
            self._is_urgent = after_pause
            self._checking.start()
        if self._is_urgent and (check := self._checking.under_way()) is not None:
            await asyncio.wait([check])

    async def check_now(self) -> None:
        """Check, and wait for the result."""
        await asyncio.wait([self._checking.start()])

    async def _ask(self) -> None:
        # Whatever is wrong with the Sentinels, the known master stays in use.
        with contextlib.suppress(Exception):
            async with asyncio.timeout(self._sentinel_timeout):
                address = await self._pool.sentinel_manager.discover_master(self._pool.service_name)
            if self._connection.address not in {None, tuple(address)}:
                self._connection.renew()

    async def aclose(self) -> None:
        """Stop checking."""
        await self._checking.aclose()
