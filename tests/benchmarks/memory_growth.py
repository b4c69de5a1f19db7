"""Memory over very many requests of very many clients: caches and the memory store fill up, then nothing grows.

One process signs, another one has the middleware in it and nothing else. Time is simulated: 1 ms from one request to
the next, so that nonces rotate, tokens leave their cache and proofs are forgotten as they would be at 1,000 requests/s.
"""

import multiprocessing
import resource
import sys
from collections.abc import Iterator
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
# By then the caches are full, and as many proofs are forgotten as are added.
_SETTLED = 0.4
# Of the process. Allocators keep some pages more or less.
_FLAT = 0.02


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
            pipe.send((nonce, *_memory()))

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


def _memory() -> tuple[int, int]:
    """Bytes now and at most so far.

    Where /proc says it: elsewhere the maximum is that of the process that started this one, if that was larger.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return peak, peak
    lines = dict(line.split(":", 1) for line in status.read_text(encoding="ascii").splitlines())
    return int(lines["VmRSS"].split()[0]) * 1024, int(lines["VmHWM"].split()[0]) * 1024


def _grown(bench: Bench, requests: int, keys: int, step: float) -> Iterator[tuple[int, int, int]]:
    """Requests so far, memory now, and peak memory."""
    issuer = FastIssuer()
    context = multiprocessing.get_context("spawn")
    mine, its = context.Pipe()
    child = context.Process(target=serve, args=(its, issuer.jwks, step, cores.tested()))
    child.start()
    its.close()
    bench.step(f"{keys:,} keys")
    clients = [FastClient(issuer, now=_START, lifetime=1e9) for _ in range(keys)]
    mine.send([clients[0].fields(now=_START, nonce=None)])
    nonce, _, _ = mine.recv()
    endless, sent, size = cycle(clients), 0, requests // _BATCHES
    while sent < requests:
        # Signed while the batch before is being answered.
        now = _START + sent * step
        batch = [one.fields(now=now, nonce=nonce) for one in islice(endless, size)]
        if sent:
            nonce, resident, peak = mine.recv()
            yield sent, resident, peak
        mine.send(batch)
        sent += size
    _, resident, peak = mine.recv()
    yield sent, resident, peak
    mine.send(None)
    child.join()


def run_section(bench: Bench) -> None:
    requests, keys = bench.size(1_000_000, 20_000), bench.size(100_000, 5_000)
    rows, mark = [], 0
    for sent, resident, peak in _grown(bench, requests, keys, step=1000.0 / requests):
        if sent * _STEPS // requests > mark:
            mark = sent * _STEPS // requests
            bench.step(f"{sent:,} requests")
            rows.append((sent, round(resident / 2**20, 1), round(peak / 2**20, 1)))
    settled = next(row for row in rows if row[0] >= _SETTLED * requests)
    growth = rows[-1][2] / settled[2] - 1
    what = f"growth of peak memory, from request {settled[0]:,} to {rows[-1][0]:,}, {keys:,} keys"
    bench.results.add(SECTION, what, growth, "of the whole", at_most=_FLAT)
    columns = ("requests", "MiB", "peak MiB")
    bench.results.tables.append(Table(f"Memory of the process, {keys:,} distinct keys", columns, rows))
