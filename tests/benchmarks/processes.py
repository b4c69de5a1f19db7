"""Workers as processes that share one Redis, driven in process: no HTTP server and no load generator takes part.

A worker is told when to begin, so that all work at the same time; its proofs are signed before.
"""

import asyncio
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from typing import Any

from tests.benchmarks.bench import Bench, core, run, steady_heap, worker
from tests.benchmarks.figures import Spread, Table
from tests.benchmarks.material import FastIssuer, clients_of, fields_of, scope
from tests.benchmarks.subjects import many_at_a_time, nonce_of, protected, redis_store

SECTION = "processes"
# All have heard of it before this moment.
_HEAD_START = 0.3

_prepared: dict[str, Any] = {}


def prepare(url: str, secret: str, count: int) -> None:
    """Sign `count` requests; runs in the worker."""
    clients, now = clients_of(secret, 16), time.time()

    async def sign() -> list[dict[str, Any]]:
        store = redis_store(url)
        app = protected(store, FastIssuer(secret).jwks)
        nonce = await nonce_of(app, clients[0].fields(now=now, nonce=None))
        await store.aclose()
        return [scope(fields) for fields in fields_of(clients, count, now=now, nonce=nonce)]

    _prepared["scopes"] = run(sign)


def work(url: str, secret: str, begin_at: float) -> float:
    """Seconds per request of one worker; runs in it."""
    scopes = _prepared.pop("scopes")

    async def answer_all() -> float:
        store = redis_store(url)
        app = protected(store, FastIssuer(secret).jwks)
        # The nonces, the connection, keys and tokens are there before it begins.
        await many_at_a_time(app, scopes[:64])
        await asyncio.sleep(max(begin_at - time.time(), 0))
        with steady_heap():
            spent = await many_at_a_time(app, scopes[64:])
        await store.aclose()
        return spent

    return run(answer_all)


def _together(workers: list[ProcessPoolExecutor], url: str, secret: str, requests: int) -> float:
    """Requests per second of these workers together."""
    for ready in [process.submit(prepare, url, secret, requests) for process in workers]:
        ready.result()
    begin_at = time.time() + _HEAD_START
    return sum(1 / one.result() for one in [process.submit(work, url, secret, begin_at) for process in workers])


def run_section(bench: Bench) -> None:
    rates: dict[int, list[float]] = {1: [], 2: []}
    secret = FastIssuer().secret
    with bench.redis(pinned=False) as redis, ExitStack() as stack:
        workers = [stack.enter_context(worker(core(number))) for number in range(2)]
        for number in range(bench.rounds):
            for count, seen in rates.items():
                bench.step(f"{count} at a time, round {number + 1} of {bench.rounds}")
                seen.append(_together(workers[:count], redis.url, secret, bench.size(12_000, 300)))
    gain = Spread.of_ratios(rates[2], rates[1])
    bench.results.add(SECTION, "two processes against one, in process, one Redis", gain, "times", at_least=1.8)
    rows = [(count, round(Spread.of(seen).middle)) for count, seen in rates.items()]
    title = "Processes that share one Redis, driven in process"
    bench.results.tables.append(Table(title, ("processes", "requests/s"), rows))
