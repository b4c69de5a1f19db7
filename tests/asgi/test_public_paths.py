"""Open paths: exact ones, and all below a prefix that ends in a slash."""

from urllib.parse import unquote

import pytest

from tests.support.api import call, http_scope

OPEN = ["/healthz", "/docs/", "/caf\xe9", "/a;b%"]

# Z15: what a router, a proxy or a backend may take for another path, and what decodes to nothing.
NOT_PLAIN = [
    *(
        "..%3b/orders",
        ".%0a.",
        ".%0A./orders",
        "..%20/orders",
        ".%20./orders",
        "%20..",
        ".%E2%80%8B./a",
        ".-./a",
        "..-",
    ),
    *("a;b", "a%3Bb", "a%09b", "a%7F", "a%3Fb", "a%23b", "a%5Cb", "a|b", "%u002e"),
    *("a%2Fb", "%2e%2e%2f", "%C0%AE%C0%AE/a", "%FF", "%EF%BC%8F..", "%E2%80%A6"),
]


@pytest.fixture
def api(make_api):
    return make_api(public_paths=OPEN)


@pytest.mark.parametrize(
    ("raw_path", "path"),
    [
        pytest.param(b"/healthz", "/healthz", id="exact"),
        pytest.param(b"/healthz?deep=1", "/healthz", id="with-a-query-in-the-raw-path"),
        pytest.param(b"/docs/", "/docs/", id="the-prefix-itself"),
        pytest.param(b"/docs/a/b.html", "/docs/a/b.html", id="below-the-prefix"),
        pytest.param(b"/docs/a.b", "/docs/a.b", id="a-dot-in-a-name"),
        pytest.param(b"/docs/a..b", "/docs/a..b", id="two-dots-in-a-name"),
        pytest.param(b"/docs/a%20b", "/docs/a b", id="an-escape"),
        pytest.param(b"/docs/a%2eb/%40c", "/docs/a.b/@c", id="escapes-of-plain-characters"),
        pytest.param(b"/docs/%D0%96/%E6%96%87.html", "/docs/\u0416/\u6587.html", id="letters-of-other-scripts"),
        pytest.param(b"/docs/.hidden/_/-/a..b", "/docs/.hidden/_/-/a..b", id="dots-in-names"),
        pytest.param(b"/docs/~!$&'()*+,=:@-_", "/docs/~!$&'()*+,=:@-_", id="marks"),
        pytest.param(b"/docs/a/", "/docs/a/", id="a-slash-at-the-end"),
        pytest.param(b"/%68ealthz", "/healthz", id="an-escaped-letter"),
        pytest.param(b"/a;b%25", "/a;b%", id="an-exact-path-with-other-characters"),
        pytest.param(b"/caf%C3%A9", "/caf\xe9", id="outside-ascii"),
        pytest.param(None, "/healthz", id="no-raw-path"),
    ],
)
async def test_an_open_path_needs_no_credentials(api, raw_path, path):
    assert (await call(api.app, http_scope(path=path, raw_path=raw_path))).status == 200


@pytest.mark.parametrize(
    ("raw_path", "path"),
    [
        pytest.param(b"/healthx", "/healthx", id="another"),
        pytest.param(b"/healthzz", "/healthzz", id="longer"),
        pytest.param(b"/healthz/", "/healthz/", id="with-a-slash-behind"),
        pytest.param(b"/healthz/x", "/healthz/x", id="below-an-exact-path"),
        pytest.param(b"/HEALTHZ", "/HEALTHZ", id="upper-case"),
        pytest.param(b"/docs", "/docs", id="the-prefix-without-its-slash"),
        pytest.param(b"/docsx", "/docsx", id="longer-than-the-prefix"),
        pytest.param(b"/v1/docs/", "/v1/docs/", id="elsewhere"),
        pytest.param(b"/docs%2Fa", "/docs/a", id="escaped-slash"),
        pytest.param(b"/docs/..%2forders", "/docs/../orders", id="escaped-slash-after-dots"),
        pytest.param(b"/docs/../orders", "/docs/../orders", id="dot-segments"),
        pytest.param(b"/docs/..", "/docs/..", id="dots-at-the-end"),
        pytest.param(b"/docs/./orders", "/docs/./orders", id="one-dot"),
        pytest.param(b"/docs/.", "/docs/.", id="one-dot-at-the-end"),
        pytest.param(b"/docs/%2e%2e/orders", "/docs/../orders", id="escaped-dots"),
        pytest.param(b"/docs/%2E%2E/orders", "/docs/../orders", id="escaped-dots-in-capitals"),
        pytest.param(b"/docs/%252e%252e/orders", "/docs/%2e%2e/orders", id="dots-escaped-twice"),
        pytest.param(b"/docs/..;/orders", "/docs/..;/orders", id="dots-and-a-parameter"),
        pytest.param(b"/docs/..?x", "/docs/..", id="dots-and-a-query"),
        pytest.param(b"/docs//orders", "/docs//orders", id="two-slashes"),
        pytest.param(b"/docs/..\\orders", "/docs/..\\orders", id="backslash"),
        pytest.param(b"/docs/%5c..", "/docs/\\..", id="escaped-backslash"),
        pytest.param(b"/docs/a%00", "/docs/a\0", id="nul"),
        *(
            pytest.param(f"/docs/{name}".encode(), unquote(f"/docs/{name}"), id=f"Z15-{name}"[:40])
            for name in [*NOT_PLAIN, "a" * 2048]
        ),
        pytest.param(b"/docs/a", "/docs/b", id="a-path-that-the-app-does-not-see"),
        pytest.param(b"/orders", "/docs/a", id="a-path-elsewhere"),
        pytest.param(b"/x/healthz", "/healthz", id="an-exact-path-elsewhere"),
        pytest.param(None, "/docs/\ud800", id="lone-surrogate-and-no-raw-path"),
        pytest.param(None, "/docs/..;", id="semicolon-and-no-raw-path"),
        pytest.param(None, "/docs/../orders", id="dot-segments-and-no-raw-path"),
        pytest.param(None, "/docs//orders", id="two-slashes-and-no-raw-path"),
        pytest.param(b"//healthz", "//healthz", id="two-slashes-in-front"),
        pytest.param(b"/", "/", id="front-page"),
        pytest.param(b"", "", id="empty"),
    ],
)  # fmt: skip
async def test_any_other_path_needs_credentials(api, raw_path, path):
    answer = await call(api.app, http_scope(path=path, raw_path=raw_path))
    assert (answer.status, api.inner.scopes) == (401, [])


async def test_the_front_page_can_be_open_and_opens_nothing_else(make_api):
    api = make_api(public_paths=["/"])
    assert [(await api.anonymous(path=path)).status for path in ("/", "/orders")] == [200, 401]


async def test_without_open_paths_everything_needs_credentials(make_api):
    assert (await make_api().anonymous(path="/healthz")).status == 401


async def test_an_open_path_tells_the_app_of_no_caller(api):
    await api.request(path="/healthz")
    [scope] = api.inner.scopes
    assert not scope.keys() & {"user", "auth", "dpop_asgi.caller"}


async def test_an_open_path_tells_the_app_of_no_caller_that_was_there_before(api):
    """X01: of a request on the same connection, or of the same scope before a layer outside changed it."""
    scope = http_scope(headers=(await api.fields()).items(), state={"database": 1})
    assert (await call(api.app, scope)).status == 200
    await call(api.app, scope | {"path": "/healthz", "raw_path": b"/healthz", "state": api.inner.scopes[0]["state"]})
    inside = api.inner.scopes[1]
    assert not inside.keys() & {"user", "auth", "dpop_asgi.caller"}
    assert inside["state"] == {"database": 1}


async def test_a_user_who_is_not_ours_stays_on_an_open_path(api):
    await api.anonymous(path="/healthz", user="session", auth="of-the-session", state={"dpop": 1})
    [inside] = api.inner.scopes
    assert (inside["user"], inside["auth"], inside["state"]) == ("session", "of-the-session", {"dpop": 1})


async def test_a_proof_is_not_used_on_an_open_path(api):
    sent = await api.fields(path="/healthz")
    scope = http_scope(path="/healthz", headers=sent.items())
    assert [(await call(api.app, scope)).status for _ in range(2)] == [200, 200]


async def test_a_nonce_of_the_app_passes_on_an_open_path(api, make_api):
    """An authorization server below an open path hands out nonces of its own."""
    inner = type(api.inner)(headers=[("dpop-nonce", "of-the-app"), ("cache-control", "max-age=1")])
    answer = await make_api(inner, public_paths=OPEN).anonymous(path="/healthz")
    assert answer.headers == ((b"dpop-nonce", b"of-the-app"), (b"cache-control", b"max-age=1"))


@pytest.mark.parametrize(
    "paths", [["healthz"], [""], ["https://rs.example/healthz"], ["/a", "b"], "healthz", 5], ids=repr
)
def test_what_is_no_path_is_rejected_when_it_is_configured(make_api, paths):
    with pytest.raises(ValueError, match=r"^public_paths: "):
        make_api(public_paths=paths)


@pytest.mark.parametrize("prefix", ["/a;b/", "/a%20b/", "/../", "/a//", "/a\\b/"])
def test_a_prefix_that_could_open_nothing_is_rejected_when_it_is_configured(make_api, prefix):
    with pytest.raises(ValueError, match=r"^public_paths: "):
        make_api(public_paths=[prefix])


async def test_one_string_is_one_path(make_api):
    api = make_api(public_paths="/healthz")
    assert [(await api.anonymous(path=path)).status for path in ("/healthz", "/h")] == [200, 401]
