"""Which master Sentinels name, and whether it is still the one that we are connected to."""

import asyncio
import contextlib

from redis.asyncio.sentinel import MasterNotFoundError, Sentinel, SentinelConnectionPool
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.utils import str_if_bytes

from dpop_asgi.single_flight import SingleFlight
from dpop_asgi.stores.redis.connection import CONNECTION_ERRORS, RedisConnection

# A question to a Sentinel costs as much as one call; so late at most a master is left that was replaced.
_LOOK_EVERY_SECONDS = 0.2


class Sentinels(Sentinel):
    """Asks for the address that clients are to use.

    redis-py reads it from SENTINEL MASTERS, where the Sentinel that leads a failover keeps the old one a second longer.
    """

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        """Host and port, as the first Sentinel says that answers; from now on it is the first to be asked.

        Raises:
            MasterNotFoundError: none answers, or none knows the service.
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
    """Leaves a master that was replaced.

    After a failover on purpose, or on the wrong side of a broken network, a master goes on as one for ten seconds
    or more. What it is told meanwhile is lost, so proofs that it remembers alone could be used again.

    Args:
        pool: of redis-py; knows the Sentinels.
        connection: to the master.
        timeout: seconds until a call fails; half of it is waited for Sentinels.
    """

    def __init__(self, pool: SentinelConnectionPool, connection: RedisConnection, *, timeout: float) -> None:
        self._pool = pool
        self._connection = connection
        self._patience = timeout / 2
        self._loop = asyncio.get_running_loop()
        self._due = 0.0
        self._called_at = 0.0
        self._looking = SingleFlight(self._ask)
        self._is_urgent = False

    async def look(self) -> None:
        """Ask when it is time: beside the calls, but before the first call after a pause."""
        now = self._loop.time()
        after_pause, self._called_at = now > self._called_at + 2 * _LOOK_EVERY_SECONDS, now
        if now >= self._due and self._connection.address is not None:
            self._due = now + _LOOK_EVERY_SECONDS
            self._is_urgent = after_pause
            self._looking.start()
        if self._is_urgent and (look := self._looking.under_way()) is not None:
            await asyncio.wait([look])

    async def look_now(self) -> None:
        """Ask, and wait for the answer."""
        await asyncio.wait([self._looking.start()])

    async def _ask(self) -> None:
        # Whatever is wrong with the Sentinels, the master that was known stays good.
        with contextlib.suppress(Exception):
            async with asyncio.timeout(self._patience):
                address = await self._pool.sentinel_manager.discover_master(self._pool.service_name)
            if self._connection.address not in {None, tuple(address)}:
                self._connection.renew()

    async def aclose(self) -> None:
        """Stop asking."""
        await self._looking.aclose()
