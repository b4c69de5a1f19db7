"""What the Redis store costs Redis: commands, bytes, processor time."""

import asyncio
import secrets
import time
from collections import Counter
from typing import Any

from redis import Redis

from dpop_asgi.replay import UsedProofs
from tests.benchmarks.bench import Bench, core, run, worker
from tests.benchmarks.figures import Table
from tests.benchmarks.material import ISSUER, URI, FastClient, FastIssuer, fields_of, scope
from tests.benchmarks.subjects import App, many_at_a_time, nonce_of, protected, redis_store

SECTION = "Redis"
_REQUESTS = 200
# How long a proof is remembered at most, with the default nonces.
_LIFETIME = 130.0


async def _ask(app: App, clients: list[FastClient], *, nonce: str | None, status: int, spoil: bool = False) -> None:
    requests = fields_of(clients, _REQUESTS, now=time.time(), nonce=nonce)
    if spoil:
        # Well-formed, and wrong.
        requests = ((token, proof[:-86] + b"A" * 86) for token, proof in requests)
    await many_at_a_time(app, [scope(one) for one in requests], status=status)


def _commands(connection: Redis) -> Counter[str]:
    """So far, but for this counting."""
    stats: dict[str, Any] = connection.info("commandstats")
    return Counter({name: stat["calls"] for name, stat in stats.items() if name != "cmdstat_info"})


def commands(url: str) -> dict[str, float]:
    """Commands that Redis ran for each kind of request, per request; runs in a process of its own."""
    issuer, store, now = FastIssuer(), redis_store(url), time.time()
    # Its clock stands still: what is revoked is read by the second, and not by the request.
    app = protected(store, issuer.jwks, clock=lambda: now)
    clients = [FastClient(issuer, now=time.time()) for _ in range(8)]

    async def count(connection: Redis) -> dict[str, float]:
        nonce = await nonce_of(app, clients[0].fields(now=time.time(), nonce=None))
        await _ask(app, clients, nonce=nonce, status=200)
        # The self-check at start is over by then.
        await asyncio.sleep(0.5)
        found = {}
        for kind, changes in (
            ("accepted request", {"nonce": nonce, "status": 200}),
            ("rejected request", {"nonce": nonce, "status": 401, "spoil": True}),
            ("nonce check", {"nonce": None, "status": 401}),
        ):
            before = _commands(connection)
            await _ask(app, clients, **changes)
            found[kind] = (_commands(connection) - before).total() / _REQUESTS
        await store.aclose()
        return found

    with Redis.from_url(url, single_connection_client=True) as connection:
        return run(lambda: count(connection))


def remember(url: str, count: int, at_a_time: int = 256) -> dict[str, float]:
    """Bytes and processor time of Redis for each of `count` proofs; runs in a process of its own."""
    store = redis_store(url)
    used = UsedProofs(store, namespace="dpop")

    async def claim(_: int) -> bool:
        jti = secrets.token_urlsafe(32)
        return await used.claim(key_thumbprint=ISSUER, target_uri=URI, jti=jti, seconds_left=_LIFETIME)

    async def claim_all() -> None:
        for start in range(0, count, at_a_time):
            await asyncio.gather(*map(claim, range(start, min(start + at_a_time, count))))
        await store.aclose()

    with Redis.from_url(url, single_connection_client=True) as connection:
        before = connection.info("everything")
        run(claim_all)
        after = connection.info("everything")
    assert after["db0"]["keys"] - before.get("db0", {"keys": 0})["keys"] == count
    cpu = sum(after[name] - before[name] for name in ("used_cpu_user", "used_cpu_sys"))
    return {"bytes": (after["used_memory"] - before["used_memory"]) / count, "microseconds": cpu / count * 1e6}


def run_section(bench: Bench) -> None:
    with bench.redis() as redis, worker(core(0)) as process:
        bench.step("commands")
        for kind, count in process.submit(commands, redis.url).result().items():
            bound = 1 if kind == "accepted request" else 0
            bench.results.add(SECTION, f"commands per {kind}", count, "commands", at_most=bound)
        with redis.client() as connection:
            connection.flushall()
        bench.step("memory")
        found = process.submit(remember, redis.url, bench.size(100_000, 1_000)).result()
        # Each of many workers has few proofs to claim at the same time.
        alone = process.submit(remember, redis.url, bench.size(5_000, 100), 1).result()
    bench.results.add(SECTION, "memory per remembered proof", found["bytes"], "bytes", at_most=160)
    rows = [(how, round(its["microseconds"], 1)) for how, its in (("one by one", alone), ("256 at a time", found))]
    bench.results.tables.append(Table("Processor time of Redis per proof", ("proofs", "µs"), rows))
