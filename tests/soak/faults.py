"""What is broken, and when: three tracks beside each other, each with pauses of random length."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from random import Random

from tests.soak.fleet import Fleet, SoakServer, to_the_end
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


class Track:
    """Faults one after the other, in an order of chance in which none is left out."""

    def __init__(self, faults: dict[str, Fault], pause: float, dice: Random) -> None:
        self._faults = faults
        self._pause = pause
        self._dice = dice
        self._seen: set[str] = set()
        self._next: list[str] = []

    @property
    def complete(self) -> bool:
        """Whether everything has happened once."""
        return self._seen == self._faults.keys()

    async def run(self, *, until: float) -> None:
        while time.time() < until or not self.complete:
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
        pause = options.fault_pause
        self.tracks = [
            Track(self._of_redis(), pause, Random(dice.random())),
            Track(self._of_servers(), pause, Random(dice.random())),
            Track(self._of_the_issuer(), _ISSUER_PAUSES * pause, Random(dice.random())),
        ]

    async def run(self, *, until: float) -> None:
        async with asyncio.TaskGroup() as tasks:
            for track in self.tracks:
                tasks.create_task(track.run(until=until))

    def _of_redis(self) -> dict[str, Fault]:
        return {
            REDIS_KILLED: self._kill_redis,
            REDIS_FROZEN: self._freeze_redis,
            REDIS_RESTARTED_EMPTY: self._restart_redis_empty,
            REDIS_EMPTIED: self._empty_redis,
            REDIS_FAILED_OVER: self._fail_over,
            REDIS_HANDED_OVER: self._hand_over,
            NETWORK_SILENT: self._silence_network,
            CONNECTIONS_RESET: self._reset_connections,
            REPLY_LOST: self._lose_reply,
        }

    def _of_servers(self) -> dict[str, Fault]:
        faults: dict[str, Fault] = {SERVER_RESTARTED: self._restart_server, SERVER_KILLED: self._kill_server}
        if self._options.workers > 1:
            faults |= {WORKERS_REPLACED: self._replace_workers, WORKER_KILLED: self._kill_worker}
        return faults

    def _of_the_issuer(self) -> dict[str, Fault]:
        return {ISSUER_AWAY: self._stop_issuer, KEY_ROTATED: self._rotate_key}

    async def _pause(self, shortest: float, longest: float) -> None:
        await asyncio.sleep(self._dice.uniform(shortest, longest))

    async def _kill_redis(self) -> None:
        with self._timeline.window(REDIS_KILLED, self._fleet.everywhere):
            await to_the_end(self._fleet.redis.stop)
            await self._pause(0, 1.5)
            await to_the_end(self._fleet.start_redis)

    async def _freeze_redis(self) -> None:
        with self._timeline.window(REDIS_FROZEN, self._fleet.everywhere):
            os.kill(self._fleet.redis_id, signal.SIGSTOP)
            await self._pause(0.1, 2)
            os.kill(self._fleet.redis_id, signal.SIGCONT)

    async def _restart_redis_empty(self) -> None:
        with self._timeline.window(REDIS_RESTARTED_EMPTY, self._fleet.everywhere):
            await to_the_end(self._fleet.redis.stop)
            await to_the_end(self._fleet.forget)
            await self._pause(0, 1)
            await to_the_end(self._fleet.start_redis)

    async def _empty_redis(self) -> None:
        with self._timeline.window(REDIS_EMPTIED, self._fleet.everywhere):
            await to_the_end(self._fleet.redis.ask, "FLUSHALL")

    async def _fail_over(self) -> None:
        """The master dies, and its replica lacks what it was told last."""
        with self._timeline.window(REDIS_FAILED_OVER, self._fleet.everywhere):
            await to_the_end(self._fleet.leave_replica_behind)
            await self._pause(0, 1)
            await to_the_end(self._fleet.redis.stop)
            await self._pause(0, 1)
            await to_the_end(self._fleet.promote)
        await to_the_end(self._fleet.demote)

    async def _hand_over(self) -> None:
        """The replica is promoted while the old master still takes writes over the connections that it has."""
        with self._timeline.window(REDIS_HANDED_OVER, self._fleet.everywhere):
            await to_the_end(self._fleet.promote)
            await self._pause(0, 1)
            await to_the_end(self._fleet.demote)

    async def _silence_network(self) -> None:
        with self._timeline.window(NETWORK_SILENT, self._fleet.everywhere):
            self._fleet.network.silent = True
            await self._pause(0.1, 2)
            self._fleet.network.heal()

    async def _reset_connections(self) -> None:
        with self._timeline.window(CONNECTIONS_RESET, self._fleet.everywhere):
            self._fleet.network.reset_connections()

    async def _lose_reply(self) -> None:
        network = self._fleet.network
        lost = network.replies_lost
        with self._timeline.window(REPLY_LOST, self._fleet.everywhere):
            network.lose_reply_to = b"SET"
            while network.replies_lost == lost:  # noqa: ASYNC110 - the proxy tells nobody
                await asyncio.sleep(0.01)
            network.heal()

    async def _restart_server(self) -> None:
        await self._stop_and_start(SERVER_RESTARTED, signal.SIGTERM)

    async def _kill_server(self) -> None:
        await self._stop_and_start(SERVER_KILLED, signal.SIGKILL)

    async def _stop_and_start(self, fault: str, how: signal.Signals) -> None:
        server = self._any_server()
        with self._timeline.window(fault, frozenset({server.name})):
            await to_the_end(server.stop, how)
            await self._pause(0, 0.5)
            await to_the_end(server.start)

    async def _kill_worker(self) -> None:
        server = self._any_server()
        with self._timeline.window(WORKER_KILLED, frozenset({server.name})):
            await to_the_end(self._fleet.kill_worker, server)

    async def _replace_workers(self) -> None:
        server = self._any_server()
        with self._timeline.window(WORKERS_REPLACED, frozenset({server.name})):
            await to_the_end(self._fleet.replace_workers, server)

    def _any_server(self) -> SoakServer:
        return self._dice.choice(self._fleet.restartable)

    async def _stop_issuer(self) -> None:
        with self._timeline.window(ISSUER_AWAY, self._fleet.everywhere):
            await to_the_end(self._fleet.issuer.stop)
            await self._pause(0.5, 4)
            await to_the_end(self._fleet.issuer.start)

    async def _rotate_key(self) -> None:
        """Published at once, used after a while: sooner or later than a server may look for it again."""
        with self._timeline.window(KEY_ROTATED, self._fleet.everywhere) as window:
            kid = self._fleet.issuer.publish_key()
            await self._pause(0, 2 * self._options.fault_pause)
            self._fleet.issuer.issuer.kid = kid
            self._new_key(window.began)
