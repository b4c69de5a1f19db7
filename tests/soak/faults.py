"""What is broken, and when: three tracks beside each other, each with pauses of random length."""

import asyncio
import inspect
import signal
import time
from collections.abc import Awaitable, Callable
from functools import partial
from random import Random
from typing import Any

from tests.soak.fleet import Fleet, to_the_end
from tests.soak.options import Options
from tests.soak.timeline import Timeline

REDIS_KILLED = "Redis killed"
REDIS_FROZEN = "Redis frozen"
REDIS_RESTARTED_EMPTY = "Redis restarted without data"
REDIS_EMPTIED = "Redis emptied"
REDIS_FAILED_OVER = "Redis failed over"
REDIS_HANDED_OVER = "Redis handed over"
NETWORK_SILENT = "network to Redis silent"
CONNECTIONS_RESET = "connections to Redis reset"
REPLY_LOST = "reply of Redis lost"
SERVER_RESTARTED = "server restarted"
SERVER_KILLED = "server killed"
WORKERS_REPLACED = "workers replaced"
WORKER_KILLED = "worker killed"
ISSUER_AWAY = "issuer away"
KEY_ROTATED = "key rotated"

# A new key makes every token new; with the usual pause there would be few others.
_ISSUER_PAUSES = 3

Fault = Callable[[], Awaitable[None]]

# What is done in a thread, or in this one if it is asynchronous; or the shortest and the longest pause.
Step = Callable[[], Any] | tuple[float, float]


class Track:
    """Faults one after the other, in an order of chance in which none is left out."""

    def __init__(self, faults: dict[str, Fault], pause: float, dice: Random) -> None:
        self._faults = faults
        self._pause = pause
        self._dice = dice
        self._seen: set[str] = set()
        self._next: list[str] = []

    async def run(self, *, until: float) -> None:
        """Until then, and until everything has happened once."""
        while time.time() < until or self._seen != self._faults.keys():
            await asyncio.sleep(self._pause * self._dice.uniform(0.5, 1.5))
            if not self._next:
                self._next = self._dice.sample(sorted(self._faults), len(self._faults))
            fault = self._next.pop()
            await self._faults[fault]()
            self._seen.add(fault)


class Faults:
    """All tracks. `new_key` is called when the issuer signs with another key: with when it was published."""

    def __init__(
        self, fleet: Fleet, timeline: Timeline, options: Options, dice: Random, new_key: Callable[[float], None]
    ) -> None:
        self._fleet = fleet
        self._timeline = timeline
        self._options = options
        self._dice = dice
        self._new_key = new_key
        tracks = ((self._of_redis(), 1), (self._of_servers(), 1), (self._of_the_issuer(), _ISSUER_PAUSES))
        self._tracks = [Track(faults, pauses * options.fault_pause, Random(dice.random())) for faults, pauses in tracks]

    async def run(self, *, until: float) -> None:
        async with asyncio.TaskGroup() as tasks:
            for track in self._tracks:
                tasks.create_task(track.run(until=until))

    async def _take(self, *steps: Step) -> None:
        for step in steps:
            if isinstance(step, tuple):
                await asyncio.sleep(self._dice.uniform(*step))
            elif inspect.iscoroutinefunction(step):
                await step()
            else:
                await to_the_end(step)

    async def _break(self, fault: str, *steps: Step) -> None:
        with self._timeline.window(fault, self._fleet.everywhere):
            await self._take(*steps)

    def _of_redis(self) -> dict[str, Fault]:
        it = self._fleet
        rows: dict[str, tuple[Step, ...]] = {
            REDIS_KILLED: (self._stop_redis, (0, 1.5), it.start_redis),
            REDIS_FROZEN: (self._freeze_redis, (0.1, 2), self._thaw_redis),
            REDIS_RESTARTED_EMPTY: (self._stop_redis, it.forget, (0, 1), it.start_redis),
            REDIS_EMPTIED: (lambda: it.redis.ask("FLUSHALL"),),
            # The replica is promoted while the old master still takes writes over the connections that it has.
            REDIS_HANDED_OVER: (it.promote, (0, 1), it.demote),
            NETWORK_SILENT: (self._silence, (0.1, 2), self._heal),
            CONNECTIONS_RESET: (self._reset,),
            REPLY_LOST: (it.lose_reply,),
        }
        return {REDIS_FAILED_OVER: self._fail_over, **{name: partial(self._break, name, *rows[name]) for name in rows}}

    def _stop_redis(self) -> None:
        self._fleet.redis.stop()

    def _freeze_redis(self) -> None:
        self._fleet.redis.freeze()

    def _thaw_redis(self) -> None:
        self._fleet.redis.thaw()

    async def _silence(self) -> None:
        self._fleet.network.silent = True

    async def _heal(self) -> None:
        self._fleet.network.heal()

    async def _reset(self) -> None:
        self._fleet.network.reset_connections()

    async def _fail_over(self) -> None:
        """The master dies, and its replica lacks what it was told last."""
        it = self._fleet
        steps = (it.leave_replica_behind, (0, 1), self._stop_redis, (0, 1), it.promote)
        await self._break(REDIS_FAILED_OVER, *steps)
        await self._take(it.demote)

    def _of_servers(self) -> dict[str, Fault]:
        faults: dict[str, Fault] = {
            SERVER_RESTARTED: partial(self._stop_and_start, SERVER_RESTARTED, signal.SIGTERM),
            SERVER_KILLED: partial(self._stop_and_start, SERVER_KILLED, signal.SIGKILL),
        }
        if self._options.workers > 1:
            faults[WORKERS_REPLACED] = partial(self._touch, WORKERS_REPLACED, self._fleet.replace_workers)
            faults[WORKER_KILLED] = partial(self._touch, WORKER_KILLED, self._fleet.kill_worker)
        return faults

    async def _stop_and_start(self, fault: str, how: signal.Signals) -> None:
        server = self._dice.choice(self._fleet.restartable)
        with self._timeline.window(fault, frozenset({server.name})):
            await self._take(partial(server.stop, how), (0, 0.5), server.start)

    async def _touch(self, fault: str, what: Callable[..., None]) -> None:
        server = self._dice.choice(self._fleet.restartable)
        with self._timeline.window(fault, frozenset({server.name})):
            await self._take(partial(what, server))

    def _of_the_issuer(self) -> dict[str, Fault]:
        issuer = self._fleet.issuer
        away = partial(self._break, ISSUER_AWAY, issuer.stop, (0.5, 4), issuer.start)
        return {ISSUER_AWAY: away, KEY_ROTATED: self._rotate_key}

    async def _rotate_key(self) -> None:
        """Published at once, used after a while: sooner or later than a server may look for it again."""
        with self._timeline.window(KEY_ROTATED, self._fleet.everywhere) as window:
            kid = self._fleet.issuer.publish_key()
            await self._take((0, 2 * self._options.fault_pause))
            self._fleet.issuer.issuer.kid = kid
            self._new_key(window.began)
