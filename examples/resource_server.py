"""A protected API, configured through the environment.

    DPOP_ISSUER=https://id.example.com DPOP_AUDIENCE=https://api.example.com \
        uvicorn examples.resource_server:app

docs/configuration.md lists the variables. Without DPOP_PUBLIC_URL only hosts of this machine are served.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from dpop_asgi import DPoPMiddleware, StoreError, caller_from
from dpop_asgi.settings import Settings
from dpop_asgi.starlette import requires

settings = Settings.from_environment()


async def resource(request: Request) -> Response:
    """Who is calling, according to the access token and the proof."""
    caller = caller_from(request)
    return JSONResponse(
        {
            "sub": caller.subject,
            "client_id": caller.client_id,
            "scope": sorted(caller.scopes),
            "jkt": caller.key_thumbprint,
        }
    )


# The same for a token with this scope, and for a user who has signed in in this way.
orders = requires("orders:read")(resource)
vault = requires(acr_values="urn:example:loa:2")(resource)


async def files(request: Request) -> Response:
    """The path below /files/, as decoded by the router."""
    return PlainTextResponse(request.path_params["path"])


async def stream(_: Request) -> Response:
    """Server-sent events: the proof is checked once, when the stream is opened."""

    async def events() -> AsyncIterator[str]:
        for number in range(3):
            yield f"data: {number}\n\n"
            await asyncio.sleep(0.05)

    return StreamingResponse(events(), media_type="text/event-stream")


async def echo(websocket: WebSocket) -> None:
    """Sends every text message back."""
    await websocket.accept()
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            await websocket.send_text(await websocket.receive_text())


async def public(_: Request) -> Response:
    """Public: needs no credentials."""
    return PlainTextResponse("public")


async def healthz(_: Request) -> Response:
    """Whether the store responds."""
    try:
        await settings.authenticator.ready()
    except StoreError:
        return JSONResponse({"store": "unavailable"}, status_code=503)
    return JSONResponse({"store": "ok"})


v2 = Starlette(routes=[Route("/resource", resource, methods=["GET", "POST"])])

app = Starlette(
    routes=[
        Route("/resource", resource, methods=["GET", "POST"]),
        Route("/orders", orders),
        Route("/vault", vault),
        Route("/files/{path:path}", files),
        Route("/stream", stream),
        WebSocketRoute("/ws", echo),
        Route("/public", public),
        Route("/healthz", healthz),
        Mount("/v2", v2),
    ],
    middleware=[
        Middleware(
            DPoPMiddleware,
            authenticator=settings.authenticator,
            public_url=settings.public_url,
            insecure_http_hosts=settings.insecure_http_hosts,
            public_paths=["/public", "/healthz"],
        )
    ],
)
