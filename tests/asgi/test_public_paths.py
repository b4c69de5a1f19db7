"""Open paths: exact ones, and all below a prefix that ends in a slash."""

from urllib.parse import unquote

import pytest

from tests.support.api import call, http_scope

OPEN = ["/healthz", "/docs/", "/caf\xe9", "/a;b%"]

# Z15: what a router, a proxy or a backend may take for another path, and what decodes to nothing.
NOT_PLAIN = [
    *("..%3b/orders", ".%0a.", ".%0A./orders", "..%20/orders", ".%20./orders", "%20.."),
    *(".%E2%80%8B./a", ".-./a", "..-", "a;b", "a%3Bb", "a%09b", "a%7F", "a%3Fb", "a%23b", "a%5Cb", "a|b", "%u002e"),
    *("a%2Fb", "%2e%2e%2f", "%C0%AE%C0%AE/a", "%FF", "%EF%BC%8F..", "%E2%80%A6"),
]


@pytest.fixture
def api(make_api):
    return make_api(public_paths=OPEN)


@pytest.mark.parametrize(
    "sent",
    [
        # Exact ones, with the escapes that they need.
        *("/healthz", "/healthz?deep=1", "/a;b%25", "/caf%C3%A9", "/caf%c3%a9"),
        # The prefix itself, and plain names below it: dots in names, escapes of plain characters, letters, marks.
        *("/docs/", "/docs/a/", "/docs/a/b.html", "/docs/a.b", "/docs/a..b", "/docs/.hidden/_/-/a..b", "/docs/a%20b"),
        *("/docs/a%2Cb/%40c", "/docs/%D0%96/%E6%96%87.html", "/docs/~!$&'()*+,=:@-_"),
    ],
)
async def test_an_open_path_needs_no_credentials(api, sent):
    scope = http_scope(path=unquote(sent.partition("?")[0]), raw_path=sent.encode())
    assert (await call(api.app, scope)).status == 200


@pytest.mark.parametrize(
    "sent",
    [
        # Others, above, below, beside or in another case; the prefix without its slash.
        *("/healthx", "/healthzz", "/healthz/", "/healthz/x", "/HEALTHZ", "/docs", "/docsx", "/v1/docs/", "/", ""),
        # What may be taken for a path elsewhere.
        *("/docs%2Fa", "/docs/..%2forders", "/docs/../orders", "/docs/..", "/docs/./orders", "/docs/.", "/docs/..?x"),
        *("/docs/%2e%2e/orders", "/docs/%2E%2E/orders", "/docs/%252e%252e/orders", "/docs/..;/orders", "//healthz"),
        *("/docs//orders", "/docs/..\\orders", "/docs/%5c..", "/docs/a%00"),
        # Another path for routers that match it as it was sent, as those of Sanic and BlackSheep do.
        *("/%68ealthz", "/docs/a%2eb", "/docs/%5fc"),
        *(pytest.param(f"/docs/{name}", id=f"Z15-{name}"[:40]) for name in [*NOT_PLAIN, "a" * 2048]),
    ],
)
async def test_any_other_path_needs_credentials(api, sent):
    scope = http_scope(path=unquote(sent.partition("?")[0]), raw_path=sent.encode())
    assert ((await call(api.app, scope)).status, api.inner.scopes) == (401, [])


@pytest.mark.parametrize(
    ("raw_path", "path", "status"),
    [
        pytest.param(None, "/healthz", 200, id="no-raw-path"),
        *(
            pytest.param(None, f"/docs/{end}", 401, id=f"none-{end!a}")
            for end in ("\ud800", "..;", "../orders", "/orders")
        ),
        pytest.param(b"/docs/a", "/docs/b", 401, id="a-path-that-the-app-does-not-see"),
        pytest.param(b"/orders", "/docs/a", 401, id="a-path-elsewhere"),
        pytest.param(b"/x/healthz", "/healthz", 401, id="an-exact-path-elsewhere"),
    ],
)
async def test_a_path_is_open_if_it_was_sent_like_that_or_the_server_does_not_tell(api, raw_path, path, status):
    assert (await call(api.app, http_scope(path=path, raw_path=raw_path))).status == status


async def test_the_front_page_can_be_open_and_opens_nothing_else(make_api):
    api = make_api(public_paths=["/"])
    assert [(await api.anonymous(path=path)).status for path in ("/", "/orders")] == [200, 401]


async def test_an_open_path_shows_the_app_no_caller(api):
    await api.request(path="/healthz")
    [scope] = api.inner.scopes
    assert not scope.keys() & {"user", "auth", "dpop_asgi.caller"}


async def test_an_open_path_hides_a_caller_that_was_there_before(api):
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


async def test_a_nonce_of_the_app_passes_on_an_open_path(api, make_api):
    """An authorization server below an open path hands out nonces of its own."""
    inner = type(api.inner)(headers=[("dpop-nonce", "of-the-app"), ("cache-control", "max-age=1")])
    answer = await make_api(inner, public_paths=OPEN).anonymous(path="/healthz")
    assert answer.headers == ((b"dpop-nonce", b"of-the-app"), (b"cache-control", b"max-age=1"))


async def test_one_string_is_one_path(make_api):
    api = make_api(public_paths="/healthz")
    assert [(await api.anonymous(path=path)).status for path in ("/healthz", "/h")] == [200, 401]
