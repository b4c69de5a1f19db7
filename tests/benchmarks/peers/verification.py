"""What one verification costs in process, on one core: all contenders in turns, so that noise hits each alike.

The peers verify the access token each time; dpop_asgi is shown as it comes, which remembers it, and like them.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from tests.benchmarks.peers.api import Callers, example, issuer_of
from tests.benchmarks.peers.processes import FLOOR, Worker, verifier

OURS = "dpop_asgi"
PEERS = ("PyJWT", "joserfc", "Authlib", "pydpop", "oauth4webapi")
EACH_TIME = "token verified each time"
_CLIENTS = 64
_WARM_UP = 3000


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: in the table.
        contender: which process.
        at_a_time: requests under way at the same time; Node waits for its threads one by one otherwise.
        new_clients: whether every request is the first of its client.
    """

    name: str
    contender: str
    at_a_time: int = 1
    new_clients: bool = False


ROWS = (
    Row("raw P-256 verification, cryptography", FLOOR),
    Row("raw P-256 verification, node:crypto", "node:crypto"),
    Row(OURS, OURS),
    Row(f"{OURS}, {EACH_TIME}", f"{OURS}, {EACH_TIME}"),
    Row(f"{OURS}, every client new", OURS, new_clients=True),
    Row("PyJWT by hand", "PyJWT by hand"),
    Row("joserfc by hand", "joserfc by hand"),
    Row("Authlib by hand", "Authlib by hand"),
    Row("pydpop + PyJWT, 1 proof remembered", "pydpop, 1 remembered"),
    Row("pydpop + PyJWT, 10,000 proofs remembered", "pydpop, 10,000 remembered"),
    Row("oauth4webapi, one at a time", "oauth4webapi"),
    Row("oauth4webapi, 32 at a time", "oauth4webapi", at_a_time=32),
    Row("express-oauth2-jwt-bearer, one at a time", "express-oauth2-jwt-bearer"),
    Row("express-oauth2-jwt-bearer, 32 at a time", "express-oauth2-jwt-bearer", at_a_time=32),
)


@dataclass
class _Seen:
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def measure(*, quick: bool, tell: Callable[[str], None]) -> dict[str, Any]:
    """Microseconds per verification, and how many times ours that is, as medians over the rounds."""
    rounds, batch = (3, 100) if quick else (15, 500)
    api = example()
    issuer = issuer_of(api)
    callers = Callers(api, issuer, _CLIENTS)
    seen = {row.name: _Seen() for row in ROWS}
    with ExitStack() as stack:
        workers = {name: stack.enter_context(verifier(name, api)) for name in {row.contender for row in ROWS}}
        for name, worker in workers.items():
            tell(f"warming up {name}")
            _verify(worker, callers, 500 if quick else _WARM_UP)
        for number in range(rounds):
            tell(f"verifications, round {number + 1} of {rounds}")
            for row in ROWS:
                # It has stood still while the others were measured, and nothing of it is in the processor's caches.
                _verify(workers[row.contender], callers, batch // 4)
                who = Callers(api, issuer, batch) if row.new_clients else callers
                took = _verify(workers[row.contender], who, batch, at_a_time=row.at_a_time)
                seen[row.name].wall.append(took["seconds"] / batch * 1e6)
                seen[row.name].cpu.append(took["cpu"] / batch * 1e6)
        versions = workers["oauth4webapi"].ask()["versions"]
    return {"rounds": rounds, "batch": batch, "versions": versions, "rows": [_row(name, seen) for name in seen]}


def _verify(worker: Worker, callers: Callers, count: int, *, at_a_time: int = 1) -> dict[str, Any]:
    nonce = worker.ask()["nonce"]
    return worker.ask(requests=callers.requests(count, nonce), at_a_time=at_a_time)


def _row(name: str, seen: dict[str, _Seen]) -> dict[str, Any]:
    mine, ours = seen[name], seen[OURS]
    return {
        "name": name,
        "microseconds": median(mine.wall),
        "cpu_microseconds": median(mine.cpu),
        "times_ours": _median_ratio(mine.wall, ours.wall),
        "times_ours_cpu": _median_ratio(mine.cpu, ours.cpu),
    }


def _median_ratio(mine: list[float], ours: list[float]) -> float:
    return median(one / other for one, other in zip(mine, ours, strict=True))
