"""Calls the tools of a protected MCP server.

    python examples/mcp_client.py https://api.example.com/mcp

The server says where to get a token, and a browser opens for the user to sign in. The authorization server has to
register clients by itself (RFC 7591), unless CLIENT_ID is given. docs/client.md has clients that need no user.
"""

import asyncio
import os
import re
import secrets
import sys
import webbrowser
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from dpop_asgi.client import DPoPAuth, Key, Nonces, header_flow

# Those of this machine, where plain http will do.
LOOPBACK = {"127.0.0.1", "::1", "localhost"}


class Discovery:
    """What the server at `url` says about itself (RFC 9728), and its authorization server (RFC 8414)."""

    def __init__(self, url: str, http: httpx2.AsyncClient) -> None:
        self._url = url
        self._http = http

    async def find(self) -> None:
        """Ask both."""
        challenge = (await self._http.post(self._url)).headers.get("www-authenticate", "")
        named = dict(re.findall(r'(resource_metadata|scope)="([^"]+)"', challenge))
        resource = await self._document(named["resource_metadata"])
        # Else another server could have us fetch tokens for this one.
        self.resource: str = resource["resource"]
        if self._url != self.resource and not self._url.startswith(self.resource.rstrip("/") + "/"):
            sys.exit(f"{self.resource} is another resource")
        self.issuer: str = resource["authorization_servers"][0]
        self.server = await self._document(_well_known(self.issuer))
        if self.server["issuer"] != self.issuer:
            sys.exit(f"{self.server['issuer']} is another issuer")
        for name in ("authorization_endpoint", "token_endpoint", "registration_endpoint"):
            _require_encryption(self.server.get(name, self.issuer))
        self.scope: str = named.get("scope") or " ".join(resource.get("scopes_supported", ()))

    async def _document(self, url: str) -> dict[str, Any]:
        _require_encryption(url)
        document: dict[str, Any] = (await self._http.get(url)).raise_for_status().json()
        return document


def _require_encryption(url: str) -> None:
    """A server could name a file or a program for the browser to open, or have secrets sent in the clear."""
    is_local = url.startswith("http://") and urlsplit(url).hostname in LOOPBACK
    if not is_local and not url.startswith("https://"):
        sys.exit(f"{url} is not an https URL")


def _well_known(issuer: str) -> str:
    parts = urlsplit(issuer)
    return f"{parts.scheme}://{parts.netloc}/.well-known/oauth-authorization-server{parts.path.rstrip('/')}"


class Callback:
    """A page on this machine to which the browser returns, with a code (RFC 8252 §7.3)."""

    async def __aenter__(self) -> Self:
        self._answer: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1")
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/callback"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode()
        query = {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}
        if "state" in query and not self._answer.done():
            self._answer.set_result(query)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\nConnection: close\r\n\r\nClose this page now.")
        await writer.drain()
        writer.close()

    async def code(self, state: str, issuer: str) -> str:
        """The code, once the user has signed in."""
        answer = await self._answer
        # RFC 9207: an answer of another authorization server is not for us.
        if answer["state"] != state or answer.get("iss", issuer) != issuer or "code" not in answer:
            sys.exit(f"not signed in: {answer.get('error', 'another answer')}")
        return answer["code"]


async def sign_in(found: Discovery, key: Key, http: httpx2.AsyncClient) -> str:
    """An access token that is bound to `key`: the authorization code flow with PKCE."""
    verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(16)
    async with Callback() as callback:
        client_id = os.environ.get("CLIENT_ID") or await _register(found, callback.url, http)
        common = {"client_id": client_id, "redirect_uri": callback.url, "resource": found.resource}
        asked = {
            **common,
            "response_type": "code",
            "scope": found.scope,
            "state": state,
            "code_challenge": urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            "dpop_jkt": key.thumbprint,
        }
        query = urlencode({name: value for name, value in asked.items() if value})
        await asyncio.to_thread(webbrowser.open, f"{found.server['authorization_endpoint']}?{query}")
        code = await callback.code(state, found.issuer)
    form = {**common, "grant_type": "authorization_code", "code": code, "code_verifier": verifier}
    return await _token(found.server["token_endpoint"], form, key, http)


async def _register(found: Discovery, redirect_uri: str, http: httpx2.AsyncClient) -> str:
    about = {
        "client_name": "dpop_asgi example",
        "application_type": "native",
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code"],
        "token_endpoint_auth_method": "none",
        "dpop_bound_access_tokens": True,
    }
    response = await http.post(found.server["registration_endpoint"], json=about)
    return str(response.raise_for_status().json()["client_id"])


async def _token(url: str, form: dict[str, str], key: Key, http: httpx2.AsyncClient) -> str:
    flow = header_flow("POST", url, key=key, nonces=Nonces())
    headers = next(flow)
    while True:
        response = await http.post(url, data=form, headers=headers)
        try:
            headers = flow.send(response)
        except StopIteration:
            break
    members = response.raise_for_status().json()
    if members["token_type"].lower() != "dpop":
        sys.exit("the authorization server issues tokens that are not bound to a key")
    return str(members["access_token"])


async def make_auth(url: str) -> DPoPAuth:
    """For the MCP server at `url`."""
    key = Key.generate()
    async with httpx2.AsyncClient() as http:
        found = Discovery(url, http)
        await found.find()
        return DPoPAuth(await sign_in(found, key, http), key=key)


async def main(url: str) -> None:
    """Print the tools, and what `whoami` says."""
    auth = await make_auth(url)
    # No limit for reading: a stream may be silent for long.
    async with (
        httpx2.AsyncClient(auth=auth, timeout=httpx2.Timeout(30, read=None)) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        names = [tool.name for tool in (await client.list_tools()).tools]
        print(", ".join(names))
        if "whoami" in names:
            result = await client.call_tool("whoami", {})
            print(*(part.text for part in result.content if part.type == "text"))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
