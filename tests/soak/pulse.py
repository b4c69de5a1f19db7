"""Notices when the machine is too busy for the deadlines that are promised on one that is not."""

import asyncio
import contextlib
import os
import time
from collections import deque
from pathlib import Path

from tests.soak.fleet import STEADY, Fleet
from tests.soak.judge import MACHINE_STALLED, STORE
from tests.soak.timeline import Timeline

_BEAT = 0.05

# The deadline of a call to Redis is a little longer, and takes five beats.
_STALL = 0.2
_BEATS = 5

Waits = dict[int, float]


class Pulse:
    """Of this process, through which every call to Redis goes, of Redis, asked without it, and of the scheduler."""

    def __init__(self, fleet: Fleet, timeline: Timeline) -> None:
        self._fleet = fleet
        self._timeline = timeline

    async def of_this_process(self) -> None:
        while True:
            before = time.time()
            await asyncio.sleep(_BEAT)
            self._note(before, time.time() - before - _BEAT, self._fleet.everywhere)

    async def of_redis(self) -> None:
        """By hand: a client would try again by itself."""
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._fleet.redis.port)
                with contextlib.closing(writer):
                    await self._of_redis(reader, writer)
            await asyncio.sleep(_BEAT)

    async def _of_redis(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            before = time.time()
            writer.write(b"SET soak:pulse 1 PX 1000\r\n")
            if not await reader.readline():
                return
            self._note(before, time.time() - before, self._fleet.everywhere)
            await asyncio.sleep(_BEAT)

    async def of_the_scheduler(self) -> None:
        """All on the way of a request to Redis together must not wait for a processor too long."""
        beats: deque[tuple[float, Waits]] = deque(maxlen=_BEATS + 1)
        while True:
            ids = self._fleet.process_ids()
            beats.append((time.time(), {process: seconds_waited(process) for process in [*ids.values(), os.getpid()]}))
            common = _waited(beats, os.getpid()) + _waited(beats, ids["Redis"])
            for name in self._fleet.servers:
                workers = [process for known, process in ids.items() if known.startswith(f"server {name},")]
                longest = max((_waited(beats, process) for process in workers), default=0.0)
                self._note(beats[0][0], common + longest, frozenset({name}))
            await asyncio.sleep(_BEAT)

    def _note(self, before: float, late: float, servers: frozenset[str]) -> None:
        """Unless it is our own doing."""
        if late > _STALL and not any(self._timeline.find(STORE, STEADY, before, after=0.0)):
            self._timeline.note(MACHINE_STALLED, servers, before)


def _waited(beats: deque[tuple[float, Waits]], process: int) -> float:
    waits = [waits[process] for _, waits in beats if process in waits]
    return waits[-1] - waits[0] if waits else 0.0


def seconds_waited(process: int) -> float:
    """For how long its main thread was ready to run and did not; nothing where only Linux could say."""
    try:
        return int(Path(f"/proc/{process}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0
