"""A protected MCP server at /mcp, configured through the environment like examples/resource_server.py.

DPOP_ISSUER=https://id.example.com DPOP_AUDIENCE=https://api.example.com/mcp \
        uvicorn examples.mcp_server:app
"""

import json

from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecuritySettings

from dpop_asgi.mcp import protect
from dpop_asgi.settings import Settings

settings = Settings.from_environment()
server = MCPServer("orders")


@server.tool()
def whoami() -> str:
    """Who is calling, according to the access token and the proof."""
    token = get_access_token()
    if token is None:
        return "nobody"
    return json.dumps({"sub": token.subject, "client_id": token.client_id, "scope": token.scopes})


@server.tool()
def orders() -> str:
    """The orders, for tokens with the scope `orders:read`."""
    return json.dumps(["apples", "pears"])


app = protect(
    server.streamable_http_app(
        stateless_http=True,  # any worker can serve any request
        # A page that makes a browser call this server under another name has neither a token nor a proof.
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    ),
    settings.authenticator,
    public_url=settings.public_url,
    insecure_http_hosts=settings.insecure_http_hosts,
    tool_scopes={"orders": ["orders:read"]},
)
