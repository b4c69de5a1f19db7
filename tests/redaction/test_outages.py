"""While store or issuer are away, and when something inside fails: no password, no token, no nonce is said anywhere."""

import asyncio
import contextlib
import secrets
from base64 import b64encode
from types import SimpleNamespace
from urllib.parse import quote_plus

import pytest

from dpop_asgi import DPoPError, IntrospectionVerifier, JWTVerifier, RedisStore
from dpop_asgi.cli.check.environment import read_settings
from dpop_asgi.core.private_key import PrivateKey
from dpop_asgi.settings import Settings
from tests.support.api import handshake, http_scope
from tests.support.busy import patient
from tests.support.fault_proxy import FaultProxy
from tests.support.processes import AUDIENCE, RedisServer, free_port
from tests.support.website import Page

PASSWORD = "hunter2-Zq7vXk3RtYb9Wm"
NONCE = "a-nonce-of-the-client"


@pytest.fixture(autouse=True)
def password(search):
    search.know(PASSWORD)


@pytest.fixture(autouse=True)
def candidates(search, monkeypatch):
    """What would become a nonce, whether the store takes it or not."""
    token_urlsafe = secrets.token_urlsafe

    def remembered(size=None):
        value = token_urlsafe(size)
        search.know(value)
        return value

    monkeypatch.setattr(secrets, "token_urlsafe", remembered)


async def ask(search, api, name, fields):
    return await search.ask(name, api.app, http_scope(headers=[("host", "rs.example"), *fields.items()]))


async def refused_by(search, api, *, requests=4):
    """The statuses of some requests, while the breaker opens."""
    return {(await ask(search, api, str(number), await api.fields(nonce=NONCE))).status for number in range(requests)}


async def say_what_fails(search, *awaitables):
    for awaitable in awaitables:
        try:
            await awaitable
        except (DPoPError, ValueError) as error:
            search.transcript.hear(error)


AWAY = [
    pytest.param(f"redis://api:{PASSWORD}@127.0.0.1:PORT/0", id="redis"),
    pytest.param(f"redis://:{PASSWORD}@127.0.0.1:PORT/0?client_name=x", id="redis-with-options"),
    pytest.param(f"redis://{PASSWORD}@127.0.0.1:PORT/0", id="redis-with-the-password-in-place-of-the-user"),
    pytest.param(f"rediss://api:{PASSWORD}@127.0.0.1:PORT/0", id="redis-with-tls"),
    pytest.param(f"unix://api:{PASSWORD}@/nowhere/redis.sock", id="unix"),
    pytest.param(f"redis+sentinel://api:{PASSWORD}@127.0.0.1:PORT/master", id="sentinel"),
    pytest.param(f"redis+cluster://api:{PASSWORD}@127.0.0.1:PORT", id="cluster"),
]


@pytest.mark.parametrize("nonces", [True, False], ids=["nonces-on", "nonces-off"])
@pytest.mark.parametrize("url", AWAY)
async def test_a_store_where_nobody_listens(make_api, search, url, nonces):
    store = RedisStore(url.replace("PORT", str(free_port())))
    api = make_api(store=store, **({} if nonces else {"nonces": None}))
    assert await refused_by(search, api) == {503}
    await say_what_fails(search, api.authenticator.ready(), store.findings(api.authenticator._clock), store.aclose())
    assert search.whole() == {}
    assert search.reasons


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(("--requirepass", "another"), id="wrong-password"),
        pytest.param(("--user", "api", "on", f">{PASSWORD}", "~*", "+ping"), id="no-right-to-set"),
        pytest.param(("--user", "api", "on", f">{PASSWORD}", "~other:*", "+@all"), id="no-right-to-the-keys"),
        # Redis repeats the arguments of a command that it does not know.
        pytest.param(("--rename-command", "SET", ""), id="set-is-not-there"),
        pytest.param(("--rename-command", "SET", "", "--requirepass", PASSWORD), id="set-is-not-there-with-password"),
    ],
)
async def test_a_store_that_rejects(make_api, search, redis_binary, options):
    with RedisServer(redis_binary, *options) as server:
        user = "api" if "api" in options else "default"
        store = RedisStore(f"redis://{user}:{PASSWORD}@127.0.0.1:{server.port}/0", timeout=5.0)
        for changes in ({}, {"nonces": None}):
            api = make_api(store=store, **changes)
            assert await refused_by(search, api) == {503}
            await say_what_fails(search, api.authenticator.ready(), store.findings(api.authenticator._clock))
        await store.aclose()
    assert search.whole() == {}


async def test_a_store_that_goes_away_and_comes_back(make_api, search, redis_server):
    async with FaultProxy(redis_server.port) as proxy:
        store = RedisStore(f"redis://127.0.0.1:{proxy.port}/0", timeout=patient(0.25))
        api = make_api(store=store)
        assert await refused_by(search, api, requests=1) == {401}
        proxy.silent = True
        api_without_nonces = make_api(store=store, nonces=None)
        assert await refused_by(search, api_without_nonces) == {503}
        proxy.silent = False
        await say_what_fails(search, store.aclose())
    assert search.whole() == {}


ANSWERS = {
    "gone": {},
    "error": {"/jwks": Page("x", 500)},
    "no JSON": {"/jwks": Page(b"<html>PRIVATE</html>")},
    "no keys": {"/jwks": Page({"keys": "PRIVATE"})},
    "private keys": {"/jwks": Page({"keys": [{"kty": "EC", "crv": "P-256", "kid": "x", "d": "PRIVATE" * 5}]})},
    "redirect": {"/jwks": Page(b"", 302, {"location": "/elsewhere"})},
}


@pytest.mark.parametrize("pages", ANSWERS.values(), ids=ANSWERS)
async def test_an_issuer_that_is_unavailable_or_answers_nonsense(make_api, search, website, issuer, clock, pages):
    website.pages.update(pages)
    search.know("PRIVATE" * 5)
    verifier = JWTVerifier(issuer=issuer.url, audience=AUDIENCE, jwks_uri=f"{website.url}/jwks", clock=clock)
    api = make_api(verify_token=verifier, nonces=None)
    assert await refused_by(search, api) <= {401, 503}
    await say_what_fails(search, api.authenticator.ready())
    assert search.whole() == {}
    assert {name.partition(".")[0] for name in search.transcript.loggers} >= {"dpop_asgi", "httpx2", "httpcore2"}


INTROSPECTED = {
    "gone": Page(b"PRIVATE", 404),
    "wrong credentials": Page({"error": "invalid_client", "error_description": "PRIVATE"}, 401),
    "another code": Page({"error": "PRIVATE"}, 400),
    "error": Page(b"PRIVATE", 500),
    "no JSON": Page(b"<html>PRIVATE</html>"),
    "redirect": Page(b"PRIVATE", 302, {"location": "/elsewhere"}),
    "inactive": Page({"active": False, "sub": "PRIVATE"}),
    "malformed": Page({"active": True, "exp": "PRIVATE", "cnf": {"jkt": "PRIVATE"}}),
    "malformed binding": Page({"active": True, "cnf": {"PRIVATE": "PRIVATE"}}),
    "another audience": Page({"active": True, "aud": "PRIVATE", "token_type": "PRIVATE"}),
    "another issuer": Page({"active": True, "iss": "PRIVATE"}),
    "unknown type": Page({"active": True, "token_type": "PRIVATE"}),
    "another type": Page({"active": True, "token_type": "PRIVATE", "cnf": {"jkt": "A" * 43}}),
}


@pytest.mark.parametrize("how", ["client_secret", "private_key"])
@pytest.mark.parametrize("page", INTROSPECTED.values(), ids=INTROSPECTED)
async def test_an_introspection_endpoint_that_gives_no_good_answer(make_api, search, website, issuer, clock, page, how):
    secret, key = "PRIVATE" * 5, PrivateKey.generate().private_jwk
    said = page.body.replace(b"PRIVATE", secret.encode())
    website.pages["/introspect"] = Page(said, page.status, page.headers)
    search.know(PASSWORD, quote_plus(PASSWORD), b64encode(f"api:{PASSWORD}".encode()).decode(), secret, key["d"])
    verify = IntrospectionVerifier(
        issuer=issuer.url,
        endpoint=f"{website.url}/introspect",
        client_id="api",
        audience=AUDIENCE,
        clock=clock,
        **({"client_secret": PASSWORD} if how == "client_secret" else {"private_key": key}),
    )
    api = make_api(verify_token=verify, nonces=None)
    api.token = "an-opaque-token-" + secrets.token_hex(16)
    assert await refused_by(search, api) <= {401, 503}
    await say_what_fails(search, verify(api.token))
    await api.authenticator.aclose()
    search.transcript.say(repr(verify))
    assert search.whole() == {}
    assert search.reasons


def _fails(*_):
    raise RuntimeError("broken")


async def _fails_later(*_, **__):
    raise RuntimeError("broken")


BROKEN = {
    "app": {"inner": _fails_later},
    "verifier": {"verify_token": _fails_later},
    "observer": {"observer": _fails},
    "store": {"store": SimpleNamespace(put_if_absent=_fails_later)},
}


@pytest.mark.parametrize("part", BROKEN)
async def test_an_error_inside(make_api, search, part):
    api = make_api(**BROKEN[part], nonces=None)
    fields = await api.fields(nonce=NONCE)
    with contextlib.suppress(RuntimeError):
        await ask(search, api, part, fields)
    search.know(*fields["DPoP"].split("."), *api.token.split("."))
    assert search.whole() == {}


async def test_a_denied_websocket(make_api, search):
    api = make_api()
    fields = await api.fields(nonce=NONCE)
    search.know(*fields["DPoP"].split("."), *api.token.split("."), NONCE)

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        search.transcript.say([line for line in message.get("headers", ()) if line[0] != b"dpop-nonce"])
        search.transcript.say(message.get("body"))

    await api.app(handshake(fields.items(), path="/r"), receive, send)
    assert search.whole() == {}
    assert search.reasons


async def test_an_event_loop_that_is_debugged(make_api, search, redis_server):
    """It logs each callback with what it works on, here every one of them."""
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 0.0
    store = RedisStore(redis_server.url, timeout=5.0)
    api = make_api(store=store)
    try:
        await refused_by(search, api)
        fields = await api.fields()
        for name in ("good", "replay"):
            await ask(search, api, name, fields)
    finally:
        loop.set_debug(False)
        await store.aclose()
    assert any("Executing" in text for text in search.transcript.texts)
    assert search.whole() == {}


@pytest.mark.parametrize("scheme", ["redis", "rediss", "unix", "redis+sentinel", "redis+cluster", "postgres", ""])
@pytest.mark.parametrize("rest", ["user:PASSWORD@:port", "PASSWORD", ":PASSWORD@[::", "x:1/?socket_timeout=PASSWORD"])
def test_a_setting_that_is_rejected(search, scheme, rest):
    url = f"{scheme}://{rest}".replace("PASSWORD", PASSWORD)
    environment = {"DPOP_ISSUER": "https://id.example.com", "DPOP_AUDIENCE": AUDIENCE, "DPOP_STORE": url}
    for make in (lambda: RedisStore(url), lambda: Settings.from_environment(environment)):
        try:
            search.transcript.say(repr(make()))
        except ValueError as error:
            search.transcript.hear(error)
    assert search.whole() == {}


@pytest.mark.parametrize("variable", ["PUBLIC_URL", "ISSUER", "JWKS_URI", "INTROSPECTION_ENDPOINT"])
@pytest.mark.parametrize(
    "url",
    [
        *(
            f"{scheme}://user:{before}PASSWORD@h"
            for scheme in ("https", "http", "ftp")
            for before in ("", "a/", " ", "'")
        ),
        "http://user:1/PASSWORD@h",
        "https://user:PASSWORD@h/.well-known/openid-configuration",
        "user:PASSWORD@h",
        "http://h?key=PASSWORD",
        "http://h?key=a 'PASSWORD",
    ],
)
def test_a_url_that_is_rejected(search, variable, url):
    """As a server says it when it doesn't start, and as `dpop-asgi check` does."""
    required = {"DPOP_ISSUER": "https://id.example.com", "DPOP_AUDIENCE": AUDIENCE}
    client = {"DPOP_INTROSPECTION_CLIENT_ID": "api", "DPOP_INTROSPECTION_CLIENT_SECRET": "secret"}
    environment = {**required, **client, f"DPOP_{variable}": url.replace("PASSWORD", PASSWORD)}
    with pytest.raises(ValueError, match=f"^DPOP_{variable}: ") as rejected:
        Settings.from_environment(environment)
    search.transcript.hear(rejected.value)
    _, findings = read_settings(environment)
    search.transcript.say(repr(findings))
    assert search.whole() == {}
