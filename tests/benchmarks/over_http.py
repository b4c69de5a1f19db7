"""Over HTTP: requests per second under 64 concurrent clients.

All servers run at the same time, one core for them all, and are loaded in turn, again and again: a ratio is formed
between neighbours in time.
"""

from contextlib import ExitStack

from tests.benchmarks import load
from tests.benchmarks.bench import Bench, core, worker
from tests.benchmarks.figures import Spread, Table
from tests.benchmarks.material import FastIssuer
from tests.benchmarks.server import SubjectServer
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

Rounds = dict[str, list[dict[str, float]]]


def _in_turn(bench: Bench, *names: str) -> Rounds:
    seen: Rounds = {name: [] for name in names}
    first, issuer = bench.size(_FIRST_GUESS, _QUICK_GUESS), FastIssuer()
    with bench.redis() as redis, worker(core(1)) as loading, ExitStack() as stack:
        servers = {name: stack.enter_context(SubjectServer(name, redis.url, issuer)) for name in names}
        for number in range(bench.rounds):
            for name in reversed(names) if number % 2 else names:
                bench.step(f"{name}, round {number + 1} of {bench.rounds}")
                last = seen[name][-1]["per_second"] * _MARGIN if seen[name] else first
                where, guess = (servers[name].port, servers[name].process_id), max(last, min(_LEAST, first))
                given = (*where, issuer.secret, CONNECTIONS, bench.size(2.0, 0.1), guess)
                seen[name].append(loading.submit(load.saturate, *given).result())
    return seen


def run_section(bench: Bench) -> None:
    seen = _in_turn(bench, BARE, FLOOR, MEMORY, REDIS, UNBATCHED)
    rates = {name: [one["per_second"] for one in rounds] for name, rounds in seen.items()}
    for what, one, other, bound in _RATIOS:
        bench.results.add("throughput", what, Spread.of_ratios(rates[one], rates[other]), "times", at_least=bound)
    rows = [(name, round(_middle(its, "per_second")), *_busy(its)) for name, its in seen.items()]
    columns = ("app", "requests/s", "µs of the server's CPU", "server busy", "load busy")
    note = "uvicorn, one worker on one core; the load must be less busy than the server"
    bench.results.tables.append(Table(f"Throughput under {CONNECTIONS} concurrent clients", columns, rows, note))


def _busy(rounds: list[dict[str, float]]) -> tuple[float, ...]:
    busy = (round(_middle(rounds, key), 2) for key in ("server_busy", "client_busy"))
    return (round(_middle(rounds, "server_cpu") * 1e6), *busy)


def _middle(rounds: list[dict[str, float]], key: str) -> float:
    return Spread.of([one[key] for one in rounds]).middle
