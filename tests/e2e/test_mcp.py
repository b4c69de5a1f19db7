"""MCP servers on sockets: the official SDK's server behind ours, called by the official client with `DPoPAuth`."""

import asyncio
import json
import runpy
import subprocess
import sys
from contextlib import asynccontextmanager

import httpx2
import pytest
from mcp import Client as MCPClient
from mcp.client.streamable_http import streamable_http_client
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.streamable_http import EventMessage, EventStore

from dpop_asgi import Authenticator, JWTVerifier, MemoryStore
from dpop_asgi.mcp import EventsOfCallers, protect
from dpop_asgi.testing import Client, Issuer, ManualClock
from tests.support.challenges import checked_challenges
from tests.support.load import HANGS_AFTER
from tests.support.processes import AUDIENCE, ROOT, AuthorizationServer, free_port
from tests.support.processes import MCPServer as ExampleServer
from tests.support.serving import Served

CLIENTS = ROOT / "tests" / "e2e" / "clients"


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

    def __init__(self, *, resumable=False, **options):
        self.clock = ManualClock()
        self.issuer = Issuer("https://id.example.com", audience=AUDIENCE, clock=self.clock)
        verifier = JWTVerifier(
            issuer=self.issuer.url, audience=AUDIENCE, jwks=self.issuer.jwks, leeway=1e6, clock=self.clock
        )
        authenticator = Authenticator(verify_token=verifier, store=MemoryStore(clock=self.clock), clock=self.clock)
        app = protect(_server().streamable_http_app(**options), authenticator, resumable=resumable)
        self.served = Served(app, lifespan="on")
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


STATEFUL = pytest.mark.parametrize("scene", [False], ids=["stateful"], indirect=True)


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


@STATEFUL
async def test_a_stream_outlives_the_nonce_that_it_was_opened_with(scene):
    changed = asyncio.Event()

    async def notice(message):
        if getattr(message, "method", None) == "notifications/tools/list_changed":
            changed.set()

    async with (
        scene.http("alice") as (http, _, _),
        MCPClient(streamable_http_client(scene.url, http_client=http), mode="legacy", message_handler=notice) as client,
    ):
        for _ in range(3):
            scene.clock.advance(60)
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
CALL = {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "orders"}}
ACCEPT = {"Accept": "application/json, text/event-stream"}


async def _session(http, url):
    opened = await http.post(url, json=INITIALIZE, headers=ACCEPT)
    return {**ACCEPT, "Mcp-Session-Id": opened.headers["mcp-session-id"]}


async def _uses(http, url, session):
    """The statuses of every kind of use of a session."""
    uses = [
        await http.post(url, json=LIST, headers=session),
        await http.get(url, headers=session),
        await http.get(url, headers={**session, "Last-Event-ID": "1"}),
        await http.delete(url, headers=session),
    ]
    return [response.status_code for response in uses]


@pytest.mark.parametrize(
    ("owner", "other"),
    [
        pytest.param({"sub": "alice"}, {"sub": "bob"}, id="another-user-of-the-same-client"),
        pytest.param({"sub": "alice"}, {"sub": "alice", "client_id": "other"}, id="another-client-of-the-same-user"),
    ],
)
@STATEFUL
async def test_a_session_belongs_to_the_caller_who_opened_it(scene, owner, other):
    async with scene.http(**owner) as (alice, _, _), scene.http(**other) as (bob, _, _):
        session = await _session(alice, scene.url)
        assert await _uses(bob, scene.url, session) == [404] * 4
        assert httpx2.post(scene.url, json=LIST, headers=session, trust_env=False).status_code == 401
        assert (await alice.post(scene.url, json=LIST, headers=session)).status_code == 200
        assert (await alice.delete(scene.url, headers=session)).status_code == 200


# Resumed streams


class Events(EventStore):
    """As simple as one can be: the id of an event is its number."""

    def __init__(self):
        self._events = []
        self.replays = 0

    async def store_event(self, stream_id, message):
        self._events.append((stream_id, message))
        return str(len(self._events))

    async def replay_events_after(self, last_event_id, send_callback):
        self.replays += 1
        stream_id = self._events[int(last_event_id) - 1][0]
        for number, (stream, message) in enumerate(self._events, start=1):
            if number > int(last_event_id) and stream == stream_id and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream_id


async def _resumed(http, url, session, event):
    """The first line with data of a stream that is resumed; `None` if it ends without one."""
    async with http.stream("GET", url, headers={**session, "Last-Event-ID": event}) as response:
        assert response.status_code == 200
        return await anext((line async for line in response.aiter_lines() if line.startswith("data: {")), None)


async def test_a_stream_is_resumed_by_the_caller_whose_it_is():
    """Bob has a session of his own, and guesses the id of Alice's last event but one."""
    scene = Scene(stateless_http=False, resumable=True, event_store=EventsOfCallers(Events()))
    with scene.served:
        async with scene.http("alice") as (alice, _, _), scene.http("bob") as (bob, _, _):
            session = await _session(alice, scene.url)
            for number in (3, 4):
                announce = {**CALL, "id": number, "params": {"name": "announce", "arguments": {}}}
                assert (await alice.post(scene.url, json=announce, headers=session)).status_code == 200
            its_own = await _session(bob, scene.url)
            for event in range(1, 6):
                assert await _resumed(bob, scene.url, its_own, str(event)) is None
            assert "jsonrpc" in await _resumed(alice, scene.url, session, "2")


async def test_no_stream_is_resumed_unless_the_events_of_callers_are_kept_apart():
    events = Events()
    scene = Scene(stateless_http=False, event_store=events)
    with scene.served:
        async with scene.http("alice") as (alice, _, _):
            session = await _session(alice, scene.url)
            async with alice.stream("GET", scene.url, headers={**session, "Last-Event-ID": "1"}) as response:
                assert response.status_code == 200
    assert events.replays == 0


# Examples


@pytest.fixture(scope="module", params=["mcp_server", "fastmcp_server"])
def example(request, issuer_server):
    """An example of a server, as a user starts it, but in a thread."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DPOP_ISSUER", issuer_server.issuer.url)
        patch.setenv("DPOP_AUDIENCE", AUDIENCE)
        app = runpy.run_path(str(ROOT / "examples" / f"{request.param}.py"))["app"]
    with Served(app, lifespan="on") as served:
        yield f"{served.url}/mcp"


@pytest.mark.requirement("R-9728-03", "R-MCP-09")
async def test_an_example_serves_the_caller_and_tells_others_where_to_go(example, issuer_server):
    client = Client()
    claims = {"sub": "alice", "scope": "orders:read"}
    auth = client.auth(issuer_server.issuer.access_token(client, claims=claims))
    async with (
        httpx2.AsyncClient(auth=auth, trust_env=False, timeout=60) as http,
        MCPClient(streamable_http_client(example, http_client=http)) as client,
    ):
        [content] = (await client.call_tool("whoami", {})).content
    assert json.loads(content.text) == {"sub": "alice", "client_id": "demo-client", "scope": ["orders:read"]}
    challenged = httpx2.post(example, json=LIST, headers=ACCEPT, trust_env=False)
    [challenge] = checked_challenges([(b"www-authenticate", challenged.headers["www-authenticate"].encode())])
    document = httpx2.get(challenge.parameters["resource_metadata"], trust_env=False).json()
    assert (document["resource"], document["scopes_supported"]) == (example, ["orders:read"])


@pytest.mark.parametrize("example", ["fastmcp_server"], indirect=True)
async def test_a_session_of_fastmcp_belongs_to_the_caller(example, issuer_server):
    def http(sub):
        client = Client()
        token = issuer_server.issuer.access_token(client, claims={"sub": sub, "scope": "orders:read"})
        return httpx2.AsyncClient(auth=client.auth(token), trust_env=False, timeout=60)

    async with http("alice") as alice, http("bob") as bob:
        session = await _session(alice, example)
        assert await _uses(bob, example, session) == [404] * 4
        assert (await alice.delete(example, headers=session)).status_code == 200


async def test_a_token_without_a_scope_is_told_which_one_in_an_example(example, issuer_server):
    client = Client()
    auth = client.auth(issuer_server.issuer.access_token(client, claims={"scope": "other"}))
    async with httpx2.AsyncClient(auth=auth, trust_env=False) as http:
        refused = await http.post(example, json=CALL, headers=ACCEPT)
    assert refused.status_code == 403
    assert 'scope="orders:read"' in refused.headers["www-authenticate"]


@pytest.fixture
def browser(monkeypatch):
    """One that shows nothing and follows every redirect."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("BROWSER", f"{sys.executable} {CLIENTS / 'browser.py'} %s")


@pytest.mark.usefixtures("browser")
def test_the_examples_of_client_server_and_authorization_server_work_together(monkeypatch):
    """Each of the servers asks for a nonce of its own."""
    monkeypatch.setenv("CLIENT_ID", "demo-app")
    port = free_port()
    resource = f"http://127.0.0.1:{port}/mcp"
    with (
        AuthorizationServer(audience=resource) as issuer,
        ExampleServer(issuer, port=port, audience=resource) as server,
    ):
        command = [sys.executable, "examples/mcp_client.py", resource]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=HANGS_AFTER)
        assert "Traceback" not in issuer.log + server.log
    assert done.returncode == 0, done.stderr
    tools, caller = done.stdout.splitlines()
    assert set(tools.split(", ")) == {"whoami", "orders"}
    assert json.loads(caller) == {"sub": "alice", "client_id": "demo-app", "scope": ["orders:read"]}


@pytest.mark.usefixtures("browser")
@pytest.mark.parametrize("scenario", ["auth/dpop", "auth/dpop-nonce"])
def test_the_client_passes_the_official_conformance_scenarios(node, tmp_path, scenario):
    command = [node, CLIENTS / "node_modules" / ".bin" / "conformance", "client", "--scenario", scenario]
    command += ["--command", f"{sys.executable} {ROOT / 'examples' / 'mcp_client.py'}", "--timeout", "120000"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert "0 failed, 0 warnings" in done.stderr
