"""Bugs that other implementations had or have, one test each: which URI was asked for.

Above each test: who had it. "read" means that it stands in their code as read, without an issue that names it.

Not here: a target that cannot be found out and is a 500 (middy), since the target is configured, or refused with 400; a
gateway that asks by a request of its own, with another method and URI (zeroid #193, #272), since there is no such
adapter. That the fields of one are not believed is tested.
"""

import pytest

from dpop_asgi import Reason
from tests.support.api import PUBLIC_URL

BY_HOST = {"public_url": None, "allowed_hosts": ["rs.example", "r", "other"]}


HOSTS = [
    pytest.param("rs.example/other?", id="path-and-query"),
    pytest.param("rs.example/other#", id="path-and-fragment"),
    pytest.param("rs.example?", id="query"),
    pytest.param("x@rs.example", id="user"),
    pytest.param("rs.example\\@other", id="backslash"),
    pytest.param("rs.example%2fother", id="escape"),
    pytest.param("http://rs.example", id="scheme"),
    pytest.param("[::1", id="open-bracket"),
    pytest.param("::1]", id="closing-bracket"),
    pytest.param("rs.example:99999", id="port-too-large"),
    pytest.param("rs.example:123456", id="six-digits"),
    pytest.param("rs.example, other", id="list"),
    pytest.param("", id="empty"),
]


# starlette before 1.0.1 (#3279, CVE-2026-48710), litestar #4813, auth0 node-oauth2-jwt-bearer #244, whose first fix was
# not enough: a malformed Host moved the path of the URI that was parsed back from a string.
@pytest.mark.parametrize("host", HOSTS)
async def test_a_malformed_host_does_not_move_the_path(make_api, host):
    api = make_api(**BY_HOST)
    for claimed in ("/other", "/r", f"https://{host}/r"):
        assert await api.reason(host=host, claimed=claimed) is Reason.HOST_MALFORMED


@pytest.mark.parametrize("host", HOSTS)
async def test_a_malformed_host_is_nothing_to_a_server_with_a_public_url(api, host):
    assert await api.passes(host=host)
    assert await api.reason(host=host, claimed="/other") is Reason.TARGET_MISMATCH


# The same with two Host fields: most frameworks look at the first, servers in front of them perhaps at the last.
async def test_of_two_hosts_none_is_taken(make_api):
    api = make_api(**BY_HOST)
    for other in ("rs.example", "other"):
        assert await api.reason(also=[("host", other)]) is Reason.HOST_MALFORMED


DIFFERENT = [
    # AuthPlane: `urlparse` takes what follows the semicolon out of the path.
    pytest.param("/mcp;v=1", "/mcp", id="parameter"),
    pytest.param("/mcp", "/mcp;v=1", id="parameter-claimed"),
    # dpop-verifier (read) folds slashes and drops the last; inji-certify #1000, draft-dpop #49.
    pytest.param("/a//b", "/a/b", id="two-slashes"),
    pytest.param("//a", "/a", id="two-slashes-first"),
    pytest.param("/a", "/a/", id="last-slash"),
    pytest.param("/a/", "/a", id="last-slash-missing"),
    # Duende (read): compared without case, after unescaping; liboauth2 (read): without case.
    pytest.param("/a", "/A", id="case"),
    pytest.param("/a%2Fb", "/a/b", id="escaped-slash"),
    pytest.param("/a/b", "/a%2Fb", id="escaped-slash-claimed"),
    pytest.param("/a%3Fb", "/a", id="escaped-question-mark"),
    pytest.param("/a%2E%2E/b", "/b", id="dots-inside-a-segment"),
]


@pytest.mark.parametrize(("path", "claimed"), DIFFERENT)
async def test_two_paths_that_others_take_for_one_are_two(api, path, claimed):
    assert await api.reason(path=path, claimed=f"{PUBLIC_URL}{claimed}") is Reason.TARGET_MISMATCH
    assert await api.passes(path=path, claimed=f"{PUBLIC_URL}{path}")


# auth0-api-python, AuthPlane, liboauth2 and dedalus-mcp (read): `htm` in another case, or after changing the method's.
@pytest.mark.parametrize(("method", "htm"), [("GET", "get"), ("POST", "Post"), ("get", "GET"), ("GET", "GET ")])
async def test_two_methods_that_others_take_for_one_are_two(api, method, htm):
    assert await api.reason(method, claims={"htm": htm}) is Reason.METHOD_MISMATCH


SAME = [
    # Quarkus #48110: the default port; go-dpop, Quarkus and middy (read): compared as strings.
    pytest.param("/r", "https://rs.example:443/r", id="default-port"),
    pytest.param("/r", "HTTPS://RS.EXAMPLE/r", id="case-of-scheme-and-host"),
    # OpenID's suite: query and fragment of the claim do not count; Spring, huskarl and liboauth2 refuse them.
    pytest.param("/r", "https://rs.example/r?x=1#y", id="query-and-fragment"),
    # pds #163, AuthPlane, CtrlAltDevelop (read): the framework hands over a path that is decoded already.
    pytest.param("/a%20b/%E2%82%AC/%2F", "https://rs.example/a%20b/%e2%82%ac/%2f", id="escapes"),
    pytest.param("/%7Euser", "https://rs.example/~user", id="tilde"),
]


@pytest.mark.parametrize(("path", "claimed"), SAME)
async def test_two_spellings_that_others_take_for_two_are_one(api, path, claimed):
    assert await api.passes(path=path, claimed=claimed)


# Keycloak #39332, eudi #143, node-oidc-provider #572, Okta #541 and #521, spring-security #17202: behind a proxy that
# strips a prefix, ends TLS or changes Host, no honest client's proof fits.
async def test_behind_a_proxy_the_public_url_counts(make_api):
    api = make_api(public_url="https://rs.example/api/v2")
    internal = {"host": "10.0.0.1:8000", "scope": {"scheme": "http"}}
    assert await api.passes(path="/r", claimed="https://rs.example/api/v2/r", **internal)
    assert await api.reason(path="/r", claimed="http://10.0.0.1:8000/r", **internal) is Reason.TARGET_MISMATCH


# node-oidc-provider, pydpop (read): a mounted app sees the path without its prefix.
async def test_below_a_mount_the_whole_path_counts(api):
    mounted = {"root_path": "/v2"}
    assert await api.passes(path="/v2/r", scope=mounted)
    assert await api.reason(path="/v2/r", claimed="/r", scope=mounted) is Reason.TARGET_MISMATCH


# zeroid #193, #272: of a gateway's own request to us, fields of the client chose method and URI. auth0-fastapi-api
# takes the first value of X-Forwarded-*, and a prefix, when told to trust a proxy.
@pytest.mark.parametrize(
    "name",
    ["X-Original-URI", "X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Uri", "X-Forwarded-Prefix", "X-Forwarded-Host",
     "X-Forwarded-Proto", "X-Forwarded-Method", "X-Original-Method", "X-HTTP-Method-Override", "Forwarded"],
)  # fmt: skip
@pytest.mark.parametrize("options", [{}, BY_HOST], ids=["public-url", "hosts"])
async def test_no_header_of_the_request_chooses_method_or_uri(make_api, options, name):
    api = make_api(**options)
    values = ["/other", "POST", "other", "http", "host=other;proto=http"]
    for value in values:
        also = [(name, value)]
        assert await api.passes(also=also)
        assert await api.reason(also=also, claimed="/other") is Reason.TARGET_MISMATCH
        assert await api.reason(also=also, claimed="http://other/r") is Reason.TARGET_MISMATCH
        assert await api.reason(also=also, claims={"htm": "POST"}) is Reason.METHOD_MISMATCH


# bluesky atproto #3879 and others: an `htu` that is no absolute URI of http was compared all the same.
@pytest.mark.parametrize(
    "claimed", ["/r", "//rs.example/r", "rs.example/r", "https://u:p@rs.example/r", "ftp://rs.example/r"]
)
async def test_a_claim_that_is_no_absolute_uri_is_rejected(api, claimed):
    assert await api.reason(claims={"htu": claimed}) is Reason.TARGET_MISMATCH
