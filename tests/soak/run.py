"""A soak from beginning to end."""

import asyncio
import contextlib
import time
import traceback
from collections.abc import AsyncIterator, Callable
from random import Random

from tests.soak.faults import Faults
from tests.soak.fleet import STEADY, Fleet, to_the_end
from tests.soak.ledger import Ledger
from tests.soak.memory import MemoryWatch
from tests.soak.options import Options
from tests.soak.plans import PLANS
from tests.soak.pulse import Pulse
from tests.soak.timeline import Timeline
from tests.soak.traffic import Traffic
from tests.support.busy import Watch

# At the end nothing is broken for so long, so that everything has to be well again.
_CALM_SECONDS = 3.0

# In shorter ones memory says nothing, and the servers' caches need not be full.
MEMORY_FROM_SECONDS = 60.0

# Of keys and of tokens, in each worker; and so many more, since chance does not give each worker the same.
_CACHED = 4096
_UNEVEN = 1.25


class Soak:
    """Load, faults and watch beside each other. `ledger` can be read at any time."""

    def __init__(self, options: Options, fleet: Fleet) -> None:
        self.ledger = Ledger(options)
        self.is_preparing = options.seconds >= MEMORY_FROM_SECONDS
        self.timeline = Timeline()
        self._options = options
        self._fleet = fleet
        self._dice = Random(options.seed)
        self._memory = MemoryWatch()
        self._machine = Watch()
        self._traffic = Traffic(options, fleet, self.timeline, self.ledger, self._dice, self._machine.allows)
        self._faults = Faults(fleet, self.timeline, options, Random(options.seed), self._traffic.renew_tokens)

    async def run(self) -> None:
        try:
            if self.is_preparing:
                await self._fill_caches()
                self.is_preparing = False
            self.ledger.began = time.time()
            with self._machine:
                async with self._watched():
                    await self._under_load()
        except asyncio.CancelledError:
            self.ledger.interrupted = True
        except Exception:  # noqa: BLE001 - the ledger so far is told first
            self.ledger.failure = traceback.format_exc()
        finally:
            self._traffic.close()
            self.ledger.ended = time.time()

    async def _fill_caches(self) -> None:
        """Of the servers' caches; otherwise the memory that they may take would look like a leak."""
        turns = iter(range(int(_CACHED * self._options.workers * _UNEVEN)))

        async def ask() -> None:
            for _ in turns:
                await self._traffic.introduce(self._traffic.newcomer(), STEADY)

        await asyncio.gather(*(ask() for _ in range(32)))

    @contextlib.asynccontextmanager
    async def _watched(self) -> AsyncIterator[None]:
        pulse = Pulse(self._fleet, self.timeline)
        async with asyncio.TaskGroup() as tasks:
            beats = (pulse.of_this_process(), pulse.of_redis(), pulse.of_the_scheduler())
            watches = [tasks.create_task(watch) for watch in (*beats, self._watch_memory())]
            yield
            for watch in watches:
                watch.cancel()

    async def _under_load(self) -> None:
        """Until the time is over, and everything has happened once and was repaired."""
        until = self.ledger.began + self._options.seconds
        async with asyncio.TaskGroup() as tasks:
            broken = tasks.create_task(self._faults.run(until=until - _CALM_SECONDS))
            load = tasks.create_task(self._send(tasks))
            await broken
            await asyncio.sleep(max(_CALM_SECONDS, until - time.time()))
            load.cancel()
            self._traffic.end()

    async def _send(self, tasks: asyncio.TaskGroup) -> None:
        """Open loop: when a request is due does not depend on any answer."""
        weights = [plan.weight for plan in PLANS]
        due = time.time()
        while True:
            [plan] = self._dice.choices(PLANS, weights)
            due += sum(self._dice.expovariate(self._options.rate) for _ in range(plan.requests))
            await asyncio.sleep(due - time.time())
            tasks.create_task(self._traffic.carry_out(plan))

    async def _watch_memory(self) -> None:
        while True:
            self._memory.sample(self._fleet.process_ids())
            await asyncio.sleep(min(2.0, self._options.seconds / 30))

    async def look_back(self) -> None:
        """What can be said when the load is over, while everything is still there."""
        self.ledger.faults = self.timeline.summary()
        self.ledger.check_challenges(self.timeline)
        self.ledger.redis = await to_the_end(self._fleet.what_redis_keeps)
        self.ledger.check_redis()
        self.ledger.processes = self._memory.growth()
        if self.ledger.seconds >= MEMORY_FROM_SECONDS:
            self.ledger.check_memory()


async def soak(options: Options, watched: Callable[[Soak], contextlib.AbstractAsyncContextManager[None]]) -> Ledger:
    """Start everything, put it under load, stop everything; `watched` is around the load."""
    fleet = Fleet(options)
    async with fleet.running():
        this = Soak(options, fleet)
        async with watched(this):
            await this.run()
        await this.look_back()
    for server in fleet.servers.values():
        for complaint in server.complaints:
            this.ledger.check(f"log of server {server.name}", complaint, "nothing of the kind", wrong=True)
    return this.ledger
