"""Where the time of a request goes, function by function.

The profiler makes every call dearer, so its shares are applied to the time that was measured without it; they still
overstate small functions.
"""

import asyncio
import cProfile
import pstats
import time
from typing import Any

from dpop_asgi import MemoryStore
from tests.benchmarks import cores
from tests.benchmarks.bench import Bench, Worker, run
from tests.benchmarks.figures import Table
from tests.benchmarks.in_process import ACCEPTED, CHALLENGE, COLD_CHALLENGE, FIRST, GARBAGE, prepared
from tests.benchmarks.material import FastIssuer
from tests.benchmarks.rounds import Row
from tests.benchmarks.subjects import protected

SECTION = "hot spots"
_ROWS = (ACCEPTED, FIRST, CHALLENGE, COLD_CHALLENGE, GARBAGE)
_SHOWN = 25

Spot = tuple[str, float, float]


def profile(name: str, count: int) -> list[Spot]:
    """Functions, microseconds by themselves and calls per request, dearest first; runs in a process of its own."""
    issuer = FastIssuer()
    app = protected(MemoryStore(), issuer.jwks)

    async def profiled() -> list[Spot]:
        row = (await prepared(app, issuer, 2 * count))[name]
        first, others = row.arrived(0, count), row.arrived(count)
        began = time.thread_time()
        await row.run(first)
        seconds = (time.thread_time() - began) / count
        return _spots(await _stats(row, others), seconds, count)

    return run(profiled)


async def _stats(row: Row, others: list[Any]) -> pstats.Stats:
    profiler = cProfile.Profile()
    await asyncio.sleep(0)
    profiler.enable()
    await row.run(others)
    profiler.disable()
    return pstats.Stats(profiler)


def _spots(stats: pstats.Stats, seconds: float, count: int) -> list[Spot]:
    found = stats.stats  # type: ignore[attr-defined]
    whole = sum(own for _, _, own, _, _ in found.values())
    spots = [
        (_name(function), own / whole * seconds * 1e6, calls / count)
        for function, (_, calls, own, _, _) in found.items()
    ]
    return sorted(spots, key=lambda spot: -spot[1])[:_SHOWN]


def _name(function: tuple[str, int, str]) -> str:
    file, line, name = function
    return name if file == "~" else f"{'/'.join(file.split('/')[-2:])}:{line} {name}"


def run_section(bench: Bench) -> None:
    with Worker(cores.tested()) as worker:
        for name in _ROWS:
            bench.step(name)
            spots = worker.call(profile, name, bench.size(2_000, 100))
            rows = [(spot, round(microseconds, 1), round(calls, 1)) for spot, microseconds, calls in spots]
            bench.results.tables.append(Table(f"Hot spots: {name}", ("function", "µs by itself", "calls"), rows))
