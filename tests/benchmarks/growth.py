"""What a request costs as what surrounds it grows: clients, tokens, remembered proofs, workers."""

import math
import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

from dpop_asgi import MemoryStore
from tests.benchmarks import cores
from tests.benchmarks.bench import Bench, Worker, run
from tests.benchmarks.figures import Spread, Table
from tests.benchmarks.in_flight import many_at_a_time
from tests.benchmarks.in_process import UNIT
from tests.benchmarks.material import FastClient, FastIssuer, Fields, fields_of, scope
from tests.benchmarks.processes import fleet
from tests.benchmarks.redis_cost import remember
from tests.benchmarks.rounds import CHUNK, VERIFY, in_turn, requests, verifications
from tests.benchmarks.subjects import nonce_of, protected, redis_store

SECTION = "growth"
_POPULATIONS = (10, 100, 1_000, 10_000, 100_000, 1_000_000)
_PROOFS_IN_MEMORY = (0, 1_000, 10_000, 100_000, 400_000)
_PROOFS_IN_REDIS = (0, 10_000, 100_000, 1_000_000)
_WORKERS = (1, 2, 4)
# Twice the size of the caches: after so many draws they are as full as they get.
_WARM_UP = 8_192

Seconds = dict[str, list[float]]


class _Population:
    """So many clients, or clients' tokens, one of which asks at random. Those never drawn are never made."""

    def __init__(self, issuer: FastIssuer, size: int, kind: str) -> None:
        self._issuer = issuer
        self._size = size
        self._chance = random.Random(size)
        self._made: dict[int, FastClient] = {}
        self._owners = [FastClient(issuer, now=time.time()) for _ in range(10)] if kind == "tokens" else []

    def draw(self) -> FastClient:
        number = self._chance.randrange(self._size)
        if number not in self._made:
            self._made[number] = self._make(number)
        return self._made[number]

    def _make(self, number: int) -> FastClient:
        if not self._owners:
            return FastClient(self._issuer, now=time.time())
        return self._owners[number % len(self._owners)].with_another_token(self._issuer, now=time.time())

    def fields(self, count: int, nonce: str) -> Iterator[Fields]:
        return (self.draw().fields(now=time.time(), nonce=nonce) for _ in range(count))


def of_population(size: int, kind: str, rounds: int) -> Seconds:
    """Requests of so many `clients`, or with so many `tokens`; runs in a process of its own."""
    issuer = FastIssuer()
    app = protected(MemoryStore(), issuer.jwks)
    population = _Population(issuer, size, kind)

    async def measured() -> Seconds:
        nonce = await nonce_of(app, population.draw().fields(now=time.time(), nonce=None))
        warm_up = requests(app, population.fields(min(_WARM_UP, 4 * size), nonce), status=200)
        await warm_up.run(warm_up.arrived(0))
        asked = requests(app, population.fields(rounds * CHUNK, nonce), status=200)
        return await in_turn({VERIFY: verifications(rounds * CHUNK), "request": asked}, rounds)

    return run(measured)


def beside_proofs_in_memory(outstanding: int, rounds: int) -> Seconds:
    """Accepted requests while the memory store remembers so many proofs; runs in a process of its own."""
    issuer, store = FastIssuer(), MemoryStore()
    app = protected(store, issuer.jwks)
    clients = [FastClient(issuer, now=time.time()) for _ in range(8)]

    async def measured() -> Seconds:
        for number in range(outstanding):
            await store.put_if_absent(f"dpop:jti:v1:{number:032}", "12345678", ttl=60 + number % 70)
        nonce = await nonce_of(app, clients[0].fields(now=time.time(), nonce=None))
        asked = requests(app, fields_of(clients, rounds * CHUNK, now=time.time(), nonce=nonce), status=200)
        return await in_turn({VERIFY: verifications(rounds * CHUNK), "request": asked}, rounds)

    return run(measured)


def beside_proofs_in_redis(url: str, count: int) -> float:
    """CPU seconds per accepted request with a Redis store that somebody has filled; runs in a process of its own."""
    issuer = FastIssuer()
    clients = [FastClient(issuer, now=time.time()) for _ in range(8)]

    async def measured() -> float:
        store = redis_store(url)
        app = protected(store, issuer.jwks)
        nonce = await nonce_of(app, clients[0].fields(now=time.time(), nonce=None))
        scopes: list[Any] = [scope(one) for one in fields_of(clients, count, now=time.time(), nonce=nonce)]
        await many_at_a_time(app, scopes[:64])
        done = await many_at_a_time(app, scopes[64:])
        await store.aclose()
        return done.cpu_seconds / done.count

    return run(measured)


def _line(number: int, seen: Seconds) -> tuple[str, float, float]:
    ratio = Spread.of_ratios(seen["request"], seen[VERIFY]).middle
    return f"{number:,}", round(Spread.of(seen["request"]).middle * 1e6, 1), round(ratio, 2)


def run_section(bench: Bench) -> None:
    rounds = bench.size(80, 8)
    with Worker(cores.tested()) as worker:
        for kind in ("clients", "tokens"):
            _in_process(bench, f"Distinct {kind}", _POPULATIONS, lambda n: worker.call(of_population, n, kind, rounds))  # noqa: B023
        _in_process(
            bench,
            "Proofs in the memory store",
            _PROOFS_IN_MEMORY,
            lambda n: worker.call(beside_proofs_in_memory, n, rounds),
        )
        _proofs_in_redis(bench, worker)
    _workers(bench)


def _in_process(bench: Bench, title: str, sizes: tuple[int, ...], measure: Callable[[int], Seconds]) -> None:
    rows = []
    for size in sizes[:2] if bench.quick else sizes:
        bench.step(f"{title}: {size:,}")
        rows.append(_line(size, measure(size)))
    bench.results.tables.append(Table(title, ("number", "µs per request", UNIT), rows))


def _proofs_in_redis(bench: Bench, worker: Worker) -> None:
    rows = []
    for size in _PROOFS_IN_REDIS[:2] if bench.quick else _PROOFS_IN_REDIS:
        bench.step(f"Proofs in Redis: {size:,}")
        with bench.redis() as redis:
            found = worker.call(remember, redis.url, size) if size else {"bytes": 0.0}
            seconds = worker.call(beside_proofs_in_redis, redis.url, bench.size(6_000, 500))
        rows.append((f"{size:,}", round(seconds * 1e6, 1), round(found["bytes"], 1)))
    columns = ("number", "µs of the worker's CPU per request", "bytes per proof")
    bench.results.tables.append(Table("Proofs in Redis", columns, rows))


def _workers(bench: Bench) -> None:
    rows = []
    with bench.redis(pinned=False) as redis, ExitStack() as stack:
        ready = fleet(stack, redis.url, max(_WORKERS))
        for count in _WORKERS:
            bench.step(f"{count} workers")
            seen = [ready.rate(count, bench.size(10_000, 500)) for _ in range(min(bench.rounds, 3))]
            rate, cpu = (Spread.of([one[place] for one in seen]).middle for place in (0, 1))
            rows.append((count, round(rate), round(cpu * 1e6, 1)))
    found = len(cores.available()) or math.nan
    note = f"this machine has {found:g} cores, and Redis takes a part of one"
    columns = ("workers", "requests/s", "µs of CPU per request")
    bench.results.tables.append(Table("Workers in process, one Redis", columns, rows, note))
