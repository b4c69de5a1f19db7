"""Requests in process, many at a time: what a worker does, without an HTTP server around it."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.subjects import App, Sink


@dataclass(frozen=True, slots=True)
class Done:
    """How many requests, and in how many seconds of the clock and of this process's CPU time."""

    count: int
    seconds: float
    cpu_seconds: float


async def many_at_a_time(app: App, scopes: list[dict[str, Any]], *, status: int = 200, tasks: int = 64) -> Done:
    """Let `tasks` clients have one request under way each, until all are answered, and all with `status`."""
    sink, waiting = Sink(), iter(scopes)
    began, cpu = time.perf_counter(), time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(tasks):
            group.create_task(_client(app, waiting, sink))
    done = Done(len(scopes), time.perf_counter() - began, time.process_time() - cpu)
    sink.expect(status)
    return done


async def _client(app: App, waiting: Iterator[dict[str, Any]], sink: Sink) -> None:
    for scope in waiting:
        await app(scope, sink.receive, sink.send)
