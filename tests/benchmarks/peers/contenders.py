"""The resource servers in Python, by name: each as strict as it can be set up, around an ASGI app."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import redis
from pydpop import MemoryJtiStore
from pydpop.integrations.starlette import DPoPMiddleware as PydpopMiddleware

from dpop_asgi import Authenticator, DPoPMiddleware, JWTVerifier, MemoryStore, NoncePolicy, ProofPolicy, RedisStore
from tests.benchmarks.peers.api import ProtectedAPI
from tests.benchmarks.peers.by_hand import Library, Refused, ResourceServer, challenge, credentials
from tests.benchmarks.peers.libraries import WithAuthlib, WithJoserfc, WithPyJWT

# pydpop takes one fixed nonce.
_FIXED_NONCE = "a-fixed-nonce-of-the-server"


def ours(app: Any, api: ProtectedAPI, *, token_cache: float = 300.0) -> Any:
    algorithms = tuple(api.algorithms)
    authenticator = Authenticator(
        verify_token=JWTVerifier(
            issuer=api.issuer,
            audience=api.audience,
            jwks=api.jwks,
            algorithms=("ES256",),
            cache_seconds=token_cache,
        ),
        store=RedisStore(api.redis) if api.redis else MemoryStore(),
        proof_policy=ProofPolicy(algorithms=algorithms, max_age=float(api.max_age)),
        nonces=NoncePolicy(period=api.nonce_period),
    )
    return DPoPMiddleware(_caller_of_ours(app), authenticator=authenticator, public_url=api.origin)


def _caller_of_ours(app: Any) -> Any:
    async def found(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            caller = scope["state"]["dpop"]
            scope["caller"] = {"sub": caller.subject, "jkt": caller.key_thumbprint}
        await app(scope, receive, send)

    return found


def by_hand(app: Any, api: ProtectedAPI, *, library: Callable[[ProtectedAPI], Library]) -> Any:
    return ResourceServer(app, api, library(api))


def pydpop(app: Any, api: ProtectedAPI, *, remembered: int | None = None) -> Any:
    """It has no store but the one in memory, and leaves the access token and its binding to the app inside."""
    store: Any = MemoryJtiStore() if remembered is None else _OfConstantSize(remembered)
    if api.redis:
        store = _UsedInRedis(api.redis)
    inside = _TokenCheck(app, api)
    nonces = {"expected_nonce": _FIXED_NONCE, "challenge_nonce": _FIXED_NONCE}
    return PydpopMiddleware(inside, jti_store=store, clock_skew=api.max_age, **nonces)


class _OfConstantSize(MemoryJtiStore):
    """Its cost grows with what it holds, so that is kept as it is."""

    def __init__(self, remembered: int) -> None:
        super().__init__()
        for number in range(remembered):
            super().add(str(number))

    def add(self, jti: str) -> None:
        super().add(jti)
        del self._seen[next(iter(self._seen))]


class _UsedInRedis:
    """What its documentation leaves to the user. Its verification cannot await, so this blocks."""

    ttl = 600

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(url)

    def seen(self, jti: str) -> bool:
        return bool(self._redis.exists(f"jti:{jti}"))

    def add(self, jti: str) -> None:
        self._redis.set(f"jti:{jti}", "1", ex=self.ttl)


class _TokenCheck:
    """What its documentation leaves to the user, with PyJWT."""

    def __init__(self, app: Any, api: ProtectedAPI) -> None:
        self._app = app
        self._library = WithPyJWT(api)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            scope["caller"] = self._caller(scope)
        except Refused as refused:
            await challenge(send, str(refused))
        else:
            await self._app(scope, receive, send)

    def _caller(self, scope: Any) -> dict[str, Any]:
        token, _ = credentials(scope["headers"])
        claims = self._library.token(token)
        key = scope["dpop"]["jwk_thumbprint"]
        if claims["cnf"].get("jkt") != key:
            raise Refused("invalid_token")
        return {"sub": claims["sub"], "jkt": key}


CONTENDERS: dict[str, Callable[[Any, ProtectedAPI], Any]] = {
    "dpop_asgi": ours,
    "dpop_asgi, token verified each time": partial(ours, token_cache=0.0),
    "PyJWT by hand": partial(by_hand, library=WithPyJWT),
    "joserfc by hand": partial(by_hand, library=WithJoserfc),
    "Authlib by hand": partial(by_hand, library=WithAuthlib),
    "pydpop": pydpop,
    "pydpop, 1 remembered": partial(pydpop, remembered=1),
    "pydpop, 10,000 remembered": partial(pydpop, remembered=10_000),
}


async def nothing_behind(scope: Any, _: Any, send: Any) -> None:
    """The least app that tells who called."""
    body = json.dumps(scope["caller"]).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})
