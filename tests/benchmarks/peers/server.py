"""One contender around a Starlette app of one route, for uvicorn: `PEER` says which."""

import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from tests.benchmarks.peers.api import TARGET, ProtectedAPI
from tests.benchmarks.peers.contenders import CONTENDERS


async def resource(request: Request) -> JSONResponse:
    return JSONResponse(request.scope["caller"])


async def accept(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.close()


routes = [
    Route(TARGET, resource, methods=["GET", "POST"]),
    Route("/{path:path}", resource),
    WebSocketRoute("/ws", accept),
]
app = CONTENDERS[os.environ["PEER"]](Starlette(routes=routes), ProtectedAPI.from_environment())
