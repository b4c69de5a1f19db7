"""A protected FastMCP server at /mcp, configured through the environment like examples/resource_server.py.

DPOP_ISSUER=https://id.example.com DPOP_AUDIENCE=https://api.example.com/mcp \
        uvicorn examples.fastmcp_server:app
"""

import json

from fastmcp import FastMCP
from fastmcp.server.auth import AccessToken, AuthProvider
from fastmcp.server.dependencies import get_access_token
from starlette.middleware import Middleware

from dpop_asgi import DPoPMiddleware, ResourceMetadata
from dpop_asgi.mcp import CallerForMCP
from dpop_asgi.settings import Settings


class DPoPProvider(AuthProvider):
    """Gives FastMCP the middleware that verifies proofs and tokens, instead of its own for Bearer tokens."""

    def __init__(self, settings: Settings, *, path: str = "/mcp", scopes: tuple[str, ...] = ()) -> None:
        super().__init__(required_scopes=list(scopes))
        self._settings = settings
        self._path = path

    async def verify_token(self, token: str) -> AccessToken | None:  # noqa: ARG002 - none is accepted without a proof
        """Tokens are verified with their proof, by the middleware."""
        return None

    def get_middleware(self) -> list[Middleware]:
        """From the outside in."""
        scopes = self.required_scopes
        metadata = ResourceMetadata(scopes_supported=scopes, challenge_scopes=scopes)
        return [
            Middleware(
                DPoPMiddleware,
                authenticator=self._settings.authenticator,
                public_url=self._settings.public_url,
                insecure_http_hosts=self._settings.insecure_http_hosts,
                protect="routes",
                metadata={self._path: metadata},
            ),
            Middleware(CallerForMCP, scopes=scopes, present_as="bearer"),
        ]


server = FastMCP("orders", auth=DPoPProvider(Settings.from_environment(), scopes=("orders:read",)))


@server.tool
def whoami() -> str:
    """Who is calling, according to the access token and the proof."""
    token = get_access_token()
    if token is None:
        return "nobody"
    return json.dumps({"sub": token.subject, "client_id": token.client_id, "scope": token.scopes})


app = server.http_app(path="/mcp")
