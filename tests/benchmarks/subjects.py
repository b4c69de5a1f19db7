"""What is measured: the bare app, the floor, and the middleware on each store."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any

from redis.asyncio import Redis

from dpop_asgi import (
    Authenticator,
    DPoPMiddleware,
    IntrospectionVerifier,
    JWTVerifier,
    MemoryStore,
    Observer,
    RedisStore,
    Store,
    TokensByShape,
    TokenVerifier,
)
from dpop_asgi.starlette import Protected
from tests.benchmarks.material import ISSUER, ORIGIN, Fields, RawVerification, scope

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY = b'{"ok":true}'
_HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode("ascii"))]
_START = {"type": "http.response.start", "status": 200, "headers": _HEADERS}
_BODY = {"type": "http.response.body", "body": BODY}

# Names as they stand in tables.
BARE, FLOOR = "bare app", "floor"
MEMORY, REDIS, UNBATCHED = "memory store", "Redis store", "Redis without batching"


async def bare(_scope: Scope, receive: Receive, send: Send) -> None:
    """The app inside all the others."""
    await send(_START)
    await send(_BODY)


def floor() -> App:
    """The same with one raw P-256 verification and nothing else: no parsing, no checks."""
    raw = RawVerification()
    ((signature, message),) = raw.signed(1)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raw.verify(signature, message)
        await bare(scope, receive, send)

    return app


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


def protected(store: Store, jwks: dict[str, Any], *, clock: Callable[[], float] = time.time) -> DPoPMiddleware:
    """The bare app behind the middleware, with the settings that a user gets who sets none."""
    return behind(JWTVerifier(issuer=ISSUER, audience=ORIGIN, jwks=jwks, clock=clock), store, clock=clock)


def introspecting(jwks: dict[str, Any], says: dict[str, dict[str, Any]]) -> DPoPMiddleware:
    """The same where opaque tokens are introspected; `says` stands for the endpoint."""
    known = {"issuer": ISSUER, "audience": ORIGIN}
    opaque = IntrospectionVerifier(**known, client_id="api", client_secret="secret", cache_seconds=3600.0)

    async def ask(token: str) -> dict[str, Any]:
        return dict(says[token])

    async def ready() -> None:
        """There is no endpoint for the self-check to look for."""

    opaque._endpoint.ask, opaque.ready = ask, ready
    return behind(TokensByShape(jwt=JWTVerifier(**known, jwks=jwks), opaque=opaque), MemoryStore())


def asked(jwks: dict[str, Any]) -> DPoPMiddleware:
    """The same where the app asks for a scope."""
    verifier = JWTVerifier(issuer=ISSUER, audience=ORIGIN, jwks=jwks)
    return behind(verifier, MemoryStore(), app=Protected(bare, "orders:read"), protect="routes")


def behind(
    verify_token: TokenVerifier,
    store: Store,
    *,
    clock: Callable[[], float] = time.time,
    observer: Observer | None = None,
    app: App = bare,
    **options: Any,
) -> DPoPMiddleware:
    authenticator = Authenticator(verify_token=verify_token, store=store, clock=clock, observer=observer)
    return DPoPMiddleware(app, authenticator=authenticator, public_url=ORIGIN, **options)


def served(name: str, jwks: dict[str, Any], redis_url: str) -> App:
    """The app that a server process serves under one of the names above."""
    apps: dict[str, Callable[[], App]] = {
        BARE: lambda: bare,
        FLOOR: floor,
        MEMORY: lambda: protected(MemoryStore(), jwks),
        REDIS: lambda: protected(redis_store(redis_url), jwks),
        UNBATCHED: lambda: protected(UnbatchedStore(redis_url), jwks),
    }
    return apps[name]()


class Sink:
    """Takes the responses of apps that are called in process, and keeps their status codes."""

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
        """Every response so far had this status; a benchmark of wrong responses measures nothing."""
        if self.statuses and set(self.statuses) != {status}:
            raise RuntimeError(f"expected {status} only, got {sorted(set(self.statuses))}")
        self.statuses.clear()


async def nonce_of(app: App, fields: Fields) -> str:
    """The nonce that a challenge of this app hands out."""
    sink = Sink()
    await app(scope(fields), sink.receive, sink.send)
    return dict(sink.headers)[b"dpop-nonce"].decode("ascii")


async def many_at_a_time(app: App, scopes: list[dict[str, Any]], *, status: int = 200) -> float:
    """64 clients with one request under way each, all answered with `status`; seconds per request."""
    sink, waiting = Sink(), iter(scopes)
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(64):
            group.create_task(_client(app, waiting, sink))
    seconds = time.perf_counter() - began
    sink.expect(status)
    return seconds / len(scopes)


async def _client(app: App, waiting: Iterator[dict[str, Any]], sink: Sink) -> None:
    for one in waiting:
        await app(one, sink.receive, sink.send)
