"""A store for a single process: tests, development, a single worker."""

import asyncio
import heapq
import math
import os
import threading
import time

from dpop_asgi.core.options import require, require_clock
from dpop_asgi.core.ports import Clock, Health
from dpop_asgi.errors import StoreError
from dpop_asgi.log import logger
from dpop_asgi.stores.workers import several_workers

# Entries that expire within the same eighth of a second are dropped together, at its end. A power of two, so that
# rounding never shortens a lifetime.
_ENDS_PER_SECOND = 8
_END_OF_TIME = 2.0**53


class MemoryStore:
    """Keeps everything in this process. Other workers and hosts do not share it.

    Args:
        max_entries: the maximum number of entries. When it is reached, new ones raise `StoreError`: an entry that is
            still needed is never dropped. The default holds 1,300 accepted requests per second for six minutes in
            about 100 MB.
        clock: seconds, the same clock that proofs are checked against.

    Raises:
        ValueError: If `max_entries` isn't a whole number of at least 1.
    """

    def __init__(self, *, max_entries: int = 500_000, clock: Clock = time.time) -> None:
        require("max_entries", type(max_entries) is int and max_entries >= 1, "a whole number of at least 1")
        require_clock(clock)
        self._max_entries = max_entries
        self._clock = clock
        # Apps in several threads may share a store.
        self._lock = threading.Lock()
        self._values: dict[str, str] = {}
        self._keys_by_end: dict[int, list[str]] = {}
        self._ends: list[int] = []
        self._first: asyncio.Task[object] | None = None
        self._made_in = os.getpid()
        self._is_used = False
        self._has_warned = False
        self._warn_of_several_workers()

    async def put_if_absent(self, key: str, value: str, *, ttl: float) -> str:
        """See `dpop_asgi.core.ports.Store`. Atomic, also among event loops in several threads."""
        if not self._is_used:
            # Checked again here: the server may have forked since.
            self._is_used = True
            self._warn_of_several_workers()
        with self._lock:
            now = self._clock()
            if self._ends and self._ends[0] <= now * _ENDS_PER_SECOND:
                self._expire(now)
            stored = self._values.get(key)
            if stored is None:
                self._keep(key, value, now + ttl)
                stored = value
        if asyncio.current_task() is not self._first:
            await self._wait_for_others()
        return stored

    async def read(self, key: str) -> str:
        """See `dpop_asgi.core.ports.Replaceable`."""
        with self._lock:
            self._expire(self._clock())
            return self._values.get(key, "")

    async def replace(self, key: str, value: str, *, ttl: float) -> None:
        """See `dpop_asgi.core.ports.Replaceable`."""
        with self._lock:
            now = self._clock()
            self._expire(now)
            if self._values.pop(key, None) is not None:
                # Replaced so seldom that nothing keeps track of when a key expires.
                next(keys for keys in self._keys_by_end.values() if key in keys).remove(key)
            self._keep(key, value, now + ttl)

    def _keep(self, key: str, value: str, until: float) -> None:
        if len(self._values) >= self._max_entries:
            msg = f"MemoryStore is full: {self._max_entries} entries are still needed"
            raise StoreError(msg)
        self._values[key] = value
        end = math.ceil(min(until, _END_OF_TIME) * _ENDS_PER_SECOND)
        keys = self._keys_by_end.get(end)
        if keys is None:
            keys = self._keys_by_end[end] = []
            heapq.heappush(self._ends, end)
        keys.append(key)

    def _expire(self, now: float) -> None:
        while self._ends and self._ends[0] <= now * _ENDS_PER_SECOND:
            for key in self._keys_by_end.pop(heapq.heappop(self._ends)):
                del self._values[key]

    async def _wait_for_others(self) -> None:
        """Delay all but the first caller in an event loop iteration until the others have been checked.

        Concurrent requests then go through each stage together, which keeps its code in the processor's caches: more
        requests per second under load. A caller on its own does not wait.
        """
        first = self._first
        if first is not None and first.get_loop() is asyncio.get_running_loop():
            await asyncio.sleep(0)
            return
        self._first = asyncio.current_task()
        asyncio.get_running_loop().call_soon(self._end_turn)

    def _end_turn(self) -> None:
        self._first = None

    def _warn_of_several_workers(self) -> None:
        if not self._has_warned and several_workers(made_in=self._made_in):
            self._has_warned = True
            logger.warning(
                "MemoryStore: several workers seem to run. Each has its own nonces and its own record of used proofs, "
                "so clients are challenged again and again, and a proof can be replayed on another worker. "
                "Use RedisStore."
            )

    @property
    def description(self) -> str:
        """See `dpop_asgi.core.ports.Described`."""
        return "memory of this process"

    def health(self) -> list[Health]:
        """See `dpop_asgi.core.ports.Monitored`: whether there is room."""
        return [Health("store", "memory", len(self._values) < self._max_entries)]

    async def aclose(self) -> None:
        """Nothing to release: used proofs are kept when the app restarts in the same process."""
