"""What one request costs in process, in units of one raw P-256 verification."""

import secrets
import time
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from dpop_asgi import DPoPMiddleware, JWTVerifier, MemoryStore
from dpop_asgi.client import DPoPAuth, Key
from dpop_asgi.opentelemetry import Telemetry
from tests.benchmarks.bench import Bench, run
from tests.benchmarks.clients import PlainAuth, signed_requests
from tests.benchmarks.fastapi_routes import as_bearer, asking, bearer
from tests.benchmarks.figures import Spread, Table
from tests.benchmarks.material import ISSUER, ORIGIN, FastClient, FastIssuer, Fields, OpaqueIssuer, fields_of
from tests.benchmarks.rounds import CHUNK, UNIT, VERIFY, Row, in_turn, requests, verifications
from tests.benchmarks.subjects import App, asked, bare, behind, introspecting, nonce_of, protected

SECTION = "in process"
BARE = "bare app, for comparison"
ACCEPTED = "accepted request, warm client key and token, memory store"
OBSERVED = "the same, with the metrics of OpenTelemetry"
ROUTES = 'the same, with protect="routes" and an app that asks'
INTROSPECTED = "introspected token, remembered"
FIRST = "first request of a new client: key and token never seen"
CHALLENGE = "nonce challenge, key seen before"
COLD_CHALLENGE = "nonce challenge, key never seen"
GARBAGE = "garbage of 64 KiB in DPoP"
PLAIN_CLIENT = "client request: one raw P-256 signature in an httpx2.Auth that does nothing else"
CLIENT = "client request through DPoPAuth, without I/O"
BOUNDS = {
    ACCEPTED: 1.5,
    OBSERVED: 1.6,
    ROUTES: 1.6,
    INTROSPECTED: 1.5,
    FIRST: 3.4,
    CHALLENGE: 0.3,
    COLD_CHALLENGE: 0.42,
    GARBAGE: 0.2,
}

# Against PLAIN_CLIENT: 30 µs where a signature takes 35, and httpx2 another 10 around it.
CLIENT_BOUND = 1.65
FASTAPI = 'FastAPI: Security(DPoP(), scopes=[...]) with protect="routes"'
FASTAPI_BEARER = "FastAPI: HTTPBearer and one raw verification"

FASTAPI_BOUND = 1.6

_GARBAGE_BYTES = 65_536


async def warmed(app: App, clients: list[FastClient], now: float) -> str:
    """The nonce of an app that these clients have used before."""
    nonce = await nonce_of(app, clients[0].fields(now=now, nonce=None))
    first = requests(app, fields_of(clients, 64, now=now, nonce=nonce), status=200)
    await first.run(first.arrived(0))
    return nonce


async def warm_requests(app: App, clients: list[FastClient], count: int, now: float) -> Row:
    return requests(app, fields_of(clients, count, now=now, nonce=await warmed(app, clients, now)), status=200)


async def prepared(app: App, issuer: FastIssuer, count: int) -> dict[str, Row]:
    """All rows with `count` distinct, pre-signed requests each; the warm clients have been there before."""
    now, opaque = time.time(), OpaqueIssuer()
    warm = [FastClient(issuer, now=now) for _ in range(8)]
    with_opaque_tokens = [FastClient(opaque, now=now) for _ in range(8)]
    new = [FastClient(issuer, now=now) for _ in range(2 * count)]
    nonce = await warmed(app, warm, now)
    accepted = list(fields_of(warm, count, now=now, nonce=nonce))
    return {
        VERIFY: verifications(count),
        BARE: requests(bare, accepted, status=200),
        ACCEPTED: requests(app, accepted, status=200),
        OBSERVED: await warm_requests(observed(issuer.jwks), warm, count, now),
        ROUTES: await warm_requests(asked(issuer.jwks), warm, count, now),
        INTROSPECTED: await warm_requests(introspecting(issuer.jwks, opaque.says), with_opaque_tokens, count, now),
        FIRST: requests(app, fields_of(new[:count], count, now=now, nonce=nonce), status=200),
        CHALLENGE: requests(app, fields_of(warm, count, now=now, nonce=None), status=401),
        COLD_CHALLENGE: requests(app, fields_of(new[count:], count, now=now, nonce=None), status=401),
        GARBAGE: requests(app, _garbage(accepted[0][0], count), status=401),
        PLAIN_CLIENT: signed_requests(PlainAuth(), count),
        CLIENT: signed_requests(DPoPAuth(accepted[0][0].decode().removeprefix("DPoP "), key=Key.generate()), count),
        FASTAPI: await warm_requests(asking(issuer.jwks), warm, count, now),
        FASTAPI_BEARER: requests(bearer(), map(as_bearer, accepted), status=200),
    }


def observed(jwks: dict[str, Any]) -> DPoPMiddleware:
    """With a meter of the SDK behind it; there is no span, which costs far more by itself."""
    store, verifier = MemoryStore(), JWTVerifier(issuer=ISSUER, audience=ORIGIN, jwks=jwks)
    telemetry = Telemetry(store, verifier, meter_provider=MeterProvider([InMemoryMetricReader()]))
    return behind(verifier, store, observer=telemetry)


def _garbage(authorization: bytes, count: int) -> list[Fields]:
    """A few different ones, shared: together they would not fit in memory."""
    some = [secrets.token_urlsafe(_GARBAGE_BYTES)[:_GARBAGE_BYTES].encode("ascii") for _ in range(8)]
    return [(authorization, some[number % len(some)]) for number in range(count)]


def measure(secret: str, rounds: int) -> dict[str, list[float]]:
    """Seconds per operation of each row in each round; runs in a process of its own."""
    issuer = FastIssuer(secret)
    app = protected(MemoryStore(), issuer.jwks)

    async def all_rows() -> dict[str, list[float]]:
        return await in_turn(await prepared(app, issuer, rounds * CHUNK), rounds)

    return run(all_rows)


def run_section(bench: Bench) -> None:
    pooled = bench.pooled(measure, FastIssuer().secret, bench.size(120, 4))
    for name, bound in BOUNDS.items():
        bench.results.add(SECTION, name, Spread.of_ratios(pooled[name], pooled[VERIFY]), UNIT, at_most=bound)
    added = Spread.of_ratios(pooled[CLIENT], pooled[PLAIN_CLIENT])
    bench.results.add(SECTION, CLIENT, added, "plain requests", at_most=CLIENT_BOUND)
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
