"""How many workers, how much Redis: computed from what was measured, as a table for docs/performance.md."""

import math
from dataclasses import dataclass

from dpop_asgi import ProofPolicy
from dpop_asgi.replay import _MARGIN_SECONDS
from tests.benchmarks import redis_cost
from tests.benchmarks.bench import Bench
from tests.benchmarks.end_to_end import SERVED_MICROSECONDS
from tests.benchmarks.figures import Table
from tests.benchmarks.processes import CPU_MICROSECONDS

SECTION = "sizing"
RATES = (100, 1_000, 10_000, 100_000, 1_000_000)

# A worker that is busier than this lets requests wait; a Redis shard has other things to do as well.
_WORKER_LOAD = 0.7
_SHARD_LOAD = 0.5
_SHARD_BYTES = 8 * 2**30


@dataclass(frozen=True, slots=True)
class Costs:
    """What was measured.

    Attributes:
        worker: CPU seconds of a worker per request, HTTP server included.
        shard: CPU seconds of Redis per proof.
        proof: bytes of Redis per proof.
        lifetime: seconds for which a proof is remembered, with a margin for clocks that differ.
    """

    worker: float
    shard: float
    proof: float
    lifetime: float


@dataclass(frozen=True, slots=True)
class Size:
    """What a rate needs."""

    rate: int
    workers: int
    proofs: int
    memory: float
    shards: int


def size(rate: int, costs: Costs) -> Size:
    """The formula."""
    proofs = math.ceil(rate * costs.lifetime)
    memory = proofs * costs.proof
    shards = max(rate * costs.shard / _SHARD_LOAD, memory / _SHARD_BYTES)
    return Size(rate, math.ceil(rate * costs.worker / _WORKER_LOAD), proofs, memory, math.ceil(shards))


def run_section(bench: Bench) -> None:
    measured = bench.results.measured
    missing = [name for name in (CPU_MICROSECONDS, redis_cost.BYTES) if name not in measured]
    if missing:
        return
    costs = Costs(
        worker=measured.get(SERVED_MICROSECONDS, measured[CPU_MICROSECONDS]) / 1e6,
        shard=measured[redis_cost.MICROSECONDS] / 1e6,
        proof=measured[redis_cost.BYTES],
        lifetime=ProofPolicy().max_age + _MARGIN_SECONDS,
    )
    rows = [_row(size(rate, costs)) for rate in RATES]
    columns = ("requests/s", "workers", "commands/s", "proofs held", "memory in Redis", "shards")
    title = f"Sizing: {costs.worker * 1e6:.0f} µs of a worker and {costs.shard * 1e6:.1f} µs of Redis per request, "
    title += f"{costs.proof:.0f} bytes per proof, held for {costs.lifetime:g} s"
    note = "workers = rate x worker seconds / 0.7; memory = rate x lifetime x bytes; "
    note += "shards = the larger of rate x Redis seconds / 0.5 and memory / 8 GiB"
    bench.results.tables.append(Table(title, columns, rows, note))


def _row(needed: Size) -> tuple[str, ...]:
    numbers = (needed.rate, needed.workers, needed.rate, needed.proofs)
    return (*(f"{number:,}" for number in numbers), _bytes(needed.memory), str(needed.shards))


def _bytes(number: float) -> str:
    return f"{number / 2**30:,.1f} GiB" if number >= 2**30 else f"{number / 2**20:,.1f} MiB"


def markdown(table: Table) -> str:
    """As in docs/performance.md."""
    lines = [table.columns, ("---:",) * len(table.columns), *table.rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
