"""What is logged of requests; that nothing of it could be used says `tests/redaction`."""

import logging

import pytest
from redis.asyncio import Redis

from dpop_asgi import AccessToken, JWTVerifier, MemoryStore, RedisStore, TrustedIssuer
from dpop_asgi.testing import Client
from tests.asgi.token_endpoint import TokenServer
from tests.support.api import App


async def _nothing(_):
    """Sends, or verifies."""


class _Custom:
    put_if_absent = MemoryStore().put_if_absent


async def test_an_accepted_request_is_not_logged(api, caplog):
    """N07: a worker that is told of no start logs its line with the first one."""
    caplog.set_level(logging.DEBUG)
    await api.request()
    assert [message.partition(": ")[0] for message in caplog.messages] == ["DPoPMiddleware starts"]
    caplog.clear()
    assert (await api.request()).status == 200
    assert [record for record in caplog.records if record.name == "dpop_asgi"] == []


async def test_no_line_can_be_forged(api, caplog):
    """What is logged of a request has no line breaks, whatever the request has."""
    caplog.set_level(logging.DEBUG)
    await api.request(claims={"htu": "https://rs.example/\r\nforged", "htm": "GET\nforged"})
    await api.anonymous(also=[("authorization", "DPoP\x0bforged")], raw_path=b"/\nforged")
    assert [message for message in caplog.messages if "\n" in message or "\r" in message] == []


REDIS = [
    ("redis://user:hunter2@127.0.0.1:6399/3?password=hunter2", "Redis at 127.0.0.1:6399, database 3"),
    ("rediss://:hunter2@redis", "Redis at redis:6379, database 0"),
    ("unix:///run/redis.sock?password=hunter2&db=4", "Redis at /run/redis.sock, database 4"),
    ("redis+sentinel://:hunter2@a:1,b/orders", "Redis Sentinel orders at a:1, b:26379"),
    ("redis+cluster://u:hunter2@a:1,b", "Redis Cluster at a:1, b:6379"),
    (Redis(password="hunter2"), "Redis at localhost:6379, database 0"),
]


class _Named:
    """A custom verifier; what it calls `issuers` may mean something else."""

    def __init__(self, issuers):
        self.issuers = issuers

    async def __call__(self, _):
        raise AssertionError


WITH_KEYS = [
    TrustedIssuer(issuer=url, audience="a", jwks={"keys": []}) for url in ("https://u:hunter2@a?hunter2", "urn:b")
]
USUAL = (
    "mode required, protect everything; issuers https://id.example.com; public_url https://rs.example; nonces on,"
    " period 60 s, grace 1, lookahead 5; store memory of this process; namespace dpop, on_store_failure refuse"
)
PROXIED = {"public_url": None, "allowed_hosts": ["b.example:8443", "a.example"], "trusted_proxies": ["10.0.0.0/8"]}
OWN_URI = {"public_url": None, "target_uri": lambda _: "https://rs.example/r"}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        pytest.param({}, USUAL, id="usual"),
        pytest.param({"mode": "mixed", "protect": "routes"}, ": mode mixed, protect routes; ", id="mixed-and-routes"),
        pytest.param({"nonces": None}, "; nonces off; ", id="no-nonces"),
        pytest.param({"public_url": ["https://b.c/v1/", "https://a"]}, " https://b.c/v1, https://a; ", id="two-hosts"),
        pytest.param(PROXIED, "; allowed_hosts a.example, b.example:8443, behind trusted_proxies; ", id="proxies"),
        pytest.param({"public_url": None}, "; allowed_hosts those of this machine; ", id="loopback"),
        pytest.param(OWN_URI, "; target_uri a custom function; ", id="target-uri"),
        pytest.param({"verify_token": _nothing}, "; tokens verified by custom code; ", id="custom-verifier"),
        *(
            pytest.param({"verify_token": _Named(issuers)}, "; tokens verified by custom code; ", id=f"named {issuers}")
            for issuers in (None, "https://a", [1])
        ),
        pytest.param({"verify_token": JWTVerifier(issuers=WITH_KEYS)}, "; issuers https://a, urn:b; ", id="issuers"),
        pytest.param({"store": _Custom()}, "; store _Custom; ", id="custom-store"),
        pytest.param({"on_store_failure": "accept"}, "on_store_failure accept", id="accept"),
        *(pytest.param({"store": RedisStore(given)}, f"; store {told}, fence on; ", id=told) for given, told in REDIS),
        pytest.param({"store": RedisStore("redis://a", fence=False)}, "database 0, fence off; ", id="no-fence"),
    ],
)
async def test_a_start_is_one_line_with_what_is_in_force(make_api, caplog, options, told):
    """N07: nothing in it is secret."""
    caplog.set_level(logging.INFO, "dpop_asgi")
    api = make_api(**options)
    for _ in range(2):
        await api.app({"type": "lifespan"}, None, _nothing)
    [line] = caplog.records
    assert (line.levelname, line.message.partition(" starts: mode ")[0]) == ("INFO", "DPoPMiddleware")
    assert told in line.message
    assert "hunter2" not in line.message


async def test_a_token_endpoint_starts_with_a_line_of_its_own(clock, client, caplog):
    """N07"""
    caplog.set_level(logging.INFO, "dpop_asgi")
    server = TokenServer(clock, client, App())
    for _ in range(2):
        await server.app({"type": "lifespan"}, None, _nothing)
    [line] = caplog.messages
    assert line.startswith("TokenEndpointDPoP starts: public_url https://as.example; nonces on, ")


async def test_a_caller_can_be_printed_without_harm(api):
    await api.request()
    printed = repr(api.inner.scopes[0]["user"])
    assert "alice" in printed
    assert await api.authenticator.challenge_nonce() not in printed
    assert api.issuer.url not in printed


def _claims(**claims):
    return lambda _: {"claims": claims}


def _token(**changes):
    return lambda api: {"token": api.issuer.access_token(api.client, **changes)}


def _of_another_host(api):
    api.wrap(api.inner, allowed_hosts=["a.example"])
    return {}


@pytest.mark.parametrize(
    ("make", "told"),
    [
        pytest.param(_claims(htu="http://rs.example/r"), ["the schemes differ"], id="TLS-ends-before"),
        pytest.param(_claims(htu="https://other.example.com/r"), ["the hosts differ"], id="another-host"),
        pytest.param(_claims(htu="https://rs.example:8443/r"), ["the ports differ"], id="another-port"),
        pytest.param(_claims(htu="https://rs.example/v1/r"), ["the path lacks a prefix"], id="a-prefix-stripped"),
        pytest.param(_claims(htu="https://rs.example/else"), ["the paths differ", '"https://rs.example/r"'], id="path"),
        pytest.param(_claims(iat=1), ["compare the clocks"], id="a-clock-behind"),
        pytest.param(_claims(iat=9e9), ["compare the clocks"], id="a-clock-ahead"),
        pytest.param(
            _token(claims={"iss": "https://id.example.com/"}),
            [
                'expected=["https://id.example.com"] received="https://id.example.com/"',
                "issuer must be what the tokens",
            ],
            id="issuer",
        ),
        pytest.param(
            _token(claims={"aud": "b"}),
            ['expected=["https://api.example.com"] received=["b"]', "audience must be what the tokens have in aud"],
            id="N15: audience",
        ),
        pytest.param(
            _token(header={"typ": "JWT"}), ['expected=["at+jwt"] received="jwt"', "list their typ in types"], id="type"
        ),
        pytest.param(
            _of_another_host,
            ['host="rs.example"', "set public_url to what clients call (or list the host in allowed_hosts"],
            id="host",
        ),
    ],
)
async def test_a_usual_mistake_of_the_operator_is_a_warning_once_a_minute(api, clock, caplog, make, told):
    """N02, N17: with the default level, a log is not empty while every request is rejected."""
    request = make(api)
    api.app._renderer._log._warnings._clock = clock
    for seconds in (0.0, 1.0, 1.0, 58.0):
        clock.advance(seconds)
        assert (await api.request(**request)).status in {400, 401}
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [all(part in warning for part in told) for warning in warnings] == [True, True]
    assert ["2 more since the last warning" in warning for warning in warnings] == [False, True]


@pytest.mark.parametrize(
    ("public_url", "htu", "named"),
    [
        pytest.param("http://127.0.0.1:8000", "http://localhost:8000/r", "localhost and 127.0.0.1", id="localhost"),
        pytest.param("http://localhost:8000", "http://[::1]:8000/r", "localhost and 127.0.0.1", id="localhost-in-IPv6"),
        pytest.param(
            "https://rs.example/v1/v1", "https://rs.example/v1/r", "/v1 is duplicated", id="Y09-doubled-prefix"
        ),
        pytest.param("https://rs.example/v1", "https://rs.example/r", "prefix that clients don't send", id="prefix"),
    ],
)
async def test_the_mistake_in_the_public_url_is_named(api, caplog, public_url, htu, named):
    """N17: not "set public_url", which all of these have."""
    api.wrap(api.inner, public_url=public_url)
    assert (await api.request(claims={"htu": htu})).status == 401
    [warning] = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert named in warning


def _lines(caplog):
    """Without the one with what is in force."""
    of_us = (record for record in caplog.records if record.name == "dpop_asgi")
    return [record for record in of_us if not record.getMessage().startswith("DPoPMiddleware starts: ")]


async def _twice(api):
    sent = (await api.fields()).items()
    for _ in range(2):
        await api.anonymous(also=sent)


LEVELS = {
    "nonce_missing": ("DEBUG", lambda api: api.request(nonce=None)),
    "authorization_missing": ("INFO", lambda api: api.anonymous()),
    "method_mismatch": ("INFO", lambda api: api.request(claims={"htm": "PUT"})),
    "proof_replayed": ("WARNING", _twice),
    "binding_mismatch": ("WARNING", lambda api: api.request(client=Client(clock=api.client._clock))),
    "bound_token_as_bearer": (
        "WARNING",
        lambda api: api.anonymous(also=[("authorization", f"Bearer {api.token}")]),
    ),
}


@pytest.mark.parametrize("reason", LEVELS)
async def test_attacks_are_warnings_and_handshakes_are_not_shown(make_api, caplog, reason):
    """N10: each line has what is known of the request; nothing of it is a secret."""
    api = make_api(mode="mixed")
    caplog.set_level("DEBUG")
    level, request = LEVELS[reason]
    await request(api)
    [line] = _lines(caplog)
    client = "demo-client" if level == "WARNING" else None
    assert (line.dpop_reason, line.levelname) == (reason, level)
    assert (line.dpop_client, line.dpop_path, line.dpop_peer) == (client, "/r", "10.0.0.9")
    named = f'client="{client}" ' if client else ""
    assert line.getMessage().startswith(f'rejected: {reason} {named}path="/r" peer="10.0.0.9"')


async def test_a_flood_of_attacks_is_ten_warnings_a_minute(api, clock, caplog):
    """N10: what a client repeats must not fill a log of warnings. The level INFO has each."""
    api.app._renderer._log._warnings._clock = clock
    caplog.set_level("INFO")
    sent = (await api.fields()).items()
    for _ in range(16):
        await api.anonymous(also=sent)
    assert [line.levelname for line in _lines(caplog)] == ["WARNING"] * 10 + ["INFO"] * 5
    clock.advance(60)
    await api.anonymous(also=sent)
    assert _lines(caplog)[-1].levelname == "WARNING"
    assert "(5 more since the last warning)" in caplog.messages[-1]


FORGED = '"\r\n\u2028\x1b[31mWARNING:dpop_asgi:rejected: proof_replayed client="victim"\ud800' + "x" * 9000


@pytest.mark.parametrize(
    "scope",
    [
        pytest.param({"raw_path": FORGED.encode("utf-8", "surrogatepass"), "path": "/r"}, id="raw path"),
        pytest.param({"raw_path": None, "path": FORGED}, id="path"),
        pytest.param({"raw_path": b"", "path": FORGED}, id="path, the raw one is empty"),
        pytest.param({"client": (FORGED, 1)}, id="peer"),
        pytest.param({"client": None}, id="no peer"),
        pytest.param({"raw_path": b"/r?access_token=secret-of-the-query", "path": "/r"}, id="query"),
    ],
)
async def test_what_a_line_says_of_the_request_cannot_forge_another(api, caplog, scope):
    """N10: the path is the client's, and the peer too where a server takes it from a header of a proxy."""
    caplog.set_level("DEBUG")
    await api.anonymous(**scope)
    [line] = _lines(caplog)
    for text in (line.getMessage(), line.dpop_path, line.dpop_peer or ""):
        assert text.isascii()
        assert text.isprintable()
        assert "client=" not in text
        assert "secret-of-the-query" not in text
    assert len(line.dpop_path) <= 200
    assert len(line.dpop_peer or "") <= 200


async def test_the_name_of_a_client_cannot_forge_a_line(api, caplog):
    """N10: at some issuers, clients choose their identifiers."""
    caplog.set_level("DEBUG")
    token = api.issuer.access_token(api.client, claims={"client_id": FORGED})
    await api.request(token=token, client=Client(clock=api.client._clock))
    [line] = _lines(caplog)
    assert line.getMessage().startswith('rejected: binding_mismatch client="%22%0D%0A')
    assert len(line.dpop_client) == 200
    assert len(line.getMessage()) < 1000
    assert line.getMessage().isprintable()


async def test_a_client_that_a_custom_verifier_calls_by_a_number_is_logged(make_api, caplog):
    async def verify(_):
        return AccessToken(client_id=42, key_thumbprint="A" * 43)

    caplog.set_level("INFO")
    assert (await make_api(verify_token=verify).request()).status == 401
    assert caplog.messages[-1].startswith('rejected: binding_mismatch client="42" ')
