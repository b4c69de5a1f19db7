"""With a public URL, nothing but the path below it comes from the request."""

from functools import partial
from urllib.parse import unquote

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from dpop_asgi import IncomingRequest, InvalidRequest, Reason
from dpop_asgi.asgi.request_path import path_of
from dpop_asgi.asgi.target_uri import PublicURL
from tests.support.api import PUBLIC_URL, call, http_scope

HOSTILE = [
    pytest.param([], id="no-host"),
    pytest.param([("host", "evil.example")], id="another-host"),
    pytest.param([("host", "rs.example"), ("host", "evil.example")], id="two-hosts"),
    pytest.param([("host", "")], id="empty-host"),
    pytest.param([("host", "evil.example/other?")], id="host-with-a-path"),
    pytest.param([("host", "rs.example@evil.example")], id="host-with-a-user"),
    pytest.param([("host", "rs.example:99999")], id="impossible-port"),
    pytest.param([("host", "[::1")], id="half-an-address"),
    pytest.param([("host", "\xe9")], id="host-outside-ascii"),
    pytest.param([("x-forwarded-host", "evil.example"), ("x-forwarded-proto", "http")], id="x-forwarded"),
    pytest.param([("forwarded", "host=evil.example;proto=http")], id="forwarded"),
    pytest.param([("x-forwarded-prefix", "/evil"), ("x-original-url", "/evil")], id="prefix"),
]


@pytest.mark.requirement("R-4.3-13")
@pytest.mark.parametrize("headers", HOSTILE)
@pytest.mark.parametrize("members", [{}, {"scheme": "http"}, {"client": None}, {"server": None}], ids=repr)
def test_neither_header_headers_nor_the_connection_change_the_uri(headers, members):
    assert PublicURL(PUBLIC_URL)(http_scope(path="/r", headers=headers, **members)) == "https://rs.example/r"


@pytest.mark.requirement("R-4.3-13")
@pytest.mark.parametrize("headers", HOSTILE)
async def test_a_correct_request_passes_whatever_the_forgeable_headers_say(api, headers):
    sent = await api.fields()
    scope = http_scope(headers=[*sent.items(), *headers])
    assert await _status(api, scope) == 200


async def _status(api, scope):
    return (await call(api.app, scope)).status


@pytest.mark.requirement("R-4.3-13")
async def test_a_proof_for_another_origin_does_not_pass_with_a_forged_host(api):
    sent = await api.fields(path="https://evil.example/r")
    assert await _status(api, http_scope(headers=[*sent.items(), ("host", "evil.example")])) == 401


@pytest.mark.requirement("R-4.3-15")
async def test_a_proof_for_http_does_not_pass_where_the_origin_is_https(api):
    sent = await api.fields(path="http://rs.example/r")
    scope = http_scope(headers=[*sent.items(), ("host", "rs.example")], scheme="http")
    assert await _status(api, scope) == 401


@pytest.mark.requirement("R-4.3-14")
@pytest.mark.parametrize(
    "url", ["https://rs.example/api", "https://rs.example/api/", "HTTPS://RS.example:443/api"], ids=str
)
def test_a_prefix_that_a_proxy_strips_is_put_back(url):
    assert PublicURL(url)(http_scope(path="/r")) == "https://rs.example/api/r"


BASES = ("https://one.example/api", "https://two.example:8443", "http://localhost:8000")


@pytest.mark.requirement("R-4.3-13")
@pytest.mark.parametrize(
    ("host", "uri"),
    [
        pytest.param("one.example", "https://one.example/api/r", id="first"),
        pytest.param("ONE.example:443", "https://one.example/api/r", id="upper-case-and-default-port"),
        pytest.param("two.example:8443", "https://two.example:8443/r", id="with-a-port"),
        pytest.param("localhost:8000", "http://localhost:8000/r", id="http"),
    ],
)
def test_of_several_public_urls_the_host_chooses_one(host, uri):
    assert PublicURL(BASES)(http_scope(path="/r", headers=[("host", host)], scheme="http")) == uri


@pytest.mark.requirement("R-4.3-13")
@pytest.mark.parametrize(
    ("hosts", "reason"),
    [
        pytest.param(["evil.example"], Reason.HOST_NOT_ALLOWED, id="another"),
        pytest.param(["two.example"], Reason.HOST_NOT_ALLOWED, id="without-its-port"),
        pytest.param(["one.example:8443"], Reason.HOST_NOT_ALLOWED, id="with-anothers-port"),
        pytest.param(["one.example."], Reason.HOST_NOT_ALLOWED, id="trailing-dot"),
        pytest.param([], Reason.HOST_MALFORMED, id="none"),
        pytest.param(["one.example", "one.example"], Reason.HOST_MALFORMED, id="twice"),
        pytest.param(["one.example/two"], Reason.HOST_MALFORMED, id="with-a-path"),
    ],
)
def test_a_host_that_chooses_none_of_several_is_rejected(hosts, reason):
    with pytest.raises(InvalidRequest) as refused:
        PublicURL(BASES)(http_scope(headers=[("host", host) for host in hosts]))
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    "urls",
    [
        pytest.param("", id="empty"),
        pytest.param("rs.example", id="no-scheme"),
        pytest.param("//rs.example", id="no-scheme-but-slashes"),
        pytest.param("ftp://rs.example", id="another-scheme"),
        pytest.param("https://", id="no-host"),
        pytest.param("https://user@rs.example", id="user"),
        pytest.param("https://rs.example:99999", id="impossible-port"),
        pytest.param("https://rs.example?x=1", id="query"),
        pytest.param("https://rs.example#f", id="fragment"),
        pytest.param("https://rs example", id="space"),
        pytest.param([], id="empty-list"),
        *(pytest.param(value, id=f"N23: {value!r}") for value in (3, [3], b"https://rs.example")),
        pytest.param(["https://rs.example", "https://rs.example/api"], id="one-host-twice"),
    ],
)
def test_what_is_no_public_url_is_rejected_when_it_is_configured(make_api, urls):
    with pytest.raises(ValueError, match=r"^public_url: "):
        make_api(public_url=urls)


def test_plain_http_is_for_hosts_that_were_opted_in_and_warned_of(make_api, caplog):
    """X10: a name inside a compose network or a cluster."""
    url = "http://api:8000"
    with pytest.raises(ValueError, match="insecure_http_hosts"):
        make_api(public_url=url)
    with pytest.raises(ValueError, match="insecure_http_hosts"):
        make_api(public_url=url, insecure_http_hosts=["other"])
    make_api(public_url=url, insecure_http_hosts=["API"])
    assert "plain http" in caplog.text
    assert PublicURL(url, insecure_http_hosts=["api"])(http_scope(path="/r")) == "http://api:8000/r"


@pytest.mark.parametrize(
    "others",
    [
        pytest.param({"allowed_hosts": ["rs.example"]}, id="allowed-hosts"),
        pytest.param({"trusted_proxies": ["10.0.0.9"]}, id="trusted-proxies"),
        pytest.param({"target_uri": lambda _: "https://rs.example/r"}, id="a-function"),
    ],
)
def test_a_second_way_to_say_the_uri_is_rejected_when_it_is_configured(make_api, others):
    with pytest.raises(ValueError, match=r"^public_url: "):
        make_api(public_url="https://rs.example", **others)


async def _no_uri(scope):
    """Never awaited by anybody."""


@pytest.mark.parametrize("value", [_no_uri, "https://rs.example", partial(_no_uri), PublicURL], ids=str)
def test_a_target_uri_that_is_no_plain_function_is_rejected_when_it_is_configured(make_api, value):
    """Y07, N23"""
    with pytest.raises(ValueError, match=r"^target_uri: "):
        make_api(public_url=None, target_uri=value)


async def test_a_target_uri_that_turns_out_to_be_async_says_so(make_api):
    """Y07: where it cannot be seen before."""
    api = make_api(public_url=None, target_uri=lambda scope: _no_uri(scope))  # noqa: PLW0108
    with pytest.raises(TypeError, match=r"^target_uri: must return a str, not a coroutine"):
        await api.request()


PATHS = [
    pytest.param(b"/r", "/r", "/r", id="plain"),
    pytest.param(b"/a%2Fb", "/a/b", "/a%2Fb", id="escaped-slash"),
    pytest.param(b"/%7Ealice", "/~alice", "/%7Ealice", id="escaped-tilde"),
    pytest.param(b"/a%25b", "/a%b", "/a%25b", id="escaped-percent"),
    pytest.param(b"/a%3Fb", "/a?b", "/a%3Fb", id="escaped-question-mark"),
    pytest.param(b"/a/../b", "/a/../b", "/a/../b", id="dot-segments"),
    pytest.param(b"//a", "//a", "//a", id="two-slashes"),
    pytest.param(b"/r?x=1", "/r", "/r", id="query"),
    pytest.param(b"/mcp;v=1", "/mcp;v=1", "/mcp;v=1", id="parameter"),
    pytest.param(b"http://evil.example/r?x", "http://evil.example/r", "/r", id="absolute-form"),
    pytest.param(b"HTTPS://evil.example", "HTTPS://evil.example", "/", id="absolute-form-without-path"),
    pytest.param(None, "/a b/\xe9~", "/a%20b/%C3%A9~", id="no-raw-path"),
    pytest.param(b"", "/r", "/r", id="empty-raw-path"),
    pytest.param(None, "/a?b#c%d", "/a%3Fb%23c%25d", id="no-raw-path-and-delimiters"),
]


@pytest.mark.requirement("R-4.3-14", "H-06", "H-10")
@pytest.mark.parametrize(("raw_path", "path", "expected"), PATHS)
def test_the_path_is_taken_as_it_was_sent(raw_path, path, expected):
    assert path_of(http_scope(path=path, raw_path=raw_path)) == expected


@pytest.mark.parametrize("path", ["/" + "\u8def" * 8000, "/" + "a" * 8192, "/" + "\U0001f510" * 2000], ids=len)
def test_a_path_that_no_proof_could_name_is_rejected_before_it_is_quoted(path):
    """Z08: to quote it would cost as much as nine signature checks."""
    with pytest.raises(InvalidRequest) as refused:
        path_of({**http_scope(), "path": path, "raw_path": None})
    assert refused.value.facts == {"size": len(path)}


@pytest.mark.requirement("H-10")
def test_a_scope_may_have_no_raw_path_at_all():
    scope = http_scope(path="/a b")
    del scope["raw_path"]
    assert path_of(scope) == "/a%20b"


@pytest.mark.requirement("R-4.3-14")
@pytest.mark.parametrize(
    "raw_path",
    [
        pytest.param(b"*", id="asterisk"),
        pytest.param(b"r", id="relative"),
        pytest.param(b"rs.example:443", id="authority-form"),
        pytest.param(b"ftp://rs.example/r", id="another-scheme"),
        pytest.param(b"/a b", id="space"),
        pytest.param(b"/\xff", id="outside-ascii"),
        pytest.param(b"/a%2", id="half-an-escape"),
        pytest.param(b"/a%zz", id="no-escape"),
        pytest.param(b"/a#b", id="fragment"),
        pytest.param(b"/a\\b", id="backslash"),
    ],
)
def test_a_target_that_is_no_path_is_rejected(raw_path):
    reason, facts = _refused(path=unquote(raw_path.decode("latin-1")), raw_path=raw_path)
    assert (reason, "hint" in facts) == (Reason.TARGET_MALFORMED, False)


def _refused(url=PUBLIC_URL, **members):
    resolve = PublicURL(url)
    scope = http_scope(**members)
    with pytest.raises(InvalidRequest) as refused:
        IncomingRequest(method="GET", target_uri=lambda: resolve(scope), headers=()).resolved_uri()
    return refused.value.reason, refused.value.facts


DOTS = [
    "/a/../b",
    "/../b",
    "/..",
    "/.",
    "/a/.",
    "/a/..",
    "/./b",
    "/a/%2e%2E/b",
    "/a/.%2e/b",
    "/%2e",
    "/a/%2E.?x",
    "/..?x",
]


@pytest.mark.requirement("R-4.3-14")
@pytest.mark.parametrize("sent", [*DOTS, "http://rs.example/a/../b", "HTTPS://rs.example/%2e%2e"])
@pytest.mark.parametrize("url", [PUBLIC_URL, f"{PUBLIC_URL}/api", BASES], ids=["origin", "prefix", "several"])
def test_dot_segments_in_a_target_are_rejected(url, sent):
    """Z06: routers and mounts keep them, so that another resource would be reached than is signed for."""
    headers = [("host", "one.example")]
    raw_path = sent.replace("rs.example", "one.example").encode()
    path = unquote(raw_path.decode().partition("?")[0])
    assert _refused(url, path=path, raw_path=raw_path, headers=headers) == (Reason.TARGET_MALFORMED, {})


@pytest.mark.parametrize(
    "path", ["/.well-known/x", "/...", "/a..b/.c", "/a..", "/..;/b", "/..%2Fb", "/%2e%2e%2e", "/a?b=/../c"]
)
async def test_dots_in_names_are_not_dot_segments(api, path):
    """Z06."""
    assert (await api.request(path=path)).status == 200


@pytest.mark.parametrize("path", ["/admin/../items/5", "/admin/%2e%2e/items/5", "/items/./5"])
async def test_a_captured_request_does_not_reach_another_route(make_api, path):
    """Z06: signed and never delivered, then sent with another path of the same normal form."""
    api = make_api()
    sent = await api.fields("DELETE", "/items/5")
    answer = await call(api.app, http_scope("DELETE", path, sent.items()))
    assert (answer.status, api.inner.scopes) == (400, [])
    own = make_api(public_url=None, target_uri=lambda scope: PUBLIC_URL + scope["path"])
    answer = await call(own.app, http_scope("DELETE", path, (await own.fields("DELETE", "/items/5")).items()))
    assert (answer.status, own.inner.scopes) == (400, [])


async def test_the_clients_own_uri_may_have_dot_segments(api):
    """Z06: some clients sign the URI as it was written, and send it in normal form."""
    sent = await api.fields(path="/admin/../items/./5")
    assert await _status(api, http_scope(path="/items/5", headers=sent.items())) == 200


@pytest.mark.parametrize(
    ("path", "raw_path", "root_path"),
    [
        pytest.param("/b", b"/a", "", id="another"),
        pytest.param("/a/b", b"/a//b", "", id="slashes-merged"),
        pytest.param("/a", b"/a/", "", id="slash-taken-off"),
        pytest.param("/A", b"/a", "", id="case"),
        pytest.param("/a/b", b"/a%252Fb", "", id="decoded-twice"),
        pytest.param("/a%2Fb", b"/a%2Fb", "", id="not-decoded"),
        pytest.param("/b", b"/v2/b", "", id="prefix-taken-off"),
        pytest.param("/b", b"/v2/b", "/v3", id="another-prefix-taken-off"),
        pytest.param("/v2/b", b"/b", "/v2", id="prefix-put-in-front"),
        pytest.param("", b"/a", "", id="nothing"),
    ],
)
def test_a_path_that_the_app_does_not_see_is_rejected(path, raw_path, root_path):
    """Z06: a layer outside has rewritten one of the two."""
    reason, facts = _refused(path=path, raw_path=raw_path, root_path=root_path)
    assert (reason, "target_uri" in facts["hint"]) == (Reason.TARGET_MALFORMED, True)


@pytest.mark.parametrize(
    ("path", "raw_path", "root_path"),
    [
        pytest.param("/v2/a b", b"/v2/a%20b", "/v2", id="a-mount-that-leaves-it"),
        pytest.param("/a b", b"/v2/a%20b", "/v2", id="a-mount-that-moves-its-prefix"),
        pytest.param("", b"/v2", "/v2", id="a-mount-that-moves-all"),
        pytest.param("/a", b"/v2/a", "/v1/v2", id="a-mount-below-a-servers-root-path"),
        pytest.param("/a", b"/a", "/v1", id="a-servers-root-path"),
        pytest.param("/v1/a", b"/v1/a", "/v1", id="uvicorns-root-path"),
        pytest.param("/\ufffd\xe9\u20ac=\n", b"/%FF%C3%a9%e2%82%AC=%0A", "", id="as-every-server-decodes"),
    ],
)
def test_a_path_that_the_app_sees_is_accepted(path, raw_path, root_path):
    """Z06."""
    assert path_of(http_scope(path=path, raw_path=raw_path, root_path=root_path)) == raw_path.decode()


@pytest.mark.requirement("H-10")
@pytest.mark.parametrize("path", ["/\ud800", "/a\udcff", "/docs/\udc80"], ids=ascii)
@pytest.mark.parametrize("raw_path", [None, b""], ids=repr)
async def test_a_lone_surrogate_is_a_malformed_target(make_api, path, raw_path):
    """Z15: from a server that hands over no raw_path."""
    assert _refused(path=path, raw_path=raw_path) == (Reason.TARGET_MALFORMED, {})
    api = make_api(public_paths=["/docs/"])
    scope = http_scope(path=path, raw_path=raw_path, headers=(await api.fields()).items())
    assert await _status(api, scope) == 400


async def test_a_prefix_that_appears_twice_is_reported_in_the_log(make_api, caplog):
    """Y09: a proxy that does not strip it."""
    caplog.set_level("INFO", "dpop_asgi")
    api = make_api(public_url=f"{PUBLIC_URL}/api")
    assert (await api.request(path="/api/r")).status == 401
    assert "/api is duplicated: public_url has it, and the path too" in caplog.text


@pytest.mark.requirement("R-4.3-14", "H-06")
@pytest.mark.parametrize(
    ("htu", "status"),
    [
        pytest.param("/a/b%2Fc", 200, id="as-sent"),
        pytest.param("/a/b%2fc", 200, id="lower-case-hex"),
        pytest.param("/a/b/c", 401, id="decoded"),
        pytest.param("/a/b%252Fc", 401, id="escaped-twice"),
    ],
)
async def test_an_escaped_slash_stays_one(api, htu, status):
    sent = await api.fields(path=htu)
    scope = http_scope(path="/a/b/c", raw_path=b"/a/b%2Fc", headers=sent.items())
    assert await _status(api, scope) == status


@pytest.mark.requirement("R-4.3-14")
@pytest.mark.parametrize(("path", "status"), [("/api/v1/r", 200), ("/v1/r", 401), ("/r", 401)], ids=str)
async def test_a_mount_prefix_is_a_part_of_the_uri(make_api, path, status):
    routes = [Mount("/api", routes=[Mount("/v1", routes=[Route("/r", lambda _: PlainTextResponse("ok"))])])]
    api = make_api(Starlette(routes=routes))
    sent = await api.fields(path=path)
    assert await _status(api, http_scope(path="/api/v1/r", headers=sent.items())) == status


@pytest.mark.requirement("R-4.3-14")
async def test_a_root_path_that_the_server_puts_into_the_path_counts_once(api):
    sent = await api.fields(path="/api/r")
    scope = http_scope(path="/api/r", root_path="/api", headers=sent.items())
    assert await _status(api, scope) == 200


@pytest.mark.parametrize(
    ("public_url", "scope", "htu"),
    [
        pytest.param("/api", {"path": "/api/r", "root_path": "/api"}, "/api/r", id="stripped-and-put-in-front-again"),
        pytest.param("/v1/api", {"path": "/api/r", "root_path": "/api/"}, "/v1/api/r", id="a-part-of-it"),
        pytest.param("/api", {"path": "/r", "root_path": "/api"}, "/api/r", id="stripped-and-told"),
        pytest.param("/api", {"path": "/api/r"}, "/api/api/r", id="not-told"),
        pytest.param("/v1", {"path": "/api/r", "root_path": "/api"}, "/v1/api/r", id="another"),
        pytest.param("/api", {"path": "/apis/r", "root_path": "/api"}, "/api/apis/r", id="a-longer-segment"),
        pytest.param(
            "/v2", {"path": "/v2/r", "root_path": "/v2", "app_root_path": ""}, "/v2/v2/r", id="a-mount-is-a-part-of-it"
        ),
    ],
)
async def test_a_prefix_that_a_proxy_strips_and_the_server_puts_in_front_counts_once(make_api, public_url, scope, htu):
    """N01: `uvicorn --root-path`."""
    api = make_api(public_url=PUBLIC_URL + public_url)
    sent = await api.fields(path=PUBLIC_URL + htu)
    assert await _status(api, http_scope(headers=sent.items(), **scope)) == 200
