"""A single-page app, and the API that it calls on another origin.

    python -m examples.spa.serve

Then open http://localhost:8001. Needs `pip install 'dpop-asgi[fastapi]' uvicorn`.
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import uvicorn
from fastapi import FastAPI, Security
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

import dpop_asgi
from dpop_asgi import Authenticator, Caller, DPoPMiddleware, JWTVerifier, MemoryStore
from dpop_asgi.fastapi import DPoP
from dpop_asgi.testing import Issuer

SITE, API = "http://localhost:8001", "http://localhost:8000"
issuer = Issuer("https://id.example.com", audience=API)


def make_api(site: str, clock: Callable[[], float] = time.time) -> ASGIApp:
    """The API, which scripts of `site` may call."""
    app = FastAPI()

    @app.get("/orders")
    async def orders(caller: Annotated[Caller, Security(DPoP(), scopes=["orders:read"])]) -> dict[str, str | None]:
        return {"orders of": caller.subject}

    verifier = JWTVerifier(issuer=issuer.url, audience=issuer.audience, jwks=issuer.jwks, clock=clock)
    authenticator = Authenticator(verify_token=verifier, store=MemoryStore(clock=clock), clock=clock)
    protected = DPoPMiddleware(app, authenticator=authenticator, protect="routes")
    # Outside of DPoPMiddleware: it responds to preflights, and its headers are on rejections too.
    return CORSMiddleware(
        protected,
        allow_origins=[site],
        allow_methods=["GET"],
        allow_headers=["Authorization", "DPoP"],
        expose_headers=["DPoP-Nonce", "WWW-Authenticate"],
    )


def make_site(api: str) -> ASGIApp:
    """The page, and in place of an authorization server a token for anyone who asks."""

    async def token(request: Request) -> JSONResponse:
        bound = {"cnf": {"jkt": request.query_params["jkt"]}}
        return JSONResponse({"access_token": issuer.access_token(claims=bound), "token_type": "DPoP"})

    async def settings(_: Request) -> JSONResponse:
        return JSONResponse({"api": api})

    async def signing(_: Request) -> FileResponse:
        return FileResponse(Path(dpop_asgi.__file__).with_name("docs_page") / "dpop.js")

    files = StaticFiles(directory=Path(__file__).parent, html=True)
    routes = [
        Route("/token", token, methods=["POST"]),
        Route("/settings.json", settings),
        Route("/dpop.js", signing),
        Mount("/", files),
    ]
    return Starlette(routes=routes)


async def main() -> None:
    """Serve both until Ctrl+C."""
    served = ((make_api(SITE), 8000), (make_site(API), 8001))
    servers = [uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning")) for app, port in served]
    print(f"Open {SITE}")
    await asyncio.gather(*(server.serve() for server in servers))


if __name__ == "__main__":
    asyncio.run(main())
