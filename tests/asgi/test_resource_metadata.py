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
    own = ResourceMetadata(scopes_supported=lambda: scopes, authorization_servers=[ISSUER])
    api = make(metadata=own)
    scopes += ["a", "b", "a"]
    document = _document(await api.anonymous(path=WELL_KNOWN))
    assert (document["authorization_servers"], document["scopes_supported"]) == ([ISSUER], ["a", "b"])


BELOW = {"": ResourceMetadata(), "/mcp": ResourceMetadata(), "/mcp/two": ResourceMetadata()}
TWO_HOSTS = ["https://rs.example/api", "https://two.example"]


API, OWN_ID = ORIGIN + "/api", ORIGIN + "/own/"


@pytest.mark.requirement("R-9728-01", "R-9728-03")
@pytest.mark.parametrize(
    ("options", "path", "resource"),
    [
        pytest.param({}, "", ORIGIN, id="origin"),
        pytest.param({"public_url": ORIGIN + "/"}, "", ORIGIN, id="origin-with-slash"),
        pytest.param({"public_url": API}, "/api", API, id="prefix"),
        pytest.param({"public_url": API}, "", API, id="prefix-stripped"),
        pytest.param({"public_url": TWO_HOSTS}, "", API, id="one-of-two-hosts"),
        pytest.param({"metadata": BELOW}, "", ORIGIN, id="several-root"),
        pytest.param({"metadata": BELOW}, "/mcp", ORIGIN + "/mcp", id="several-first"),
        pytest.param({"metadata": BELOW}, "/mcp/two", ORIGIN + "/mcp/two", id="several-second"),
        pytest.param({"metadata": {"/mcp": OWN}}, "", ORIGIN + "/mcp", id="only-one-at-the-root"),
        pytest.param({"metadata": ResourceMetadata(resource=OWN_ID)}, "/own/", OWN_ID, id="identifier"),
        pytest.param(
            {"metadata": ResourceMetadata(resource=ORIGIN), "public_url": None, "target_uri": lambda _: "unused"},
            "",
            ORIGIN,
            id="identifier-with-target-uri",
        ),
    ],
)
async def test_each_resource_has_its_document(make, options, path, resource):
    api = make(**{"metadata": OWN, **options})
    assert _document(await api.anonymous(path=WELL_KNOWN + path))["resource"] == resource


@pytest.mark.parametrize(
    ("options", "scope", "resource"),
    [
        pytest.param({"public_url": TWO_HOSTS}, {"headers": [("host", "two.example")]}, TWO_HOSTS[1], id="other-host"),
        pytest.param(
            {"public_url": None},
            {"headers": [("host", "localhost:8000")], "scheme": "http"},
            "http://localhost:8000",
            id="this-machine",
        ),
        pytest.param(
            {"metadata": {"/v1": OWN}}, {"path": "/v1" + WELL_KNOWN, "root_path": "/v1"}, ORIGIN + "/v1", id="root-path"
        ),
    ],
)
async def test_the_document_is_that_of_the_host_and_the_root_path(make, options, scope, resource):
    api = make(**{"metadata": OWN, **options})
    assert _document(await call(api.app, http_scope(**{"path": WELL_KNOWN, **scope})))["resource"] == resource


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
        pytest.param({"public_url": API}, "/r", WELL_KNOWN + "/api", id="prefix"),
        pytest.param({"metadata": BELOW}, "/mcp", WELL_KNOWN + "/mcp", id="first"),
        pytest.param({"metadata": BELOW}, "/mcp/two/x", WELL_KNOWN + "/mcp/two", id="second"),
        pytest.param({"metadata": BELOW}, "/mcpx", WELL_KNOWN, id="root"),
    ],
)
@pytest.mark.parametrize("mode", ["required", "mixed"])
async def test_every_challenge_names_the_address(make_api, options, path, address, mode):
    async def app(*_):
        raise InsufficientScope("a", "b")

    api = make_api(app, **{"metadata": OWN, "mode": mode, **options})
    uri = options.get("public_url", ORIGIN) + path
    forbidden = await call(api.app, http_scope(path=path, headers=(await api.fields(path=uri)).items()))
    answers = [
        forbidden,
        await api.anonymous(path=path),
        await api.anonymous(path=path, also=[("authorization", "Bearer x")]),
        await api.request("GET", path, nonce=None),
        await api.request("GET", path, without=["DPoP"]),
        denial(await connect(api.app, handshake(path=path))),
    ]
    assert [answer.status for answer in answers] == [403] + [401] * 5
    assert set().union(*map(_addresses, answers)) == {ORIGIN + address}
    assert checked_challenges(forbidden.headers)[0].parameters["scope"] == "a b"


@pytest.mark.parametrize(("root_path", "path"), [("", "/mcp"), ("/v2", "/v2/mcp"), ("/v2", "/v2/mcp/x")])
async def test_a_challenge_names_the_resource_below_the_root_path(make_api, root_path, path):
    api = make_api(metadata=BELOW, public_url=f"{ORIGIN}/v2")
    answer = await api.anonymous(path=path, root_path=root_path)
    assert _addresses(answer) == {f"{ORIGIN}{WELL_KNOWN}/v2/mcp"}


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
    ("option", "value"),
    [
        *(("scopes_supported", ["a b"]), ("challenge_scopes", ['"']), ("authorization_servers", ["id.example.com"])),
        *(("resource", value) for value in ("orders", "http://rs.example", "https://rs.example/?x")),
        *(("resource_name", value) for value in ("", None, float("nan"))),
        pytest.param("resource_name", object(), id="no-json"),
        *(("bearer_methods_supported", ["body"]), ("dpop_bound_access_tokens_required", False)),
    ],
    ids=repr,
)
def test_an_option_that_would_mislead_clients_is_a_value_error(option, value):
    with pytest.raises(ValueError, match=f"^{option}: "):
        ResourceMetadata(**{option: value})


@pytest.mark.parametrize(
    ("resource", "warned"), [("https://rs.example/mcp", True), (None, False), ("audience", False)], ids=str
)
def test_a_resource_that_is_no_audience_is_warned_of_once_when_it_is_configured(make, issuer, caplog, resource, warned):
    make(metadata=ResourceMetadata(resource=issuer.audience if resource == "audience" else resource))
    told = [record.getMessage() for record in caplog.records if record.name == "dpop_asgi"]
    expected = f"metadata: clients ask for tokens for the resource {resource}, and the token verifier accepts those for"
    assert told == ([f"{expected} {issuer.audience}"] if warned else [])
