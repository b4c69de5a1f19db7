"""Protected resource metadata (RFC 9728): where it is, what it says, and who is told."""

import json
from functools import partial

import pytest

from dpop_asgi import AccessToken, InsufficientScope, ResourceMetadata
from tests.support.api import App, call, connect, denial, handshake, http_scope
from tests.support.challenges import checked_challenges

WELL_KNOWN = "/.well-known/oauth-protected-resource"
ORIGIN = "https://rs.example"
ISSUER = "https://as.example"
OWN = ResourceMetadata(scopes_supported=["orders:read", "orders:write"], resource_name="Orders")


@pytest.fixture(params=["everything", "routes"])
def make(request, make_api):
    return partial(make_api, protect=request.param)


def _document(answer):
    assert (answer.status, answer.one("content-type")) == (200, "application/json")
    return json.loads(answer.body)


def _addresses(answer):
    return {one.parameters.get("resource_metadata") for one in checked_challenges(answer.headers)}


@pytest.mark.requirement("R-9728-02", "R-9728-04", "R-9728-06")
@pytest.mark.parametrize(
    ("mode", "bearer", "is_required"),
    [pytest.param("required", [], True, id="required"), pytest.param("mixed", ["header"], False, id="mixed")],
)
async def test_the_document_is_made_of_the_policy(make, issuer, mode, bearer, is_required):
    api = make(metadata=OWN, mode=mode)
    assert _document(await api.anonymous(path=WELL_KNOWN)) == {
        "resource": ORIGIN,
        "authorization_servers": [issuer.url],
        "scopes_supported": ["orders:read", "orders:write"],
        "bearer_methods_supported": bearer,
        "dpop_signing_alg_values_supported": ["ES256", "PS256", "Ed25519", "EdDSA"],
        "dpop_bound_access_tokens_required": is_required,
        "resource_name": "Orders",
    }


@pytest.mark.requirement("R-9728-02")
async def test_what_has_no_value_is_left_out(make):
    async def verify(_):
        return AccessToken(subject="alice")

    unknown = make(metadata=ResourceMetadata(), verify_token=verify)
    document = _document(await unknown.anonymous(path=WELL_KNOWN))
    assert not document.keys() & {"authorization_servers", "scopes_supported"}


async def test_servers_can_be_named_and_scopes_be_known_late(make):
    scopes = []
    api = make(metadata=ResourceMetadata(scopes_supported=lambda: scopes, authorization_servers=[ISSUER]))
    scopes += ["a", "b", "a"]
    document = _document(await api.anonymous(path=WELL_KNOWN))
    assert (document["authorization_servers"], document["scopes_supported"]) == ([ISSUER], ["a", "b"])


BELOW = {"": ResourceMetadata(), "/mcp": ResourceMetadata(), "/mcp/two": ResourceMetadata()}
TWO_HOSTS = ["https://rs.example/api", "https://two.example"]


@pytest.mark.requirement("R-9728-01", "R-9728-03")
@pytest.mark.parametrize(
    ("options", "scope", "resource"),
    [
        pytest.param({}, {"path": WELL_KNOWN}, ORIGIN, id="origin"),
        pytest.param({"public_url": ORIGIN + "/"}, {"path": WELL_KNOWN}, ORIGIN, id="origin-with-slash"),
        pytest.param({"public_url": ORIGIN + "/api"}, {"path": WELL_KNOWN + "/api"}, ORIGIN + "/api", id="prefix"),
        pytest.param({"public_url": ORIGIN + "/api"}, {"path": WELL_KNOWN}, ORIGIN + "/api", id="prefix-stripped"),
        pytest.param({"public_url": TWO_HOSTS}, {"path": WELL_KNOWN}, ORIGIN + "/api", id="one-of-two-hosts"),
        pytest.param(
            {"public_url": TWO_HOSTS},
            {"path": WELL_KNOWN, "headers": [("host", "two.example")]},
            "https://two.example",
            id="the-other-host",
        ),
        pytest.param({"metadata": BELOW}, {"path": WELL_KNOWN}, ORIGIN, id="several-root"),
        pytest.param({"metadata": BELOW}, {"path": WELL_KNOWN + "/mcp"}, ORIGIN + "/mcp", id="several-first"),
        pytest.param({"metadata": BELOW}, {"path": WELL_KNOWN + "/mcp/two"}, ORIGIN + "/mcp/two", id="several-second"),
        pytest.param({"metadata": {"/mcp": OWN}}, {"path": WELL_KNOWN}, ORIGIN + "/mcp", id="only-one-at-the-root"),
        pytest.param(
            {"metadata": ResourceMetadata(resource=ORIGIN + "/own/")},
            {"path": WELL_KNOWN + "/own/"},
            ORIGIN + "/own/",
            id="identifier",
        ),
        pytest.param(
            {"metadata": ResourceMetadata(resource=ORIGIN), "public_url": None, "target_uri": lambda _: "unused"},
            {"path": WELL_KNOWN},
            ORIGIN,
            id="identifier-with-target-uri",
        ),
        pytest.param(
            {"public_url": None},
            {"path": WELL_KNOWN, "headers": [("host", "localhost:8000")], "scheme": "http"},
            "http://localhost:8000",
            id="this-machine",
        ),
        pytest.param(
            {"metadata": {"/v1": OWN}},
            {"path": "/v1" + WELL_KNOWN, "root_path": "/v1"},
            ORIGIN + "/v1",
            id="root-path",
        ),
    ],
)
async def test_each_resource_has_its_document(make, options, scope, resource):
    api = make(**{"metadata": OWN, **options})
    scope = http_scope(**{"headers": [("host", "rs.example")], **scope})
    assert _document(await call(api.app, scope))["resource"] == resource


@pytest.mark.parametrize(
    ("path", "host"),
    [
        (WELL_KNOWN + "/other", "rs.example"),
        (WELL_KNOWN + "x", "rs.example"),
        ("/r" + WELL_KNOWN, "rs.example"),
        (WELL_KNOWN, "evil.example"),
    ],
)
async def test_no_other_path_is_open(make_api, path, host):
    api = make_api(metadata=OWN, public_url=TWO_HOSTS)
    assert (await call(api.app, http_scope(path=path, headers=[("host", host)]))).status == 401


@pytest.mark.requirement("R-9728-05", "R-6750-07")
@pytest.mark.parametrize(
    ("options", "path", "address"),
    [
        pytest.param({}, "/r", WELL_KNOWN, id="origin"),
        pytest.param({"public_url": ORIGIN + "/api"}, "/r", WELL_KNOWN + "/api", id="prefix"),
        pytest.param({"metadata": BELOW}, "/mcp", WELL_KNOWN + "/mcp", id="first"),
        pytest.param({"metadata": BELOW}, "/mcp/two/x", WELL_KNOWN + "/mcp/two", id="second"),
        pytest.param({"metadata": BELOW}, "/mcpx", WELL_KNOWN, id="root"),
    ],
)
@pytest.mark.parametrize("mode", ["required", "mixed"])
async def test_every_challenge_names_the_address(make_api, options, path, address, mode):
    async def app(*_):
        raise InsufficientScope("a", "b")

    base = options.get("public_url", ORIGIN)
    api = make_api(app, **{"metadata": OWN, "mode": mode, **options})
    forbidden = await api.request("GET", path, scope={}, token=api.token) if base == ORIGIN else None
    answers = [
        await api.anonymous(path=path),
        await api.anonymous(path=path, also=[("authorization", "Bearer x")]),
        await api.request("GET", path, nonce=None),
        await api.request("GET", path, without=["DPoP"]),
        denial(await connect(api.app, handshake(path=path))),
        *([forbidden] if forbidden else []),
    ]
    assert [answer.status for answer in answers] == [401] * 5 + [403] * (forbidden is not None)
    assert set().union(*map(_addresses, answers)) == {ORIGIN + address}
    if forbidden is not None:
        assert checked_challenges(forbidden.headers)[0].parameters["scope"] == "a b"


@pytest.mark.requirement("R-9728-03")
async def test_every_host_has_its_own_address_in_challenges(make_api):
    api = make_api(metadata=OWN, public_url=TWO_HOSTS)
    hosts = {
        "rs.example": ORIGIN + WELL_KNOWN + "/api",
        "two.example": f"https://two.example{WELL_KNOWN}",
        "x.example": None,
    }
    for host, address in [*hosts.items(), *hosts.items()]:
        answer = await call(api.app, http_scope(headers=[("host", host)]))
        assert _addresses(answer) == {address}


@pytest.mark.requirement("R-MCP-09")
async def test_a_challenge_names_the_scopes_to_ask_for_first(make_api):
    api = make_api(metadata=ResourceMetadata(challenge_scopes=["a", "b"]))
    [challenge] = checked_challenges((await api.anonymous()).headers)
    assert challenge.parameters["scope"] == "a b"


@pytest.mark.requirement("R-9728-07")
@pytest.mark.parametrize(
    ("method", "status", "also"),
    [
        pytest.param("GET", 200, {"cache-control": "public, max-age=300"}, id="get"),
        pytest.param("HEAD", 200, {"cache-control": "public, max-age=300"}, id="head"),
        pytest.param(
            "OPTIONS", 204, {"access-control-allow-headers": "*", "allow": "GET, HEAD, OPTIONS"}, id="options"
        ),
        pytest.param("POST", 405, {"allow": "GET, HEAD, OPTIONS"}, id="post"),
    ],
)
async def test_scripts_of_any_origin_may_read_it_and_nobody_else_writes(make, method, status, also):
    inner = App()
    api = make(inner, metadata=OWN)
    answer = await api.anonymous(method, WELL_KNOWN, [("origin", "https://app.example")])
    assert (answer.status, inner.scopes) == (status, [])
    assert {name: answer.one(name) for name in also} == also
    assert not answer.all("www-authenticate")
    assert not answer.all("dpop-nonce")
    if status < 300:
        assert answer.one("access-control-allow-origin") == "*"
    assert bool(answer.body) == (method == "GET")


async def test_without_metadata_nothing_is_served(make_api):
    assert (await make_api().anonymous(path=WELL_KNOWN)).status == 401
    assert (await make_api().request(path=WELL_KNOWN)).status == 200


@pytest.mark.parametrize(
    ("option", "options"),
    [
        ("scopes_supported", {"scopes_supported": ["a b"]}),
        ("challenge_scopes", {"challenge_scopes": ['"']}),
        ("authorization_servers", {"authorization_servers": ["id.example.com"]}),
        ("resource", {"resource": "orders"}),
        ("resource", {"resource": "http://rs.example"}),
        ("resource", {"resource": "https://rs.example/?x"}),
        ("resource_name", {"resource_name": ""}),
        ("resource_name", {"resource_name": None}),
        ("resource_name", {"resource_name": float("nan")}),
        pytest.param("resource_name", {"resource_name": object()}, id="no-json"),
        ("bearer_methods_supported", {"bearer_methods_supported": ["body"]}),
        ("dpop_bound_access_tokens_required", {"dpop_bound_access_tokens_required": False}),
    ],
    ids=repr,
)
def test_an_option_that_would_mislead_clients_is_a_value_error(option, options):
    with pytest.raises(ValueError, match=f"^{option}: "):
        ResourceMetadata(**options)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"metadata": {}}, id="nothing"),
        pytest.param({"metadata": "https://rs.example"}, id="text"),
        pytest.param({"metadata": {"/mcp": None}}, id="none"),
        pytest.param({"metadata": {"mcp": OWN}}, id="no-path"),
        pytest.param({"metadata": {"/mcp/": OWN}}, id="slash-at-the-end"),
        pytest.param({"metadata": {"/m{x}": OWN}}, id="no-uri"),
        pytest.param({"metadata": OWN, "public_url": None, "target_uri": lambda _: "unused"}, id="unknown-base"),
    ],
)
def test_metadata_of_no_resource_is_a_value_error(make_api, options):
    with pytest.raises(ValueError, match=r"^metadata: "):
        make_api(**options)
