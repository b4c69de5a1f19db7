"""What is measured: the bare app, the floor, and the middleware on each store."""

import math
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from redis.asyncio import Redis

from dpop_asgi import Authenticator, DPoPMiddleware, JWTVerifier, MemoryStore, RedisStore, Store
from tests.benchmarks.material import ISSUER, ORIGIN, Fields, RawVerification, scope

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY = b'{"ok":true}'
_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode("ascii"))],
}
_BODY = {"type": "http.response.body", "body": BODY}

# Names as they stand in tables and plots.
BARE, FLOOR, MEMORY, REDIS, UNBATCHED = (
    "bare app",
    "floor",
    "memory store",
    "Redis store",
    "Redis without batching",
)


async def bare(_scope: Scope, receive: Receive, send: Send) -> None:
    """The app inside all the others."""
    await send(_START)
    await send(_BODY)


class Floor:
    """The same with one raw P-256 verification and nothing else: no parsing, no checks."""

    def __init__(self) -> None:
        self._raw = RawVerification()
        self._signed = self._raw.signed(1, 450)[0]

    async def __call__(self, scope_: Scope, receive: Receive, send: Send) -> None:
        self._raw.verify(*self._signed)
        await bare(scope_, receive, send)


class UnbatchedStore:
    """What one writes first: a redis-py call per request."""

    def __init__(self, url: str) -> None:
        # More than the 100 connections that redis-py 8 allows unasked.
        self._redis = Redis.from_url(url, max_connections=1024)

    async def put_if_absent(self, key: str, value: str, *, ttl: float) -> str:
        standing = await self._redis.set(key, value, nx=True, get=True, px=math.ceil(ttl * 1000))
        return value if standing is None else standing.decode()

    async def aclose(self) -> None:
        await self._redis.aclose()


def redis_store(url: str) -> RedisStore:
    """With a patience that a busy machine does not exhaust; it costs nothing."""
    return RedisStore(url, timeout=5.0)


def verifier(jwks: dict[str, Any], **options: Any) -> JWTVerifier:
    return JWTVerifier(issuer=ISSUER, audience=ORIGIN, jwks=jwks, **options)


def protected(store: Store, jwks: dict[str, Any], *, clock: Callable[[], float] = time.time) -> DPoPMiddleware:
    """The bare app behind the middleware, with the settings that a user gets who sets none."""
    authenticator = Authenticator(verify_token=verifier(jwks, clock=clock), store=store, clock=clock)
    return DPoPMiddleware(bare, authenticator=authenticator, public_url=ORIGIN)


def served(name: str, jwks: dict[str, Any], redis_url: str) -> App:
    """The app that a server process serves under one of the names above."""
    if name == BARE:
        return bare
    if name == FLOOR:
        return Floor()
    stores: dict[str, Callable[[], Store]] = {
        MEMORY: MemoryStore,
        REDIS: lambda: redis_store(redis_url),
        UNBATCHED: lambda: UnbatchedStore(redis_url),
    }
    return protected(stores[name](), jwks)


class Sink:
    """Takes the answers of apps that are called in process, and keeps their status codes."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.headers: list[tuple[bytes, bytes]] = []

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.statuses.append(message["status"])
            self.headers = message["headers"]

    async def receive(self) -> dict[str, Any]:
        return {"type": "http.disconnect"}

    def expect(self, status: int) -> None:
        """Every answer so far had this status; a benchmark of wrong answers measures nothing."""
        if self.statuses and set(self.statuses) != {status}:
            msg = f"expected {status} only, got {sorted(set(self.statuses))}"
            raise RuntimeError(msg)
        self.statuses.clear()


async def nonce_of(app: App, fields: Fields) -> str:
    """The nonce that a challenge of this app hands out."""
    sink = Sink()
    await app(scope(fields), sink.receive, sink.send)
    return dict(sink.headers)[b"dpop-nonce"].decode("ascii")
