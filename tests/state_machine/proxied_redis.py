"""A real Redis behind a fault proxy, for state machines."""

import asyncio
from typing import Any

from dpop_asgi import RedisStore, StoreError
from tests.state_machine.flaky_store import HEALTHY, Fault, slot_of
from tests.support.fault_proxy import FaultProxy, ProxyThread
from tests.support.processes import PATIENCE, RedisServer

# Far beyond what a busy machine needs: no call may fail by being slow.
_TIMEOUT = 10.0

# Time in Redis passes by itself, in the test by hand. A proof that is about to die stands for ten seconds; should the
# test take longer for what it does before the clock goes on, Redis would have forgotten the proof before its death.
_LONG = 3600.0
_AWAY = Fault("refuse", frozenset({"nonce", "proof"}))


class ProxiedRedis:
    """The same as a `FlakyStore`, in reality; `connect` gives each worker a `RedisStore` of its own.

    Attributes:
        fault: what is wrong with it now.
        nonces: those that stand in it, each with its slot; `ever` has those too that were lost.
    """

    def __init__(self, redis: RedisServer, proxy: ProxyThread) -> None:
        self._redis, self._proxy = redis, proxy
        self.stores: list[RedisStore] = []
        self.ever: dict[str, int] = {}
        self.repair()
        self.lose_everything()

    def connect(self) -> Any:
        self.stores.append(RedisStore(self._proxy.url, timeout=_TIMEOUT))
        return _Recorder(self.stores[-1], self)

    def begin_request(self) -> None:
        """It is never slow."""

    def lose_everything(self) -> None:
        with self._redis.client() as connection:
            connection.flushall()
        self.nonces: dict[str, int] = {}

    def go_away(self) -> None:
        """Connections are reset, and new ones refused."""
        self.fault = _AWAY

        def close(proxy: FaultProxy) -> None:
            proxy.door = "closed"
            proxy.reset_connections()

        self._proxy.tell(close)

    def repair(self) -> None:
        self.fault = HEALTHY
        self._proxy.tell(FaultProxy.heal)

    def lose_the_next_reply_to(self, text: bytes) -> None:
        """To the next request with this text, once: what it asked for is done."""
        self._proxy.tell(lambda proxy: setattr(proxy, "lose_reply_to", text))

    async def answers_everybody(self) -> None:
        """Wait until each worker's store has found out that Redis is back."""
        async with asyncio.timeout(PATIENCE):
            for store in self.stores:
                while not await _answers(store):  # noqa: ASYNC110 - the server can only be asked
                    await asyncio.sleep(0.01)


class _Recorder:
    def __init__(self, store: RedisStore, shared: ProxiedRedis) -> None:
        self._store, self._shared = store, shared

    async def put_if_absent(self, key: str, value: str, *, ttl: float) -> str:
        standing = await self._store.put_if_absent(key, value, ttl=max(ttl, _LONG))
        slot = slot_of(key)
        if slot is not None:
            self._shared.nonces[standing] = self._shared.ever[standing] = slot
        return standing


async def _answers(store: RedisStore) -> bool:
    try:
        await store.put_if_absent("is-it-back", "yes", ttl=1.0)
    except StoreError:
        return False
    return True
