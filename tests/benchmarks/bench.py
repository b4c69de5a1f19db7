"""What every section works with: options, results, processes that measure, and which core does what.

The program under test has a core for itself, what loads it has another.
"""

import asyncio
import gc
import logging
import multiprocessing
import os
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import uvloop

from tests.benchmarks.figures import Results
from tests.support.processes import RedisServer

_Result = TypeVar("_Result")


def core(number: int) -> int | None:
    """0 is for what is tested, 1 for what loads it, 2 for Redis; `None` where there is none, or none can be chosen."""
    usable = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return usable[number] if 1 < len(usable) > number else None


def pin(core: int | None, pid: int = 0) -> None:
    """Keep a process (this one by default) on one core; `None` leaves it where it is."""
    if core is not None:
        os.sched_setaffinity(pid, {core})


@dataclass(slots=True)
class Bench:
    """One run.

    Attributes:
        quick: small sizes, to see that it works; the figures are then worth little.
        repeat: how often each measurement is made anew, with new keys and proofs.
        redis_binary: the server program.
        results: where figures go.
        step: is told what is measured next.
    """

    quick: bool
    repeat: int
    redis_binary: str
    results: Results = field(default_factory=Results)
    step: Callable[[str], None] = lambda _: None

    @property
    def rounds(self) -> int:
        """How often what takes seconds is measured: a noisy neighbour must not decide."""
        return 1 if self.quick else 3 * self.repeat

    def size(self, full: float, quick: float) -> Any:
        return quick if self.quick else full

    @contextmanager
    def redis(self, *, pinned: bool = True) -> Iterator[RedisServer]:
        """A Redis of its own, on its core unless it may go where there is room."""
        with RedisServer(self.redis_binary) as server:
            if pinned:
                pin(core(2), server.process_id)
            yield server

    def pooled(self, measure: Callable[..., dict[str, list[float]]], *given: Any) -> dict[str, list[float]]:
        """The samples of several runs, each of them in a process that measures."""
        pooled: dict[str, list[float]] = {}
        for number in range(self.repeat):
            self.step(f"run {number + 1} of {self.repeat}")
            with worker(core(0)) as process:
                for name, samples in process.submit(measure, *given).result().items():
                    pooled.setdefault(name, []).extend(samples)
        return pooled


def worker(core: int | None) -> ProcessPoolExecutor:
    """A process that measures, on a core of its own: nothing else runs in it, no display, no other section."""
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, mp_context=context, initializer=settle, initargs=(core,))


def settle(core: int | None) -> None:
    """What a process that measures does first."""
    pin(core)
    # A memory store in a child process warns of several workers.
    logging.getLogger("dpop_asgi").setLevel(logging.ERROR)


def run(main: Callable[[], Awaitable[_Result]]) -> _Result:
    """Run on the event loop that uvicorn uses."""

    async def awaited() -> _Result:
        return await main()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(awaited())


@contextmanager
def steady_heap() -> Iterator[None]:
    """What was prepared is left out of garbage collection, which stays on as in a server."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
