"""Between our middleware and the MCP SDK: who the caller is for the SDK, and what a call needs."""

import json

import pytest
from mcp.server.request_state import authenticated_principal

from dpop_asgi import AccessToken, DPoPMiddleware, ResourceMetadata
from dpop_asgi.mcp import CallerForMCP, protect
from tests.support.api import Api, App, call, http_scope
from tests.support.challenges import checked_challenges
from tests.support.processes import AUDIENCE

ORIGIN = "https://rs.example"
ADDRESS = f"{ORIGIN}/.well-known/oauth-protected-resource/mcp"


class Principals(App):
    """Keeps what a `requestState` would be bound to, and the body with its parts."""

    def __init__(self):
        super().__init__()
        self.parts = []

    async def __call__(self, scope, receive, send):
        body, more = b"", scope["method"] == "POST"
        while more:
            message = await receive()
            self.parts.append(message["body"])
            body, more = body + message["body"], message["more_body"]
        self.seen = (authenticated_principal(None), scope["user"].access_token, body)
        await super().__call__(scope, receive, send)


def _chunks(body):
    """A `receive` that gets the body in two messages, after an empty one."""
    half = len(body) // 2
    messages = [
        {"type": "http.request", "body": b"", "more_body": True},
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


async def _principal(api, **request):
    assert (await api.request("GET", "/mcp", **request)).status == 200
    return api.inner.seen[0]


async def test_request_state_belongs_to_the_caller(make, issuer, client, other_client):
    async def verify(token):
        return AccessToken(key_thumbprint={"a": client, "b": other_client}[token].thumbprint)

    api, nameless = make(), make(wrapped={"verify_token": verify})
    tokens = [
        {"claims": {"sub": "alice"}},
        {"claims": {"sub": "bob"}},
        {"claims": {"sub": "alice", "client_id": "other"}},
        {"claims": {"sub": "alice"}, "without": ["client_id"]},
        {"without": ["client_id", "sub"]},
    ]
    principals = [await _principal(api, token=issuer.access_token(client, **token)) for token in tokens]
    for token, of in (("a", client), ("b", other_client)):
        principals.append(await _principal(nameless, token=token, client=of))
    assert None not in principals
    assert len(set(principals)) == len(principals)


async def test_a_caller_whom_the_sdk_could_not_tell_from_others_is_rejected(make):
    async def verify(_):
        return AccessToken(scopes=frozenset({"a"}))

    api = make(wrapped={"verify_token": verify, "mode": "mixed"})
    answer = await api.anonymous("GET", "/mcp", [("authorization", "Bearer x")])
    assert (answer.status, api.inner.scopes) == (401, [])


@pytest.mark.parametrize(("present_as", "scheme"), [(None, b"DPoP"), ("bearer", b"Bearer")])
async def test_the_sdk_gets_what_the_token_says(make, issuer, present_as, scheme):
    api = make()
    asking = CallerForMCP(api.inner, present_as=present_as, scopes=["a"])
    api.app = DPoPMiddleware(asking, authenticator=api.authenticator, public_url=ORIGIN)
    token = issuer.access_token(api.client, claims={"scope": "b a"})
    await api.request("GET", "/mcp", token=token)
    seen = api.inner.seen[1]
    assert (seen.token, seen.subject, seen.scopes) == (token, seen.claims["sub"], ["a", "b"])
    assert (seen.resource, seen.expires_at) == (AUDIENCE, int(seen.claims["exp"]))
    assert dict(api.inner.scopes[0]["headers"])[b"authorization"] == scheme + b" " + token.encode()


# What is rejected


@pytest.mark.requirement("R-MCP-09", "R-9728-05")
@pytest.mark.parametrize("path", ["/mcp", "/other", "/mcp/"])
async def test_nobody_gets_in_without_a_token_but_to_what_is_public(make, path):
    api = make(inner := App(), scopes=["tools"], public_paths=["/healthz"])
    answer = await api.anonymous("POST", path, receive=None)
    [challenge] = checked_challenges(answer.headers)
    assert (answer.status, inner.scopes) == (401, [])
    if path != "/other":
        told = challenge.parameters
        assert (told["scope"], told["resource_metadata"]) == ("tools", ADDRESS)
    assert (await api.anonymous("GET", "/healthz")).status == 200


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
        pytest.param("tools", _call("__0123456789ab_orders"), "tools orders:read admin", id="fastmcps-other-name"),
        pytest.param("tools", _call("__whoami"), None, id="a-name-with-underscores"),
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
        # Kept apart, tiny ones would take a hundred times the memory. Who has all scopes is not read for.
        assert len(api.inner.parts) == (3 if granted == "tools orders:read admin" else 1)
        return
    [challenge] = checked_challenges(answer.headers)
    told = challenge.parameters
    assert (answer.status, api.inner.scopes) == (403, [])
    assert (challenge.scheme, told["scope"], told["resource_metadata"]) == ("DPoP", needed, ADDRESS)


async def test_without_our_middleware_nothing_is_served():
    inner = App()
    with pytest.raises(RuntimeError, match="no DPoPMiddleware"):
        await call(CallerForMCP(inner), http_scope("POST", "/mcp"))
    assert inner.scopes == []


@pytest.mark.requirement("R-9728-01")
@pytest.mark.parametrize("path", ["/mcp", "/"])
@pytest.mark.parametrize("metadata", [None, ResourceMetadata(resource_name="Orders")], ids=["its-own", "more"])
async def test_the_metadata_is_that_of_the_resource(make, path, metadata):
    api = make(path=path, scopes=["tools"], tool_scopes={"orders": ["orders:read"]}, metadata=metadata)
    prefix = path.rstrip("/")
    answer = await api.anonymous(path=f"/.well-known/oauth-protected-resource{prefix}")
    document = json.loads(answer.body)
    assert document["resource"] == ORIGIN + prefix
    if metadata is None:
        assert document["scopes_supported"] == ["tools", "orders:read"]
    else:
        assert document["resource_name"] == "Orders"


@pytest.mark.parametrize(
    ("option", "options"),
    [
        pytest.param("scopes", {"scopes": ["a b"]}, id="scope-with-a-space"),
        pytest.param("scopes", {"tool_scopes": {"x": ["offline_access"]}}, id="offline-access"),
        pytest.param("tool_scopes", {"tool_scopes": ["x"]}, id="list-of-tools"),
        pytest.param("public_paths", {"public_paths": ["/mcp"]}, id="public-endpoint"),
        pytest.param("public_paths", {"public_paths": ["/mcp/"]}, id="public-endpoint-of-a-mount"),
        pytest.param("public_paths", {"public_paths": ["/x"], "path": "/x/"}, id="public-endpoint-without-its-slash"),
        pytest.param("resumable", {"resumable": "yes"}, id="not-a-bool"),
        pytest.param("metadata", {"path": "mcp"}, id="no-path"),
        pytest.param("realm", {"realm": '"'}, id="of-the-middleware"),
        pytest.param("preflights", {"preflights": "pass"}, id="preflights-that-the-endpoint-rejects"),
        pytest.param(
            "preflights", {"preflights": "pass", "require": {"/mcp": "required"}}, id="preflights-of-what-is-required"
        ),
    ],
)
def test_an_option_that_could_not_work_is_a_value_error(make, option, options):
    with pytest.raises(ValueError, match=f"^{option}: "):
        make(**options)
