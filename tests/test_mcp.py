"""MCP servers: the official SDK's server behind ours, called by the official client with `DPoPAuth`."""

import asyncio
import json
from contextlib import asynccontextmanager

import httpx2
import pytest
from mcp import Client as MCPClient
from mcp.client.streamable_http import streamable_http_client
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.request_state import authenticated_principal

from dpop_asgi import AccessToken, Authenticator, JWTVerifier, MemoryStore, ResourceMetadata
from dpop_asgi.mcp import CallerForMCP, protect
from dpop_asgi.testing import Client, Issuer, ManualClock
from tests.support.api import Api, App, call, http_scope
from tests.support.challenges import checked_challenges
from tests.support.processes import AUDIENCE
from tests.support.serving import Served

ORIGIN = "https://rs.example"
ADDRESS = f"{ORIGIN}/.well-known/oauth-protected-resource/mcp"


def _server():
    server = MCPServer("test")

    @server.tool()
    def whoami() -> str:
        token = get_access_token()
        assert token is not None
        return f"{token.subject} {token.client_id} {token.claims['cnf']['jkt']}"

    @server.tool()
    async def announce(ctx: Context) -> str:
        await ctx.session.send_tool_list_changed()
        return "announced"

    return server


class Scene:
    """A server on a socket, with a clock that is moved by hand."""

    def __init__(self, **options):
        self.clock = ManualClock()
        self.issuer = Issuer("https://id.example.com", audience=AUDIENCE, clock=self.clock)
        verifier = JWTVerifier(
            issuer=self.issuer.url, audience=AUDIENCE, jwks=self.issuer.jwks, leeway=1e6, clock=self.clock
        )
        authenticator = Authenticator(verify_token=verifier, store=MemoryStore(clock=self.clock), clock=self.clock)
        self.served = Served(protect(_server().streamable_http_app(**options), authenticator), lifespan="on")
        self.url = f"{self.served.url}/mcp"

    @asynccontextmanager
    async def http(self, sub, **claims):
        """A client of `sub`, and the statuses that it has seen."""
        client, seen = Client(clock=self.clock), []
        token = self.issuer.access_token(client, claims={"sub": sub, **claims})

        async def see(response):
            seen.append(response.status_code)

        hooks = {"response": [see]}
        async with httpx2.AsyncClient(auth=client.auth(token), event_hooks=hooks, timeout=60, trust_env=False) as http:
            yield http, seen, client.thumbprint


@pytest.fixture(scope="module", params=[False, True], ids=["stateful", "stateless"])
def scene(request):
    scene = Scene(stateless_http=request.param)
    with scene.served:
        yield scene


@pytest.fixture(scope="module")
def stateful():
    scene = Scene(stateless_http=False)
    with scene.served:
        yield scene


@pytest.mark.requirement("R-MCP-10")
@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_tools_see_the_caller_while_nonces_rotate(scene, mode):
    async with (
        scene.http("alice") as (http, seen, thumbprint),
        MCPClient(streamable_http_client(scene.url, http_client=http), mode=mode) as client,
    ):
        assert {tool.name for tool in (await client.list_tools()).tools} == {"whoami", "announce"}
        for _ in range(3):
            scene.clock.advance(60)
            [content] = (await client.call_tool("whoami", {})).content
            assert content.text == f"alice demo-client {thumbprint}"
    # The stream is opened while the first request waits for its nonce, so there may be two challenges.
    assert 1 <= seen.count(401) <= 2
    assert 401 not in seen[4:]


async def test_a_stream_outlives_the_nonce_that_it_was_opened_with(stateful):
    changed = asyncio.Event()

    async def notice(message):
        if getattr(message, "method", None) == "notifications/tools/list_changed":
            changed.set()

    async with (
        stateful.http("alice") as (http, _, _),
        MCPClient(
            streamable_http_client(stateful.url, http_client=http), mode="legacy", message_handler=notice
        ) as client,
    ):
        for _ in range(3):
            stateful.clock.advance(60)
            await client.list_tools()
        await client.call_tool("announce", {})
        await asyncio.wait_for(changed.wait(), 60)


# Sessions

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}
LIST = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
ACCEPT = {"Accept": "application/json, text/event-stream"}


@pytest.mark.parametrize(
    ("owner", "other"),
    [
        pytest.param({"sub": "alice"}, {"sub": "bob"}, id="another-user-of-the-same-client"),
        pytest.param({"sub": "alice"}, {"sub": "alice", "client_id": "other"}, id="another-client-of-the-same-user"),
    ],
)
async def test_a_session_belongs_to_the_caller_who_opened_it(stateful, owner, other):
    async with stateful.http(**owner) as (alice, _, _), stateful.http(**other) as (bob, _, _):
        opened = await alice.post(stateful.url, json=INITIALIZE, headers=ACCEPT)
        session = {**ACCEPT, "Mcp-Session-Id": opened.headers["mcp-session-id"]}
        uses = [
            await bob.post(stateful.url, json=LIST, headers=session),
            await bob.get(stateful.url, headers=session),
            await bob.get(stateful.url, headers={**session, "Last-Event-ID": "1"}),
            await bob.delete(stateful.url, headers=session),
        ]
        assert [response.status_code for response in uses] == [404] * 4
        assert (await alice.post(stateful.url, json=LIST, headers=session)).status_code == 200
        assert (await alice.delete(stateful.url, headers=session)).status_code == 200


# In process: who the SDK takes the caller for


class Principals(App):
    """Keeps what a `requestState` would be bound to, and the body."""

    async def __call__(self, scope, receive, send):
        body, more = b"", scope["method"] == "POST"
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        self.seen = (authenticated_principal(None), scope["user"].access_token, body)
        await super().__call__(scope, receive, send)


def _chunks(body):
    """A `receive` that gets the body in two messages."""
    half = len(body) // 2
    messages = [
        {"type": "http.request", "body": body[:half], "more_body": True},
        {"type": "http.request", "body": body[half:], "more_body": False},
    ]

    async def receive():
        return messages.pop(0)

    return receive


@pytest.fixture
def make(issuer, client, clock):
    def make(inner=None, *, wrapped=None, **options):
        api = Api(App(), issuer, client, clock, **(wrapped or {}))
        api.inner = inner or Principals()
        api.app = protect(api.inner, api.authenticator, **{"public_url": ORIGIN, **options})
        return api

    return make


async def _principal(api, **token):
    answer = await api.request("GET", "/mcp", token=api.issuer.access_token(api.client, **token))
    assert answer.status == 200
    return api.inner.seen[0]


async def test_request_state_belongs_to_the_caller(make):
    api = make()
    principals = [
        await _principal(api, claims={"sub": "alice"}),
        await _principal(api, claims={"sub": "bob"}),
        await _principal(api, claims={"sub": "alice", "client_id": "other"}),
        await _principal(api, claims={"sub": "alice"}, without=["client_id"]),
        await _principal(api, without=["client_id", "sub"]),
    ]
    assert None not in principals
    assert len(set(principals)) == len(principals)


async def test_tokens_that_name_nobody_are_told_apart_by_their_key(make, client, other_client):
    async def verify(token):
        return AccessToken(key_thumbprint={"a": client, "b": other_client}[token].thumbprint)

    api, principals = make(wrapped={"verify_token": verify}), []
    for token, who in (("a", client), ("b", other_client)):
        assert (await api.request("GET", "/mcp", token=token, client=who)).status == 200
        principals.append(api.inner.seen[0])
    assert principals[0] != principals[1]


async def test_a_caller_whom_the_sdk_could_not_tell_from_others_is_rejected(make):
    async def verify(_):
        return AccessToken(scopes=frozenset({"a"}))

    api = make(wrapped={"verify_token": verify, "mode": "mixed"})
    answer = await api.anonymous("GET", "/mcp", [("authorization", "Bearer x")])
    assert (answer.status, api.inner.scopes) == (401, [])


async def test_the_sdk_gets_what_the_token_says(make, issuer):
    api = make(scopes=["a"])
    token = issuer.access_token(api.client, claims={"scope": "b a"})
    await api.request("GET", "/mcp", token=token)
    seen = api.inner.seen[1]
    assert (seen.token, seen.subject, seen.scopes) == (token, seen.claims["sub"], ["a", "b"])
    assert (seen.resource, seen.expires_at) == (AUDIENCE, int(seen.claims["exp"]))


# What is rejected


@pytest.mark.requirement("R-MCP-09", "R-9728-05")
@pytest.mark.parametrize("path", ["/mcp", "/other", "/mcp/"])
async def test_nobody_gets_in_without_a_token(make, path):
    api = make(scopes=["tools"])
    answer = await api.anonymous("POST", path, receive=None)
    [challenge] = checked_challenges(answer.headers)
    assert (answer.status, api.inner.scopes) == (401, [])
    if path != "/other":
        told = challenge.parameters
        assert (told["scope"], told["resource_metadata"]) == ("tools", ADDRESS)


def _call(name, **more):
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name}, **more}).encode()


PUBLIC = _call("whoami")
SECRET = _call("orders")
TWICE = PUBLIC.replace(b'"name": "whoami"', b'"name": "orders", "name": "whoami"')


@pytest.mark.requirement("R-MCP-09", "R-6750-07")
@pytest.mark.parametrize(
    ("granted", "body", "needed"),
    [
        pytest.param("tools", PUBLIC, None, id="tool-without-scopes"),
        pytest.param("tools", b'{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}', None, id="no-call"),
        pytest.param("tools orders:read", SECRET, None, id="tool-with-its-scope"),
        pytest.param("tools orders:read admin", b"{", None, id="no-json-with-all-scopes"),
        pytest.param("tools", SECRET, "tools orders:read", id="tool-without-its-scope"),
        pytest.param("orders:read admin", SECRET, "tools", id="server-without-its-scope"),
        pytest.param("tools", b"[" + PUBLIC + b"," + SECRET + b"]", "tools orders:read", id="batch"),
        pytest.param("tools", TWICE, "tools orders:read admin", id="name-twice"),
        pytest.param("tools", b"\xef\xbb\xbf" + PUBLIC, "tools orders:read admin", id="byte-order-mark"),
        pytest.param("tools", SECRET.decode().encode("utf-16"), "tools orders:read admin", id="utf-16"),
        pytest.param("tools", b"[" * 100_000, "tools orders:read admin", id="nested-too-deeply"),
        pytest.param("tools", _call(1), "tools orders:read admin", id="name-is-no-text"),
        pytest.param("tools", _call("x" * 5_000_000), "tools orders:read admin", id="too-long"),
    ],
)
async def test_all_scopes_that_a_call_needs_are_named_at_once(make, issuer, granted, body, needed):
    api = make(scopes=["tools"], tool_scopes={"orders": ["orders:read"], "reset": ["admin"]})
    token = issuer.access_token(api.client, claims={"scope": granted})
    answer = await api.request("POST", "/mcp", token=token, receive=_chunks(body))
    if needed is None:
        assert answer.status == 200
        assert api.inner.seen[2] == body
        return
    [challenge] = checked_challenges(answer.headers)
    told = challenge.parameters
    assert (answer.status, api.inner.scopes) == (403, [])
    assert (challenge.scheme, told["scope"], told["resource_metadata"]) == ("DPoP", needed, ADDRESS)


async def test_only_what_is_public_is_open(make):
    api = make(inner := App(), public_paths=["/healthz"])
    assert (await api.anonymous("GET", "/healthz")).status == 200
    assert (await api.anonymous("GET", "/mcp")).status == 401
    assert len(inner.scopes) == 1


async def test_without_our_middleware_nothing_is_served():
    inner = App()
    with pytest.raises(RuntimeError, match="no DPoPMiddleware"):
        await call(CallerForMCP(inner), http_scope("POST", "/mcp"))
    assert inner.scopes == []


@pytest.mark.requirement("R-9728-01")
@pytest.mark.parametrize("path", ["/mcp", "/"])
async def test_the_metadata_is_that_of_the_resource(make, path):
    api = make(path=path, scopes=["tools"], tool_scopes={"orders": ["orders:read"]})
    prefix = path.rstrip("/")
    answer = await api.anonymous(path=f"/.well-known/oauth-protected-resource{prefix}")
    document = json.loads(answer.body)
    assert (document["resource"], document["scopes_supported"]) == (ORIGIN + prefix, ["tools", "orders:read"])


async def test_the_metadata_can_say_more(make):
    api = make(metadata=ResourceMetadata(resource_name="Orders"))
    answer = await api.anonymous(path="/.well-known/oauth-protected-resource/mcp")
    assert json.loads(answer.body)["resource_name"] == "Orders"


@pytest.mark.parametrize(
    ("option", "options"),
    [
        pytest.param("scopes", {"scopes": ["a b"]}, id="scope-with-a-space"),
        pytest.param("scopes", {"tool_scopes": {"x": ["offline_access"]}}, id="offline-access"),
        pytest.param("tool_scopes", {"tool_scopes": ["x"]}, id="list-of-tools"),
        pytest.param("public_paths", {"public_paths": ["/mcp"]}, id="public-endpoint"),
        pytest.param("metadata", {"path": "mcp"}, id="no-path"),
        pytest.param("realm", {"realm": '"'}, id="of-the-middleware"),
    ],
)
def test_an_option_that_could_not_work_is_a_value_error(make, option, options):
    with pytest.raises(ValueError, match=f"^{option}: "):
        make(**options)
