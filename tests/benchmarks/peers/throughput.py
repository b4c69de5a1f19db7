"""Requests per second over HTTP: one server process on one core, load and Redis on another, one server at a time."""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from tests.benchmarks.peers.api import ProtectedAPI, example
from tests.benchmarks.peers.processes import PACKAGE, Server, Worker, redis_binary, started_on
from tests.benchmarks.peers.verification import EACH_TIME
from tests.support.processes import RedisServer

OURS = "dpop_asgi, uvicorn, Redis"
EXPRESS = "express-oauth2-jwt-bearer, Express"
CONNECTIONS = 64
_MARGIN = 1.5
_WARM_UP = 3000


@dataclass(frozen=True)
class Row:
    """One line of the table: a contender, and whether its workers share what is in Redis."""

    name: str
    contender: str
    redis: bool = False


ROWS = (
    Row(OURS, "dpop_asgi", redis=True),
    Row(f"{OURS}, {EACH_TIME}", f"dpop_asgi, {EACH_TIME}", redis=True),
    Row("dpop_asgi, uvicorn, memory", "dpop_asgi"),
    Row("PyJWT by hand, uvicorn, Redis", "PyJWT by hand", redis=True),
    Row("pydpop + PyJWT, uvicorn, memory", "pydpop"),
    Row("pydpop + PyJWT, uvicorn, Redis", "pydpop", redis=True),
    Row(EXPRESS, "express-oauth2-jwt-bearer"),
    Row("oauth4webapi, node:http", "oauth4webapi"),
)


@dataclass
class _Seen:
    per_second: list[float] = field(default_factory=list)
    per_cpu_second: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    generator_busy: list[float] = field(default_factory=list)


def measure(*, quick: bool, tell: Callable[[str], None]) -> dict[str, Any]:
    """Medians over the rounds; each round has all servers in turn."""
    rounds, seconds = (2, 1.0) if quick else (7, 4.0)
    api = example()
    seen = {row.name: _Seen() for row in ROWS}
    with ExitStack() as stack:
        with started_on(measured=False):
            redis = stack.enter_context(RedisServer(redis_binary()))
        generator = [sys.executable, "-m", f"{PACKAGE}.generator"]
        load = stack.enter_context(Worker(generator, api, measured=False))
        servers = {row: stack.enter_context(_server(row, api, redis.url)) for row in ROWS}
        expected = {row: _run(load, servers[row], _WARM_UP, seconds)["per_second"] for row in ROWS}
        for number in range(rounds):
            for row in ROWS:
                tell(f"requests, round {number + 1} of {rounds}: {row.name}")
                result = _run(load, servers[row], int(expected[row] * seconds * _MARGIN) + CONNECTIONS, seconds)
                expected[row] = result["per_second"]
                _note(seen[row.name], result)
    rows = [_row(row, seen) for row in ROWS]
    return {"rounds": rounds, "seconds": seconds, "connections": CONNECTIONS, "rows": rows}


def _server(row: Row, api: ProtectedAPI, redis: str) -> Server:
    return Server(row.contender, api.but(redis=redis) if row.redis else api)


def _run(load: Worker, server: Server, count: int, seconds: float) -> dict[str, Any]:
    nonce, cpu = server.nonce, server.cpu_seconds
    result = load.ask(port=server.port, nonce=nonce, count=count, seconds=seconds, connections=CONNECTIONS)
    accepted = result["statuses"].pop("200", 0)
    if result["statuses"] or not accepted:
        raise RuntimeError(f"{server.name}: {accepted} accepted, others {result['statuses']}\n{server.log}")
    cpu_seconds = server.cpu_seconds - cpu if cpu is not None else None
    per_cpu_second = accepted / cpu_seconds if cpu_seconds else None
    return {**result, "per_second": accepted / result["seconds"], "per_cpu_second": per_cpu_second}


def _note(seen: _Seen, result: dict[str, Any]) -> None:
    seen.per_second.append(result["per_second"])
    seen.p50.append(result["p50"])
    seen.p99.append(result["p99"])
    seen.generator_busy.append(result["busy"])
    if result["per_cpu_second"] is not None:
        seen.per_cpu_second.append(result["per_cpu_second"])


def _row(row: Row, seen: dict[str, _Seen]) -> dict[str, Any]:
    mine, ours = seen[row.name], seen[OURS]
    return {
        "name": row.name,
        "requests_per_second": median(mine.per_second),
        "requests_per_cpu_second": median(mine.per_cpu_second) if mine.per_cpu_second else None,
        "milliseconds_p50": median(mine.p50) * 1e3,
        "milliseconds_p99": median(mine.p99) * 1e3,
        "generator_busy": median(mine.generator_busy),
        "ours_times": median(a / b for a, b in zip(ours.per_second, mine.per_second, strict=True)),
        "ours_times_per_cpu": _median_ratio(ours.per_cpu_second, mine.per_cpu_second),
    }


def _median_ratio(ours: list[float], others: list[float]) -> float | None:
    return median(a / b for a, b in zip(ours, others, strict=True)) if ours else None
