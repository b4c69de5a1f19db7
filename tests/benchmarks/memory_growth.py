"""Memory over very many requests of very many clients: caches and the memory store fill up, then nothing grows.

One process signs, another one has the middleware in it and nothing else. Time is simulated: 1 ms from one request to
the next, so that nonces rotate, tokens leave their cache and proofs are forgotten as they would be at 1,000 requests/s.
"""

import multiprocessing
import sys
from collections.abc import Iterator
from itertools import cycle, islice
from multiprocessing.connection import Connection

from dpop_asgi import MemoryStore
from dpop_asgi.testing import ManualClock
from tests.benchmarks.bench import Bench, core, run, settle
from tests.benchmarks.figures import Table
from tests.benchmarks.material import FastClient, FastIssuer, Fields, scope
from tests.benchmarks.subjects import App, Sink, nonce_of, protected

SECTION = "memory"
_START = 1_700_000_000.0
# So many batches: at most a few seconds pass from signing to answering.
_BATCHES = 500
_SHOWN = 25
# By then the caches are full, and as many proofs are forgotten as are added. Some 120,000 are held, fewer just before a
# nonce dies than after: what is compared are the maxima of some periods.
_SETTLED, _LATER = 0.4, 0.7
# Of the blocks that Python has allocated. Not of the process's bytes: they jump by megabytes whenever Python makes the
# table of a large dictionary anew.
_SAME = 0.01


def serve(pipe: Connection, jwks: dict[str, object], step: float, on_core: int | None) -> None:
    """The process with the middleware: requests in, nonce and number of allocated blocks out."""
    settle(on_core)
    clock = ManualClock(_START)
    app = protected(MemoryStore(clock=clock), jwks, clock=clock)

    async def answer_all() -> None:
        while (batch := pipe.recv()) is not None:
            nonce = await _answer(app, clock, step, batch)
            pipe.send((nonce, sys.getallocatedblocks()))

    run(answer_all)


async def _answer(app: App, clock: ManualClock, step: float, batch: list[Fields]) -> str:
    if len(batch) == 1:
        return await nonce_of(app, batch[0])
    sink = Sink()
    for fields in batch:
        clock.advance(step)
        await app(scope(fields), sink.receive, sink.send)
    sink.expect(200)
    return await nonce_of(app, (batch[0][0], b"no.proof.now"))


def _grown(requests: int, keys: int) -> Iterator[tuple[int, int]]:
    """Requests so far, and blocks."""
    issuer, step = FastIssuer(), 1000.0 / requests
    context = multiprocessing.get_context("spawn")
    mine, its = context.Pipe()
    child = context.Process(target=serve, args=(its, issuer.jwks, step, core(0)), daemon=True)
    child.start()
    its.close()
    clients = [FastClient(issuer, now=_START, lifetime=1e9) for _ in range(keys)]
    mine.send([clients[0].fields(now=_START, nonce=None)])
    nonce, _ = mine.recv()
    endless, size = cycle(clients), requests // _BATCHES
    for sent in range(0, requests, size):
        # Signed while the batch before is being answered.
        batch = [one.fields(now=_START + sent * step, nonce=nonce) for one in islice(endless, size)]
        if sent:
            nonce, blocks = mine.recv()
            yield sent, blocks
        mine.send(batch)
    yield requests, mine.recv()[1]
    mine.send(None)
    child.join()


def run_section(bench: Bench) -> None:
    requests, keys = bench.size(1_000_000, 2_000), bench.size(100_000, 500)
    bench.step(f"{keys:,} keys")
    seen = []
    for sent, blocks in _grown(requests, keys):
        bench.step(f"{sent:,} of {requests:,} requests")
        seen.append((sent, blocks))
    rows = seen[_SHOWN - 1 :: _SHOWN]
    bench.results.tables.append(Table(f"Memory, {keys:,} distinct keys", ("requests", "blocks"), rows))
    settled = max(blocks for sent, blocks in seen if _SETTLED * requests <= sent < _LATER * requests)
    later = max(blocks for sent, blocks in seen if sent >= _LATER * requests)
    what = f"growth of what Python has allocated, request {_SETTLED * requests:,.0f} to {requests:,}, {keys:,} keys"
    bench.results.add(SECTION, what, later / settled - 1, "of the whole", at_most=_SAME)
