"""With a public URL, nothing but the path below it comes from the request."""

from urllib.parse import unquote

import pytest

from dpop_asgi import IncomingRequest, InvalidRequest, Reason
from dpop_asgi.asgi.request_path import path_of
from dpop_asgi.asgi.target_uri import PublicURL
from tests.support.api import PUBLIC_URL, call, http_scope

FORWARDED = [("x-forwarded-host", "evil.example"), ("x-forwarded-proto", "http"), ("forwarded", "host=evil.example")]


@pytest.mark.requirement("R-4.3-13")
@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([], id="no-host"),
        pytest.param([("host", "rs.example"), ("host", "evil.example")], id="two-hosts"),
        pytest.param([("host", "evil.example/other?")], id="host-with-a-path"),
        pytest.param([*FORWARDED, ("x-forwarded-prefix", "/evil"), ("x-original-url", "/evil")], id="forwarded"),
    ],
)
@pytest.mark.parametrize("members", [{}, {"scheme": "http", "client": None, "server": None}], ids=repr)
def test_neither_headers_nor_the_connection_change_the_uri(headers, members):
    assert PublicURL(PUBLIC_URL)(http_scope(path="/r", headers=headers, **members)) == "https://rs.example/r"


ROOT = {"root_path": "/api"}


@pytest.mark.requirement("R-4.3-14")
@pytest.mark.parametrize("url", [f"{PUBLIC_URL}/api", f"{PUBLIC_URL}/api/", "HTTPS://RS.example:443/api"], ids=str)
def test_a_prefix_that_a_proxy_strips_is_put_back(url):
    assert PublicURL(url)(http_scope(path="/r")) == "https://rs.example/api/r"


@pytest.mark.requirement("R-4.3-14")
@pytest.mark.parametrize(
    ("prefix", "path", "scope", "uri"),
    [
        pytest.param("", "/api/r", ROOT, "/api/r", id="in-the-path"),
        pytest.param("/api", "/api/r", ROOT, "/api/r", id="stripped-and-put-in-front-again"),
        pytest.param("/v1/api", "/api/r", {"root_path": "/api/"}, "/v1/api/r", id="a-part-of-it"),
        pytest.param("/api", "/r", ROOT, "/api/r", id="stripped-and-told"),
        pytest.param("/api", "/api/r", {}, "/api/api/r", id="not-told"),
        pytest.param("/v1", "/api/r", ROOT, "/v1/api/r", id="another"),
        pytest.param("/api", "/apis/r", ROOT, "/api/apis/r", id="a-longer-segment"),
        pytest.param("/v2", "/v2/r", {"root_path": "/v2", "app_root_path": ""}, "/v2/v2/r", id="a-mount-is-a-part"),
    ],
)
def test_a_root_path_that_the_server_puts_into_the_path_counts_once(prefix, path, scope, uri):
    """N01: `uvicorn --root-path`."""
    assert PublicURL(PUBLIC_URL + prefix)(http_scope(path=path, **scope)) == PUBLIC_URL + uri


BASES = ("https://one.example/api", "https://two.example:8443", "http://localhost:8000", "http://127.0.0.1")


@pytest.mark.requirement("R-4.3-13")
@pytest.mark.parametrize(
    ("hosts", "outcome"),
    [
        pytest.param(["one.example"], "https://one.example/api/r", id="first"),
        pytest.param(["ONE.example:443"], "https://one.example/api/r", id="upper-case-and-default-port"),
        pytest.param(["two.example:8443"], "https://two.example:8443/r", id="with-a-port"),
        pytest.param(["localhost:8000"], "http://localhost:8000/r", id="http"),
        *(pytest.param([host], "http://127.0.0.1/r", id=f"Z15-{host}") for host in ("127.0.0.1", "127.0.0.1:80")),
        pytest.param(["127.0.0.1:443"], Reason.HOST_NOT_ALLOWED, id="Z15-port-of-another-scheme"),
        pytest.param(["one.example:80"], Reason.HOST_NOT_ALLOWED, id="Z15-port-of-another-scheme-than-https"),
        pytest.param(["evil.example"], Reason.HOST_NOT_ALLOWED, id="another"),
        pytest.param(["two.example"], Reason.HOST_NOT_ALLOWED, id="without-its-port"),
        pytest.param(["one.example."], Reason.HOST_NOT_ALLOWED, id="trailing-dot"),
        pytest.param([], Reason.HOST_MALFORMED, id="none"),
        pytest.param(["one.example", "one.example"], Reason.HOST_MALFORMED, id="twice"),
        pytest.param(["one.example/two"], Reason.HOST_MALFORMED, id="with-a-path"),
    ],
)
def test_of_several_public_urls_the_host_chooses_one(hosts, outcome):
    scope = {"path": "/r", "headers": [("host", host) for host in hosts], "scheme": "http"}
    if isinstance(outcome, Reason):
        assert _refused(BASES, **scope)[0] == outcome
    else:
        assert PublicURL(BASES)(http_scope(**scope)) == outcome


async def _status(api, scope):
    return (await call(api.app, scope)).status


def test_plain_http_is_for_hosts_that_were_opted_in_and_warned_of(make_api, caplog):
    """X10: a name inside a compose network or a cluster."""
    url = "http://api:8000"
    make_api(public_url=url, insecure_http_hosts=["API"])
    assert "plain http" in caplog.text
    assert PublicURL(url, insecure_http_hosts=["api"])(http_scope(path="/r")) == "http://api:8000/r"


async def test_a_target_uri_that_turns_out_to_be_async_says_so(make_api):
    """Y07: where it cannot be seen before."""

    async def no_uri(scope):
        """Never awaited by anybody."""

    api = make_api(public_url=None, target_uri=lambda scope: no_uri(scope))  # noqa: PLW0108
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
    scope = http_scope(path=path, raw_path=raw_path)
    if raw_path is None:
        del scope["raw_path"]
    assert path_of(scope) == expected


@pytest.mark.requirement("H-10")
@pytest.mark.parametrize("path", ["/\ud800", "/a\udcff", "/docs/\udc80"], ids=ascii)
@pytest.mark.parametrize("raw_path", [None, b""], ids=repr)
def test_a_lone_surrogate_is_a_malformed_target(path, raw_path):
    """Z15: from a server that hands over no raw_path."""
    assert _refused(path=path, raw_path=raw_path) == (Reason.TARGET_MALFORMED, {})


@pytest.mark.parametrize("path", ["/" + "\u8def" * 8000, "/" + "a" * 8192, "/" + "\U0001f510" * 2000], ids=len)
def test_a_path_that_no_proof_could_name_is_rejected_before_it_is_quoted(path):
    """Z08: to quote it would cost as much as nine signature checks."""
    with pytest.raises(InvalidRequest) as refused:
        path_of({**http_scope(), "path": path, "raw_path": None})
    assert refused.value.facts == {"size": len(path)}


@pytest.mark.requirement("R-4.3-14")
@pytest.mark.parametrize(
    "raw_path",
    [
        pytest.param(b"*", id="asterisk"),
        pytest.param(b"r", id="relative"),
        pytest.param(b"ftp://rs.example/r", id="another-scheme"),
        pytest.param(b"/\xff", id="outside-ascii"),
        pytest.param(b"/a%2", id="half-an-escape"),
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


@pytest.mark.requirement("R-4.3-14")
@pytest.mark.parametrize(
    "sent",
    [
        *("/a/../b", "/../b", "/..", "/.", "/a/.", "/a/..", "/./b", "/..?x", "http://one.example/a/../b"),
        *("/a/%2e%2E/b", "/a/.%2e/b", "/%2e", "/a/%2E.?x", "HTTPS://one.example/%2e%2e"),
    ],
)
@pytest.mark.parametrize("url", [PUBLIC_URL, f"{PUBLIC_URL}/api", BASES], ids=["origin", "prefix", "several"])
def test_dot_segments_in_a_target_are_rejected(url, sent):
    """Z06: routers and mounts keep them, so that another resource would be reached than is signed for."""
    members = {"path": unquote(sent.partition("?")[0]), "raw_path": sent.encode(), "headers": [("host", "one.example")]}
    assert _refused(url, **members) == (Reason.TARGET_MALFORMED, {})


@pytest.mark.parametrize(
    "path", ["/.well-known/x", "/...", "/a..b/.c", "/a..", "/..;/b", "/..%2Fb", "/%2e%2e%2e", "/a?b=/../c"]
)
async def test_dots_in_names_are_not_dot_segments(api, path):
    """Z06."""
    assert (await api.request(path=path)).status == 200


@pytest.mark.parametrize("path", ["/admin/../items/5", "/admin/%2e%2e/items/5", "/items/./5"])
async def test_a_captured_request_does_not_reach_another_route(make_api, path):
    """Z06: signed and never delivered, then sent with another path of the same normal form."""
    own = {"public_url": None, "target_uri": lambda scope: PUBLIC_URL + scope["path"]}
    for api in (make_api(), make_api(**own)):
        scope = http_scope("DELETE", path, (await api.fields("DELETE", "/items/5")).items())
        assert (await _status(api, scope), api.inner.scopes) == (400, [])


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
