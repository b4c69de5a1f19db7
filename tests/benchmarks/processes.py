"""Workers as processes that share one Redis, driven in process: no HTTP server and no load generator takes part.

A worker is told when to begin, so that all work at the same time; its proofs are signed before.
"""

import asyncio
import time
from contextlib import ExitStack
from functools import cache
from typing import Any

from tests.benchmarks import cores
from tests.benchmarks.bench import Bench, Worker, run, steady_heap
from tests.benchmarks.figures import Spread, Table
from tests.benchmarks.in_flight import many_at_a_time
from tests.benchmarks.material import FastClient, FastIssuer, fields_of, scope
from tests.benchmarks.subjects import nonce_of, protected, redis_store

SECTION = "processes"
CPU_MICROSECONDS = "worker: µs of its CPU per request, Redis store"
_CLIENTS = 16
# Signing takes place before this moment.
_HEAD_START = 0.3

_prepared: dict[str, Any] = {}


@cache
def _known(secret: int) -> list[FastClient]:
    issuer, now = FastIssuer(secret), time.time()
    return [FastClient(issuer, now=now, lifetime=86_400) for _ in range(_CLIENTS)]


def prepare(url: str, secret: int, count: int) -> None:
    """Sign `count` requests; runs in the worker."""
    clients, now = _known(secret), time.time()

    async def sign() -> list[dict[str, Any]]:
        store = redis_store(url)
        app = protected(store, FastIssuer(secret).jwks)
        nonce = await nonce_of(app, clients[0].fields(now=now, nonce=None))
        await store.aclose()
        return [scope(fields) for fields in fields_of(clients, count, now=now, nonce=nonce)]

    _prepared["scopes"] = run(sign)


def work(url: str, secret: int, begin_at: float) -> tuple[float, float]:
    """Requests per second, and CPU seconds per request, of one worker; runs in it."""
    scopes = _prepared.pop("scopes")

    async def answer_all() -> tuple[float, float]:
        store = redis_store(url)
        app = protected(store, FastIssuer(secret).jwks)
        # The nonces, the connection, keys and tokens are there before it begins.
        await many_at_a_time(app, scopes[:64])
        await asyncio.sleep(max(begin_at - time.time(), 0))
        with steady_heap():
            done = await many_at_a_time(app, scopes[64:])
        await store.aclose()
        return done.count / done.seconds, done.cpu_seconds / done.count

    return run(answer_all)


class Fleet:
    """Workers, each on one core as long as there are enough."""

    def __init__(self, url: str, workers: list[Worker]) -> None:
        self._url = url
        self._workers = workers
        self._secret = FastIssuer().secret

    def rate(self, count: int, requests: int) -> tuple[float, float]:
        """Requests per second of `count` workers together, and CPU seconds per request."""
        chosen = self._workers[:count]
        for ready in [worker.submit(prepare, self._url, self._secret, requests) for worker in chosen]:
            ready.result()
        begin_at = time.time() + _HEAD_START
        under_way = [worker.submit(work, self._url, self._secret, begin_at) for worker in chosen]
        seen = [one.result() for one in under_way]
        return sum(rate for rate, _ in seen), sum(cpu for _, cpu in seen) / count


def fleet(stack: ExitStack, url: str, count: int) -> Fleet:
    usable = cores.available() or [None]
    return Fleet(url, [stack.enter_context(Worker(usable[number % len(usable)])) for number in range(count)])


def run_section(bench: Bench) -> None:
    rates: dict[int, list[float]] = {1: [], 2: []}
    cpu: list[float] = []
    with bench.redis(pinned=False) as redis, ExitStack() as stack:
        ready = fleet(stack, redis.url, 2)
        for _ in range(bench.rounds):
            for count, seen in rates.items():
                bench.step(f"{count} at a time")
                rate, cost = ready.rate(count, bench.size(12_000, 1_000))
                seen.append(rate)
                cpu += [cost] if count == 1 else []
    gain = Spread.of_ratios(rates[2], rates[1])
    bench.results.add(SECTION, "two processes against one, in process, one Redis", gain, "times", at_least=1.8)
    bench.results.measured[CPU_MICROSECONDS] = Spread.of(cpu).middle * 1e6
    rows = [(count, round(Spread.of(seen).middle)) for count, seen in rates.items()]
    title = "Processes that share one Redis, driven in process"
    bench.results.tables.append(Table(title, ("processes", "requests/s"), rows))
