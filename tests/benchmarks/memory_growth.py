"""Memory over very many requests of very many clients: caches and the memory store fill up, then nothing grows.

One process signs, another one has the middleware in it and nothing else. Time is simulated: 1 ms from one request to
the next, so that nonces rotate, tokens leave their cache and proofs are forgotten as they would be at 1,000 requests/s.
"""

import multiprocessing
import resource
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from multiprocessing.connection import Connection
from pathlib import Path

from dpop_asgi import MemoryStore
from tests.benchmarks import cores
from tests.benchmarks.bench import Bench, run, settle
from tests.benchmarks.figures import Table
from tests.benchmarks.material import FastClient, FastIssuer, Fields, scope
from tests.benchmarks.subjects import App, Sink, nonce_of, protected

SECTION = "memory"
_START = 1_700_000_000.0
# So many batches: at most a few seconds pass from signing to answering.
_BATCHES = 500
_STEPS = 20
# By then the caches are full, and as many proofs are forgotten as are added. Some 120,000 are held, fewer just before a
# nonce dies than after: what is compared are the maxima of some periods.
_SETTLED, _LATER = 0.4, 0.7
# Of the process. Allocators keep some pages more or less. More than this is a leak, or the table of a dictionary that
# Python made anew just then, larger by what it held: 4 or 8 MB for the memory store's, of 110 MB. Blocks tell which.
_FLAT = 0.02
# Of what Python has allocated, in blocks, which tables do not change.
_SAME = 0.01


class _Time:
    """Moves on by as much with each request."""

    def __init__(self, step: float) -> None:
        self.now = _START
        self.step = step

    def __call__(self) -> float:
        return self.now


def serve(pipe: Connection, jwks: dict[str, object], step: float, core: int | None) -> None:
    """The process with the middleware: requests in, nonce and memory out."""
    settle(core)
    clock = _Time(step)
    app = protected(MemoryStore(clock=clock), jwks, clock=clock)

    async def answer_all() -> None:
        while (batch := pipe.recv()) is not None:
            nonce = await _answer(app, clock, batch)
            pipe.send((nonce, _memory()))

    run(answer_all)


async def _answer(app: App, clock: _Time, batch: list[Fields]) -> str:
    if len(batch) == 1:
        return await nonce_of(app, batch[0])
    sink = Sink()
    for fields in batch:
        clock.now += clock.step
        await app(scope(fields), sink.receive, sink.send)
    sink.expect(200)
    return await nonce_of(app, (batch[0][0], b"no.proof.now"))


@dataclass(frozen=True, slots=True)
class _Memory:
    """Of the process: bytes now and at most so far, and blocks that Python has allocated."""

    resident: int
    peak: int
    blocks: int


def _memory() -> _Memory:
    """What it takes now.

    Where /proc says it: elsewhere the maximum is that of the process that started this one, if that was larger.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return _Memory(peak, peak, sys.getallocatedblocks())
    lines = dict(line.split(":", 1) for line in status.read_text(encoding="ascii").splitlines())
    resident, peak = (int(lines[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
    return _Memory(resident, peak, sys.getallocatedblocks())


def _grown(bench: Bench, requests: int, keys: int, step: float) -> Iterator[tuple[int, _Memory]]:
    """Requests so far, and memory."""
    issuer = FastIssuer()
    context = multiprocessing.get_context("spawn")
    mine, its = context.Pipe()
    child = context.Process(target=serve, args=(its, issuer.jwks, step, cores.tested()))
    child.start()
    its.close()
    bench.step(f"{keys:,} keys")
    clients = [FastClient(issuer, now=_START, lifetime=1e9) for _ in range(keys)]
    mine.send([clients[0].fields(now=_START, nonce=None)])
    nonce, _ = mine.recv()
    endless, sent, size = cycle(clients), 0, requests // _BATCHES
    while sent < requests:
        # Signed while the batch before is being answered.
        now = _START + sent * step
        batch = [one.fields(now=now, nonce=nonce) for one in islice(endless, size)]
        if sent:
            nonce, memory = mine.recv()
            yield sent, memory
        mine.send(batch)
        sent += size
    _, memory = mine.recv()
    yield sent, memory
    mine.send(None)
    child.join()


def run_section(bench: Bench) -> None:
    requests, keys = bench.size(1_000_000, 20_000), bench.size(100_000, 5_000)
    seen, each = [], _BATCHES // _STEPS
    for sent, memory in _grown(bench, requests, keys, step=1000.0 / requests):
        seen.append((sent, memory))
        if len(seen) % each == 0:
            bench.step(f"{sent:,} requests")
    bench.results.tables.append(_table(seen[each - 1 :: each], keys))
    settled = [memory for sent, memory in seen if _SETTLED * requests <= sent < _LATER * requests]
    later = [memory for sent, memory in seen if sent >= _LATER * requests]
    span = f"from request {_SETTLED * requests:,.0f} to {requests:,}, {keys:,} keys"
    peak = later[-1].peak / settled[0].peak - 1
    bench.results.add(SECTION, f"growth of peak memory, {span}", peak, "of the whole", at_most=_FLAT)
    blocks = max(memory.blocks for memory in later) / max(memory.blocks for memory in settled) - 1
    bench.results.add(SECTION, f"growth of what Python has allocated, {span}", blocks, "of the whole", at_most=_SAME)


def _table(seen: list[tuple[int, _Memory]], keys: int) -> Table:
    rows = [
        (sent, round(memory.resident / 2**20, 1), round(memory.peak / 2**20, 1), memory.blocks) for sent, memory in seen
    ]
    columns = ("requests", "MiB", "peak MiB", "blocks")
    return Table(f"Memory of the process, {keys:,} distinct keys", columns, rows)
