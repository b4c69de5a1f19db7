"""Calls the tools of a protected MCP server.

    TOKEN_URL=https://id.example.com/token CLIENT_ID=my-client CLIENT_SECRET=its-secret \
        python examples/mcp_client.py https://api.example.com/mcp

Every request is signed, nonces are handled by `DPoPAuth`.
"""

import asyncio
import os
import sys

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from dpop_asgi.client import ClientCredentials, DPoPAuth, Key


def make_auth(url: str) -> DPoPAuth:
    """From the environment; the token is for the MCP server at `url`."""
    credentials = ClientCredentials(
        os.environ["TOKEN_URL"],
        os.environ["CLIENT_ID"],
        os.environ["CLIENT_SECRET"],
        scope=os.environ.get("SCOPE"),
        resource=os.environ.get("RESOURCE", url),
    )
    return DPoPAuth(credentials, key=Key.generate())


async def main(url: str) -> None:
    """Print the tools, and what `whoami` says."""
    # No limit for reading: a stream may be silent for long.
    timeout = httpx2.Timeout(30, read=None)
    async with (
        httpx2.AsyncClient(auth=make_auth(url), timeout=timeout) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        tools = await client.list_tools()
        print(", ".join(tool.name for tool in tools.tools))
        result = await client.call_tool("whoami", {})
        print(*(part.text for part in result.content if part.type == "text"))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
