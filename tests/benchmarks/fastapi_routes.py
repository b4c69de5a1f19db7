"""A FastAPI route that asks, and what one would have without us: FastAPI's own bearer security and one verification."""

import time
from typing import Annotated, Any

from fastapi import FastAPI, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from dpop_asgi import Authenticator, Caller, DPoPMiddleware, JWTVerifier, MemoryStore
from dpop_asgi.fastapi import DPoP
from tests.benchmarks.material import ISSUER, ORIGIN, PATH, Fields, RawVerification
from tests.benchmarks.subjects import App


def asking(jwks: dict[str, Any]) -> App:
    """`Security(DPoP(), scopes=[...])` with `protect="routes"`."""
    app = FastAPI()

    @app.get(PATH)
    async def route(caller: Annotated[Caller, Security(DPoP(), scopes=["orders:read"])]) -> dict[str, bool]:
        return {"ok": True}

    verify_token = JWTVerifier(issuer=ISSUER, audience=ORIGIN, jwks=jwks, clock=time.time)
    authenticator = Authenticator(verify_token=verify_token, store=MemoryStore())
    app.add_middleware(DPoPMiddleware, authenticator=authenticator, public_url=ORIGIN, protect="routes")
    return app


def bearer() -> App:
    """`Security(HTTPBearer())` and one raw verification."""
    app, raw = FastAPI(), RawVerification()
    ((signature, message),) = raw.signed(1)

    @app.get(PATH)
    async def route(
        credentials: Annotated[HTTPAuthorizationCredentials, Security(HTTPBearer(), scopes=["orders:read"])],
    ) -> dict[str, bool]:
        raw.verify(signature, message)
        return {"ok": True}

    return app


def as_bearer(fields: Fields) -> Fields:
    """The same request with its token under Bearer."""
    return b"Bearer " + fields[0].partition(b" ")[2], fields[1]
