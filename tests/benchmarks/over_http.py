"""Over HTTP: requests per second at saturation, and latency at a given rate.

All servers run at the same time, one core for them all, and are loaded in turn, again and again: a ratio is formed
between neighbours in time.
"""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from tests.benchmarks import cores, load
from tests.benchmarks.bench import Bench, worker
from tests.benchmarks.figures import Spread, Table
from tests.benchmarks.material import FastIssuer
from tests.benchmarks.server import serving
from tests.benchmarks.subjects import BARE, FLOOR, MEMORY, REDIS, UNBATCHED

CONNECTIONS = 64

# Requests per second to have ready in the first round; from then on a little more than the last one took.
_FIRST_GUESS, _QUICK_GUESS = 8000, 1500
_MARGIN = 1.4
_LEAST = 3000.0
_RATIOS = (
    ("Redis store against memory store", REDIS, MEMORY, 0.9),
    ("Redis store against one SET per request without batching", REDIS, UNBATCHED, 1.5),
    ("memory store against the floor", MEMORY, FLOOR, 0.75),
    ("Redis store against the floor", REDIS, FLOOR, 0.75),
)

Rounds = dict[str, list[dict[str, Any]]]


class _Servers:
    """They and the load, ready."""

    def __init__(self, stack: ExitStack, bench: Bench, *names: str) -> None:
        self._bench = bench
        self._issuer = FastIssuer()
        self._first_guess = bench.size(_FIRST_GUESS, _QUICK_GUESS)
        self._guess: dict[str, float] = {}
        redis = stack.enter_context(bench.redis())
        self._load = stack.enter_context(worker(cores.loading()))
        self._servers = {name: stack.enter_context(serving(name, redis.url, self._issuer)) for name in names}

    def saturate(self, name: str, seconds: float) -> dict[str, Any]:
        guess = self._guess.get(name, self._first_guess)
        seen = self._asked(load.saturate, name, CONNECTIONS, seconds, guess)
        self._guess[name] = max(seen["per_second"] * _MARGIN, min(_LEAST, self._first_guess))
        return seen

    def steady(self, name: str, rate: float, seconds: float) -> dict[str, Any]:
        return self._asked(load.steady, name, rate, seconds)

    def _asked(self, how: Callable[..., dict[str, Any]], name: str, *arguments: float) -> dict[str, Any]:
        server = self._servers[name]
        return self._load.submit(how, server.port, server.pid, self._issuer.secret, *arguments).result()

    def in_turn(self, ask: Callable[[str], dict[str, Any]]) -> Rounds:
        seen: Rounds = {name: [] for name in self._servers}
        for number in range(self._bench.rounds):
            for name in reversed(seen) if number % 2 else seen:
                self._bench.step(f"{name}, round {number + 1} of {self._bench.rounds}")
                seen[name].append(ask(name))
        return seen


def throughput(bench: Bench) -> None:
    """Requests per second under 64 concurrent clients."""
    with ExitStack() as stack:
        servers = _Servers(stack, bench, BARE, FLOOR, MEMORY, REDIS, UNBATCHED)
        seen = servers.in_turn(lambda name: servers.saturate(name, bench.size(2.0, 0.1)))
    rates = {name: [one["per_second"] for one in rounds] for name, rounds in seen.items()}
    for what, one, other, bound in _RATIOS:
        bench.results.add("throughput", what, Spread.of_ratios(rates[one], rates[other]), "times", at_least=bound)
    rows = [(name, round(Spread.of(its).middle), *_busy(seen[name])) for name, its in rates.items()]
    columns = ("app", "requests/s", "µs of the server's CPU", "server busy", "load busy")
    note = "uvicorn, one worker on one core; the load must be less busy than the server"
    bench.results.tables.append(Table(f"Throughput under {CONNECTIONS} concurrent clients", columns, rows, note))


def _busy(rounds: list[dict[str, Any]]) -> tuple[float, ...]:
    busy = (round(_middle(rounds, key), 2) for key in ("server_busy", "client_busy"))
    return (round(_middle(rounds, "server_cpu") * 1e6), *busy)


def _middle(rounds: list[dict[str, Any]], key: str) -> float:
    """0 where the system does not tell."""
    return Spread.of([one[key] or 0.0 for one in rounds]).middle


def latency(bench: Bench) -> None:
    """What the middleware adds to latency at half the throughput at which its server is saturated."""
    with ExitStack() as stack:
        servers = _Servers(stack, bench, BARE, FLOOR, REDIS)
        rate = servers.saturate(REDIS, bench.size(3.0, 0.1))["per_second"] / 2
        seen = servers.in_turn(lambda name: servers.steady(name, rate, bench.size(4.0, 0.2)))
    for other in (BARE, FLOOR):
        added = [(one["p99"] - its["p99"]) * 1e3 for one, its in zip(seen[REDIS], seen[other], strict=True)]
        what = f"p99 added to the {other}, Redis, half load"
        bench.results.add("latency", what, Spread.of(added), "ms", at_most=2.0)
    rows = [(name, *(round(_middle(its, key) * 1e3, 3) for key in ("p50", "p99"))) for name, its in seen.items()]
    title = f"Latency at {rate:,.0f} requests/s, half of what the Redis store reaches"
    bench.results.tables.append(Table(title, ("app", "p50 ms", "p99 ms"), rows, "requests are due at random instants"))
