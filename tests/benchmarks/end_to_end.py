"""Over HTTP: requests per second at saturation, latency at a given rate, and both against concurrency.

All servers run at the same time, one core for them all, and are loaded in turn, again and again: a ratio is formed
between neighbours in time.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from tests.benchmarks import clients, cores
from tests.benchmarks.bench import Bench, Worker
from tests.benchmarks.figures import Spread, Table
from tests.benchmarks.material import FastIssuer
from tests.benchmarks.server import Server
from tests.benchmarks.subjects import BARE, FLOOR, MEMORY, REDIS, UNBATCHED

THROUGHPUT, CONCURRENCY, LATENCY = "throughput", "concurrency", "latency"
SERVED_MICROSECONDS = "worker: µs of its CPU per request over HTTP, Redis store"
CONNECTIONS = 64
PLOTTED = (BARE, MEMORY, REDIS, UNBATCHED)

# Requests per second to have ready in the first round; from then on a little more than the last one took.
_FIRST_GUESS, _QUICK_GUESS = 8000, 1500
_MARGIN = 1.4
_LEAST = 3000.0
_RATIOS = (
    ("Redis store against memory store", REDIS, MEMORY, 0.9),
    ("Redis store against one SET per request without batching", REDIS, UNBATCHED, 1.5),
    ("memory store against the floor", MEMORY, FLOOR, 0.75),
    ("Redis store against the floor", REDIS, FLOOR, 0.7),
)


class Field:
    """The servers and the load, ready."""

    def __init__(self, issuer: FastIssuer, load: Worker, servers: dict[str, Server], *, first_guess: float) -> None:
        self._issuer = issuer
        self._first_guess = first_guess
        self._load = load
        self._servers = servers
        self._guess: dict[str, float] = {}

    def saturate(self, name: str, *, connections: int, seconds: float) -> dict[str, Any]:
        server = self._servers[name]
        guess = self._guess.get(name, self._first_guess)
        arguments = (server.port, server.pid, self._issuer.secret, connections, seconds, guess)
        seen = self._load.call(clients.saturate, *arguments)
        self._guess[name] = max(seen["per_second"] * _MARGIN, min(_LEAST, self._first_guess))
        return seen

    def steady(self, name: str, *, rate: float, seconds: float) -> dict[str, Any]:
        server = self._servers[name]
        return self._load.call(clients.steady, server.port, server.pid, self._issuer.secret, rate, seconds)


@contextmanager
def field(bench: Bench, *names: str) -> Iterator[Field]:
    issuer = FastIssuer()
    with ExitStack() as stack:
        redis = stack.enter_context(bench.redis())
        load = stack.enter_context(Worker(cores.loading()))
        given = {"core": cores.tested(), "redis_url": redis.url, "issuer": issuer}
        servers = {name: stack.enter_context(Server(name, **given)) for name in names}
        yield Field(issuer, load, servers, first_guess=bench.size(_FIRST_GUESS, _QUICK_GUESS))


def throughput(bench: Bench) -> None:
    """Requests per second under 64 concurrent clients."""
    names = (BARE, FLOOR, MEMORY, REDIS, UNBATCHED)
    seen: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    with field(bench, *names) as ready:
        for number in range(bench.rounds):
            for name in names[::-1] if number % 2 else names:
                bench.step(name)
                seen[name].append(ready.saturate(name, connections=CONNECTIONS, seconds=bench.seconds(2.0, 0.1)))
    rates = {name: [one["per_second"] for one in rounds] for name, rounds in seen.items()}
    for what, one, other, bound in _RATIOS:
        bench.results.add(THROUGHPUT, what, Spread.of_ratios(rates[one], rates[other]), "times", at_least=bound)
    bench.results.tables.append(_throughput_table(seen))
    for name, of_rounds in rates.items():
        bench.results.measured[f"{THROUGHPUT}: {name}, 1/s"] = Spread.of(of_rounds).middle
    busy = Spread.of([one["server_cpu"] / one["per_second"] for one in seen[REDIS] if one["server_cpu"]] or [0.0])
    if busy.middle:
        bench.results.measured[SERVED_MICROSECONDS] = busy.middle * 1e6


def _throughput_table(seen: dict[str, list[dict[str, Any]]]) -> Table:
    rows = []
    for name, rounds in seen.items():
        middle = {key: _middle(rounds, key) for key in ("per_second", "p50", "p99", "client_cpu", "server_cpu")}
        per_cpu = middle["per_second"] / middle["server_cpu"] if middle["server_cpu"] else 0.0
        milliseconds = (round(middle["p50"] * 1e3, 2), round(middle["p99"] * 1e3, 2))
        busy = (round(middle["server_cpu"], 2), round(middle["client_cpu"], 2))
        rows.append((name, round(middle["per_second"]), round(per_cpu), *milliseconds, *busy))
    columns = ("app", "requests/s", "per CPU second", "p50 ms", "p99 ms", "server busy", "load busy")
    note = "uvicorn, one worker on one core; the load must be less busy than the server"
    return Table(f"Throughput under {CONNECTIONS} concurrent clients", columns, rows, note)


def _middle(rounds: list[dict[str, Any]], key: str) -> float:
    """0 where the system does not tell."""
    return Spread.of([one[key] or 0.0 for one in rounds]).middle


def concurrency(bench: Bench) -> None:
    """Throughput and latency for 1 to 256 concurrent clients: what the plot shows."""
    levels = (1, 16) if bench.quick else tuple(2**power for power in range(9))
    with field(bench, *PLOTTED) as ready:
        for connections in levels:
            for name in PLOTTED:
                bench.step(f"{name}, {connections} clients")
                seconds = bench.seconds(1.5, 0.1)
                rounds = [
                    ready.saturate(name, connections=connections, seconds=seconds) for _ in range(min(bench.rounds, 3))
                ]
                point = {key: _middle(rounds, key) for key in ("per_second", "p50", "p99")}
                bench.results.curves.append({"app": name, "clients": connections, **point})
    rows = [
        (one["app"], one["clients"], round(one["per_second"]), round(one["p50"] * 1e3, 2), round(one["p99"] * 1e3, 2))
        for one in bench.results.curves
    ]
    columns = ("app", "clients", "requests/s", "p50 ms", "p99 ms")
    bench.results.tables.append(Table("Throughput and latency against concurrency", columns, rows))


def latency(bench: Bench) -> None:
    """What the middleware adds to latency at half the throughput at which its server is saturated."""
    names = (BARE, FLOOR, REDIS)
    seen: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    with field(bench, *names) as ready:
        full = ready.saturate(REDIS, connections=CONNECTIONS, seconds=bench.seconds(3.0, 0.1))["per_second"]
        for number in range(bench.rounds):
            for name in names[::-1] if number % 2 else names:
                bench.step(name)
                seen[name].append(ready.steady(name, rate=full / 2, seconds=bench.seconds(4.0, 0.2)))
    for other in (BARE, FLOOR):
        added = Spread.of(_added(seen[REDIS], seen[other], "p99"))
        bench.results.add(LATENCY, f"p99 added to the {other}, Redis, half load", added, "ms", at_most=2.0)
    rows = [(name, *(round(_middle(seen[name], key) * 1e3, 3) for key in ("p50", "p99"))) for name in names]
    title = f"Latency at {full / 2:,.0f} requests/s, half of what the Redis store reaches"
    bench.results.tables.append(Table(title, ("app", "p50 ms", "p99 ms"), rows, "requests are due at random instants"))


def _added(with_it: list[dict[str, Any]], without: list[dict[str, Any]], key: str) -> list[float]:
    return [(one[key] - other[key]) * 1e3 for one, other in zip(with_it, without, strict=True)]
