"""The API of resource_server.py with FastAPI: each route asks for what it needs.

    DPOP_ISSUER=https://id.example.com DPOP_AUDIENCE=https://api.example.com \
        uvicorn examples.fastapi_app:app

docs/configuration.md lists the variables, docs/fastapi.md explains the rest. /openapi.json is open, and so is
/docs, which signs what is tried out.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import FastAPI, Response, Security, WebSocket, WebSocketDisconnect
from fastapi.responses import PlainTextResponse, StreamingResponse

from dpop_asgi import Caller, DPoPMiddleware, StoreError
from dpop_asgi.fastapi import DPoP, DPoPCaller, docs_page
from dpop_asgi.settings import Settings

settings = Settings.from_environment()

Reader = Annotated[Caller, Security(DPoP(), scopes=["orders:read"])]
Writer = Annotated[Caller, Security(DPoP(), scopes=["orders:write"])]
Strong = Annotated[Caller, Security(DPoP(acr_values="urn:example:loa:2"))]

app = FastAPI(title="Orders", docs_url=None, responses=DPoP.responses)
docs_page(app)
v2 = FastAPI(title="Orders, version 2", responses=DPoP.responses)
app.mount("/v2", v2)
app.add_middleware(
    DPoPMiddleware,
    authenticator=settings.authenticator,
    public_url=settings.public_url,
    insecure_http_hosts=settings.insecure_http_hosts,
    protect="routes",
)


def described(caller: Caller) -> dict[str, Any]:
    """Who is calling, according to the access token and the proof."""
    return {
        "sub": caller.subject,
        "client_id": caller.client_id,
        "scope": sorted(caller.scopes),
        "jkt": caller.key_thumbprint,
    }


@v2.post("/resource")
@v2.get("/resource")
@app.head("/resource", include_in_schema=False)
@app.post("/resource")
@app.get("/resource")
async def resource(caller: DPoPCaller) -> dict[str, Any]:
    """Any caller."""
    return described(caller)


@app.get("/orders")
async def orders(caller: Reader) -> dict[str, Any]:
    """A caller with the scope orders:read."""
    return described(caller)


@app.post("/orders", status_code=201)
async def create_order(caller: Writer) -> dict[str, Any]:
    """A caller with the scope orders:write."""
    return described(caller)


@app.get("/vault")
async def vault(caller: Strong) -> dict[str, Any]:
    """A user who has signed in in a certain way (RFC 9470)."""
    return described(caller)


@app.get("/files/{path:path}")
async def files(path: str, _: DPoPCaller) -> PlainTextResponse:
    """The path below /files/, as decoded by the router."""
    return PlainTextResponse(path)


@app.get("/stream")
async def stream(_: DPoPCaller) -> StreamingResponse:
    """Server-sent events: the proof is checked once, when the stream is opened."""

    async def events() -> AsyncIterator[str]:
        for number in range(3):
            yield f"data: {number}\n\n"
            await asyncio.sleep(0.05)

    return StreamingResponse(events(), media_type="text/event-stream")


@app.websocket("/ws")
async def echo(websocket: WebSocket, _: DPoPCaller) -> None:
    """Sends every text message back."""
    await websocket.accept()
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            await websocket.send_text(await websocket.receive_text())


@app.get("/public")
async def public() -> PlainTextResponse:
    """Open: it doesn't ask."""
    return PlainTextResponse("public")


@app.get("/healthz")
async def healthz(response: Response) -> dict[str, str]:
    """Whether the store responds."""
    try:
        await settings.authenticator.ready()
    except StoreError:
        response.status_code = 503
        return {"store": "unavailable"}
    return {"store": "ok"}
