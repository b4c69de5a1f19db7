"""What one request costs in process, in units of one raw P-256 verification."""

import secrets
import time

from dpop_asgi import MemoryStore
from tests.benchmarks import cores
from tests.benchmarks.bench import Bench, run, worker
from tests.benchmarks.fastapi_routes import as_bearer, asking, bearer
from tests.benchmarks.figures import Spread, Table
from tests.benchmarks.material import FastClient, FastIssuer, Fields, fields_of
from tests.benchmarks.rounds import CHUNK, UNIT, VERIFY, Row, in_turn, requests, verifications
from tests.benchmarks.subjects import App, bare, nonce_of, protected

SECTION = "in process"
BARE = "bare app, for comparison"
ACCEPTED = "accepted request, warm client key and token, memory store"
FIRST = "first request of a new client: key and token never seen"
CHALLENGE = "nonce challenge, key seen before"
COLD_CHALLENGE = "nonce challenge, key never seen"
GARBAGE = "garbage of 64 KiB in DPoP"
FASTAPI = 'FastAPI: Security(DPoP(), scopes=[...]) with protect="routes"'
FASTAPI_BEARER = "FastAPI: HTTPBearer and one raw verification"
BOUNDS = {ACCEPTED: 1.5, FIRST: 3.4, CHALLENGE: 0.3, COLD_CHALLENGE: 0.42, GARBAGE: 0.2}

FASTAPI_BOUND = 1.6

_GARBAGE_BYTES = 65_536


async def prepared(app: App, issuer: FastIssuer, count: int) -> dict[str, Row]:
    """All rows with `count` distinct, pre-signed requests each; the warm clients have been there before."""
    now = time.time()
    warm = [FastClient(issuer, now=now) for _ in range(8)]
    nonce = await nonce_of(app, warm[0].fields(now=now, nonce=None))
    first = requests(app, fields_of(warm, 64, now=now, nonce=nonce), status=200)
    await first.run(first.arrived(0))
    fastapi = asking(issuer.jwks)
    asked = await nonce_of(fastapi, warm[0].fields(now=now, nonce=None))
    first = requests(fastapi, fields_of(warm, 64, now=now, nonce=asked), status=200)
    await first.run(first.arrived(0))
    new = [FastClient(issuer, now=now) for _ in range(2 * count)]
    accepted = list(fields_of(warm, count, now=now, nonce=nonce))
    return {
        VERIFY: verifications(count),
        BARE: requests(bare, accepted, status=200),
        ACCEPTED: requests(app, accepted, status=200),
        FIRST: requests(app, fields_of(new[:count], count, now=now, nonce=nonce), status=200),
        CHALLENGE: requests(app, fields_of(warm, count, now=now, nonce=None), status=401),
        COLD_CHALLENGE: requests(app, fields_of(new[count:], count, now=now, nonce=None), status=401),
        GARBAGE: requests(app, _garbage(accepted[0][0], count), status=401),
        FASTAPI: requests(fastapi, fields_of(warm, count, now=now, nonce=asked), status=200),
        FASTAPI_BEARER: requests(bearer(), map(as_bearer, accepted), status=200),
    }


def _garbage(authorization: bytes, count: int) -> list[Fields]:
    """A few different ones, shared: together they would not fit in memory."""
    some = [secrets.token_urlsafe(_GARBAGE_BYTES)[:_GARBAGE_BYTES].encode("ascii") for _ in range(8)]
    return [(authorization, some[number % len(some)]) for number in range(count)]


def measure(secret: int, rounds: int) -> dict[str, list[float]]:
    """Seconds per operation of each row in each round; runs in a process of its own."""
    issuer = FastIssuer(secret)
    app = protected(MemoryStore(), issuer.jwks)

    async def all_rows() -> dict[str, list[float]]:
        return await in_turn(await prepared(app, issuer, rounds * CHUNK), rounds)

    return run(all_rows)


def run_section(bench: Bench) -> None:
    pooled: dict[str, list[float]] = {}
    secret = FastIssuer().secret
    with worker(cores.tested()) as process:
        for number in range(bench.repeat):
            bench.step(f"run {number + 1} of {bench.repeat}")
            for name, seconds in process.submit(measure, secret, bench.size(120, 12)).result().items():
                pooled.setdefault(name, []).extend(seconds)
    for name, bound in BOUNDS.items():
        bench.results.add(SECTION, name, Spread.of_ratios(pooled[name], pooled[VERIFY]), UNIT, at_most=bound)
    ratio = Spread.of_ratios(pooled[FASTAPI], pooled[FASTAPI_BEARER])
    bench.results.add(SECTION, FASTAPI, ratio, f"times {FASTAPI_BEARER}", at_most=FASTAPI_BOUND)
    bench.results.tables.append(table("One request in process", pooled))


def table(title: str, pooled: dict[str, list[float]]) -> Table:
    """Microseconds and units of each row."""
    rows = [
        (name, round(Spread.of(its).middle * 1e6, 1), round(Spread.of_ratios(its, pooled[VERIFY]).middle, 3))
        for name, its in pooled.items()
    ]
    return Table(title, ("what", "µs", UNIT), rows)
