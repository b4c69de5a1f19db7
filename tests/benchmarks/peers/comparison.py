"""What one verification costs beside what else one could use: in process, on one core, all in turn.

The peers verify the access token each time; dpop_asgi is shown as it comes, which remembers it.
"""

import os
import time
from collections.abc import Callable
from typing import Any

from dpop_asgi import MemoryStore
from tests import set_up
from tests.benchmarks.bench import Bench, run
from tests.benchmarks.figures import Spread
from tests.benchmarks.in_process import table
from tests.benchmarks.material import FastClient, FastIssuer, Fields, fields_of
from tests.benchmarks.peers.by_hand import ResourceServer
from tests.benchmarks.peers.libraries import WithAuthlib, WithJoserfc, WithPyJWT
from tests.benchmarks.peers.on_node import oauth4webapi
from tests.benchmarks.peers.with_pydpop import with_pydpop
from tests.benchmarks.rounds import CHUNK, VERIFY, Row, in_turn, requests, verifications
from tests.benchmarks.subjects import App, bare, nonce_of, protected

SECTION = "peers"
OURS = "dpop_asgi"
AT_LEAST = 2.4
PEERS: dict[str, Callable[[dict[str, Any]], App]] = {
    "PyJWT by hand": lambda jwks: ResourceServer(bare, WithPyJWT(jwks)),
    "joserfc by hand": lambda jwks: ResourceServer(bare, WithJoserfc(jwks)),
    "Authlib by hand": lambda jwks: ResourceServer(bare, WithAuthlib(jwks)),
    "pydpop + PyJWT, 10,000 proofs remembered": lambda jwks: with_pydpop(bare, jwks, remembered=10_000),
}
ON_NODE = "oauth4webapi, one by one"
# In chunks: until then, Node compiles.
_WARM_UP = 120


def measure(node: str, rounds: int, warm_up: int) -> dict[str, list[float]]:
    """Seconds per verification of each in each round; runs in a process of its own."""
    issuer, now = FastIssuer(), time.time()
    clients = [FastClient(issuer, now=now) for _ in range(64)]
    count = (warm_up + rounds) * CHUNK

    async def all_rows() -> dict[str, list[float]]:
        apps = {OURS: protected(MemoryStore(), issuer.jwks), **{name: of(issuer.jwks) for name, of in PEERS.items()}}
        rows = {name: await _requests(app, clients, count) for name, app in apps.items()}
        with oauth4webapi(node, issuer.jwks, _fields(clients, count, None)) as on_node:
            seen = await in_turn({VERIFY: verifications(count), **rows, ON_NODE: on_node}, warm_up + rounds)
        return {name: seconds[warm_up:] for name, seconds in seen.items()}

    return run(all_rows)


async def _requests(app: App, clients: list[FastClient], count: int) -> Row:
    nonce = await nonce_of(app, clients[0].fields(now=time.time(), nonce=None))
    return requests(app, _fields(clients, count, nonce), status=200, scheme="https")


def _fields(clients: list[FastClient], count: int, nonce: str | None) -> list[Fields]:
    return list(fields_of(clients, count, now=time.time(), nonce=nonce))


def run_section(bench: Bench) -> None:
    node = os.environ.get("NODE") or str(set_up.install_clients())
    pooled = bench.pooled(measure, node, bench.size(80, 8), bench.size(_WARM_UP, 4))
    for name in (*PEERS, ON_NODE):
        ratio = Spread.of_ratios(pooled[name], pooled[OURS])
        bench.results.add(SECTION, f"a verification by {name}, against ours", ratio, "times", at_least=AT_LEAST)
    bench.results.tables.append(table("One verification beside other libraries, in process", pooled))
