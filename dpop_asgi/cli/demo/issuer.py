"""The demo's issuer, in a thread: its keys, and a token endpoint that binds each token to the key of the proof."""

import socket
import threading
from typing import Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route, request_response

from dpop_asgi.asgi.token_endpoint import TokenEndpointDPoP, dpop_from
from dpop_asgi.cli.demo.servers import STOP_SECONDS, wait_for
from dpop_asgi.proof_verifier import ProofVerifier
from dpop_asgi.stores.memory import MemoryStore
from dpop_asgi.testing import Issuer


class IssuerServer:
    """An issuer on a free loopback port.

    Attributes:
        issuer: issues tokens without being asked, too.

    Args:
        audience: the audience of its tokens.
    """

    def __init__(self, audience: str) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.issuer: Issuer = Issuer(f"http://127.0.0.1:{self._socket.getsockname()[1]}", audience=audience)
        config = uvicorn.Config(self._app, log_config=None, access_log=False, lifespan="off", ws="none")
        # So that the store is made where it can see that it isn't shared, whatever WEB_CONCURRENCY says.
        config.factory, config.workers = True, 1
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        wait_for(lambda: self._server.started, "The issuer did not start.")
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(STOP_SECONDS)
        self._socket.close()

    def _app(self) -> Starlette:
        # Nonces are shown with the resource server.
        verifier = ProofVerifier(store=MemoryStore(), nonces=None)
        endpoint = TokenEndpointDPoP(request_response(self._token), verifier=verifier, required=True)
        return Starlette(routes=[Route("/token", endpoint, methods=["POST"]), Mount("/", self.issuer.app)])

    async def _token(self, request: Request) -> JSONResponse:
        """A user has signed in: whatever the code is, it stands for that."""
        token = self.issuer.access_token(claims={"cnf": {"jkt": dpop_from(request)}})
        return JSONResponse({"token_type": "DPoP", "access_token": token}, headers={"Cache-Control": "no-store"})
