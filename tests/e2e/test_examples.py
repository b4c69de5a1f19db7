"""The examples keep one contract, whichever way they protect their routes; under uvicorn."""

import httpx2
import pytest

from dpop_asgi.testing import Client
from examples.mcp_client import Discovery
from tests.support.processes import ResourceServer

STRONG = {"acr": "urn:example:loa:2"}
WRITES = {"scope": "orders:write"}
CONTRACT = [
    *(pytest.param(method, "/resource", {}, 200, "alice", id=method) for method in ("GET", "POST", "HEAD")),
    *(pytest.param(method, "/v2/resource", {}, 200, "alice", id=f"{method}-v2") for method in ("GET", "POST")),
    pytest.param("GET", "/files/a/b", {}, 200, "a/b", id="files"),
    pytest.param("GET", "/stream", {}, 200, "data: 2", id="stream"),
    pytest.param("GET", "/orders", {}, 200, '"scope":["orders:read"]', id="orders"),
    pytest.param("GET", "/orders", WRITES, 403, 'scope="orders:read"', id="orders-without-the-scope"),
    pytest.param("GET", "/vault", STRONG, 200, "alice", id="vault"),
    pytest.param("GET", "/vault", {}, 401, 'acr_values="urn:example:loa:2"', id="vault-after-a-weak-sign-in"),
    pytest.param("GET", "/public", None, 200, "public", id="public"),
    pytest.param("GET", "/healthz", None, 200, "ok", id="healthz"),
    *(
        pytest.param("GET", path, None, 401, "algs=", id=f"nobody-{path}")
        for path in ("/resource", "/orders", "/stream")
    ),
]
OF_FASTAPI = [
    pytest.param("POST", "/orders", WRITES, 201, "alice", id="create"),
    pytest.param("POST", "/orders", {}, 403, 'scope="orders:write"', id="create-without-the-scope"),
    pytest.param("GET", "/openapi.json", None, 200, '"scheme":"DPoP"', id="openapi"),
    pytest.param("GET", "/docs", None, 200, "swagger", id="docs"),
]


@pytest.fixture(scope="module", params=["resource_server", "fastapi_app"])
def server(request, issuer_server):
    with ResourceServer(issuer_server.issuer, app=f"examples.{request.param}:app") as server:
        yield server
        assert "Traceback" not in server.log


@pytest.fixture
def keeps(server, issuer_server):
    def keeps(method, path, claims, status, told):
        client, url = Client(), server.url + path
        with httpx2.Client() as http:
            nonce = http.get(f"{server.url}/resource").headers["dpop-nonce"]
            token = issuer_server.issuer.access_token(client, claims=claims or {})
            headers = {} if claims is None else client.headers(method, url, token, nonce=nonce)
            answer = http.request(method, url, headers=headers)
        said = answer.headers["www-authenticate"] if status >= 400 else answer.text
        assert (answer.status_code, told in said or method == "HEAD") == (status, True)

    return keeps


@pytest.mark.requirement("R-6750-07", "R-9470-01")
@pytest.mark.parametrize(("method", "path", "claims", "status", "told"), CONTRACT)
def test_an_example_keeps_the_contract(keeps, method, path, claims, status, told):
    keeps(method, path, claims, status, told)


@pytest.mark.parametrize("server", ["fastapi_app"], indirect=True)
@pytest.mark.parametrize(("method", "path", "claims", "status", "told"), OF_FASTAPI)
def test_the_one_with_fastapi_has_more(keeps, method, path, claims, status, told):
    keeps(method, path, claims, status, told)


# What a server says about itself to `mcp_client.py`

RESOURCE, ISSUER = "https://api.example.com/mcp", "https://id.example.com"
NAMED = {
    "resource_metadata": "https://api.example.com/about",
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/authorize",
    "token_endpoint": f"{ISSUER}/token",
    "registration_endpoint": f"{ISSUER}/register",
}


async def _discover(**changes):
    """Returns where the client went, besides the resource."""
    named, visited = {**NAMED, **changes}, []

    def respond(request):
        if request.method == "POST":
            metadata = f'DPoP resource_metadata="{named["resource_metadata"]}"'
            return httpx2.Response(401, headers={"WWW-Authenticate": metadata})
        visited.append(str(request.url))
        resource = {"resource": RESOURCE, "authorization_servers": [named["issuer"]]}
        return httpx2.Response(200, json=resource if len(visited) == 1 else named)

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(respond)) as http:
        try:
            await Discovery(RESOURCE, http).find()
        except SystemExit as told:
            return visited, str(told)
    return visited, None


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("url", ["http://id.example.com/x", "http://localhost.example.com/x", "file://localhost/etc"])
async def test_the_mcp_client_opens_and_calls_nothing_but_https(name, url):
    visited, told = await _discover(**{name: url})
    assert told.endswith("is not an https URL")
    assert all(one.startswith("https://") for one in visited)


@pytest.mark.parametrize("issuer", [ISSUER, "http://127.0.0.1:8001", "http://[::1]:8001", "http://localhost:8001"])
async def test_the_mcp_client_knows_servers_on_this_machine(issuer):
    visited, told = await _discover(issuer=issuer)
    assert (visited[1:], told) == ([f"{issuer}/.well-known/oauth-authorization-server"], None)
