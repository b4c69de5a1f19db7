"""What every section works with: options, results, processes that measure, progress."""

import asyncio
import gc
import logging
import multiprocessing
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

import uvloop

from tests.benchmarks import cores
from tests.benchmarks.figures import Results
from tests.support.processes import RedisServer

_Result = TypeVar("_Result")


def _nothing(_: str) -> None: ...


@dataclass(slots=True)
class Bench:
    """One run.

    Attributes:
        quick: small sizes, to see that it works; the figures are then worth little.
        repeat: how often each measurement is made anew, with new keys and proofs.
        redis_binary: the server program.
        results: where figures go.
        step: tells the progress bar that one repetition of something is done.
    """

    quick: bool
    repeat: int
    redis_binary: str
    results: Results = field(default_factory=Results)
    step: Callable[[str], None] = _nothing

    @property
    def rounds(self) -> int:
        """How often what takes seconds is measured: a noisy neighbour must not decide."""
        return 1 if self.quick else 3 * self.repeat

    def size(self, full: int, quick: int) -> int:
        return quick if self.quick else full

    def seconds(self, full: float, quick: float) -> float:
        return quick if self.quick else full

    @contextmanager
    def redis(self, *, pinned: bool = True) -> Iterator[RedisServer]:
        """A Redis of its own, on its core unless it may go where there is room."""
        with RedisServer(self.redis_binary) as server:
            with server.client() as connection:
                process = connection.info("server")["process_id"]
            if pinned:
                cores.pin(cores.redis(), process)
            yield server


class Worker:
    """A process that measures, on a core of its own: nothing else runs in it, no progress bar, no other section."""

    def __init__(self, core: int | None) -> None:
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(1, mp_context=context, initializer=settle, initargs=(core,))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def submit(self, function: Callable[..., _Result], *arguments: Any) -> "Future[_Result]":
        return self._pool.submit(function, *arguments)

    def call(self, function: Callable[..., _Result], *arguments: Any) -> _Result:
        return self.submit(function, *arguments).result()


def settle(core: int | None) -> None:
    """What a process that measures does first."""
    cores.pin(core)
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
