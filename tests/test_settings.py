"""Every variable, every bad value."""

import logging
from base64 import b64encode
from operator import attrgetter
from types import SimpleNamespace

import pytest

from dpop_asgi import DPoPMiddleware, JWTVerifier, MemoryStore, NoncePolicy, ProofPolicy, RedisStore
from dpop_asgi.settings import VARIABLES, Settings

# With them, opaque tokens are introspected.
CLIENT = {"DPOP_INTROSPECTION_CLIENT_ID": "api", "DPOP_INTROSPECTION_CLIENT_SECRET": "hunter2"}
NEEDED = {"DPOP_ISSUER": "https://id.example.com", "DPOP_AUDIENCE": "https://api.example.com"}


def _settings(**variables):
    return Settings.from_environment({**NEEDED, **variables})


def test_issuer_and_audience_are_enough():
    settings = _settings()
    authenticator = settings.authenticator
    assert (settings.public_url, type(authenticator.store), authenticator.mode) == (None, MemoryStore, "required")
    assert (authenticator.proof_policy, authenticator.nonce_policy) == (ProofPolicy(), NoncePolicy())
    assert authenticator.proof_policy.algorithms == ("ES256", "PS256", "Ed25519", "EdDSA")


def test_an_empty_variable_counts_as_not_set():
    empty = {name: "" for name in VARIABLES.values() if name not in NEEDED}
    assert _settings(**empty).public_url is None


def test_the_environment_of_the_process_is_read(monkeypatch):
    for name, value in {**NEEDED, "DPOP_MODE": "mixed"}.items():
        monkeypatch.setenv(name, value)
    assert Settings.from_environment().authenticator.mode == "mixed"


def _parts(settings):
    """What the rows below look at."""
    authenticator = settings.authenticator
    jwt, opaque = authenticator.verify_token._jwt, authenticator.verify_token._opaque
    [(issuer, trusted)], [source] = jwt._trusted.items(), jwt._sources.values()
    return SimpleNamespace(
        settings=settings, authenticator=authenticator, proofs=authenticator.proof_policy, store=authenticator.store,
        nonces=authenticator.nonce_policy, jwt=jwt, opaque=opaque, endpoint=opaque._endpoint, issuer=issuer,
        trusted=trusted, source=source,
    )  # fmt: skip


BASIC = {"authorization": "Basic " + b64encode(b"api:hunter2").decode()}
ONE, TWO = "https://a.example/api", "https://b.example"
GOOD = [
    pytest.param("PUBLIC_URL", ONE, "settings.public_url", (ONE,), id="url"),
    pytest.param("PUBLIC_URL", f"{ONE}, {TWO}", "settings.public_url", (ONE, TWO), id="urls"),
    pytest.param("ISSUER", "https://id.example/t", "issuer", "https://id.example/t", id="issuer"),
    pytest.param("AUDIENCE", "other", "trusted.audience", ("other",), id="audience"),
    pytest.param("TOKEN_TYPES", "at+jwt", "trusted.types", ("at+jwt",), id="X02, type"),
    pytest.param("TOKEN_TYPES", "at+jwt, JWT ,None", "trusted.types", ("at+jwt", "jwt", None), id="X02, types"),
    pytest.param("JWKS_URI", ONE, "trusted.jwks_uri", ONE, id="jwks-uri"),
    pytest.param("INSECURE_HTTP_HOSTS", "a, B.c", "source._insecure_http_hosts", {"a", "b.c"}, id="X10, hosts"),
    pytest.param("INTROSPECTION_CLIENT_ID", "api", "endpoint._authenticate._headers", BASIC, id="client-id"),
    pytest.param("INTROSPECTION_CLIENT_SECRET", "hunter2", "endpoint._authenticate._headers", BASIC, id="secret"),
    pytest.param("INTROSPECTION_ENDPOINT", ONE, "endpoint._address", ONE, id="endpoint"),
    pytest.param("INTROSPECTION_CACHE", "5", "opaque._cache_seconds", 5.0, id="introspection-cache"),
    pytest.param("CACHED_CLIENTS", "9", "opaque._cache.size", 9, id="cached-opaque-tokens"),
    pytest.param("CACHED_CLIENTS", "9", "authenticator._reader._headers.size", 9, id="cached-keys"),
    pytest.param("CACHED_CLIENTS", "9", "jwt._cache.size", 9, id="cached-tokens"),
    pytest.param("NAMESPACE", "orders", "authenticator.namespace", "orders", id="namespace"),
    pytest.param("NONCE_PERIOD", "30", "nonces.period", 30.0, id="period"),
    pytest.param("NONCE_PERIOD", " 0.5 ", "nonces.period", 0.5, id="period-with-spaces"),
    pytest.param("NONCE_PERIOD", "0", "nonces", None, id="no-nonces"),
    pytest.param("NONCE_GRACE", "0", "nonces.grace", 0, id="no-grace"),
    pytest.param("NONCE_LOOKAHEAD", "9", "nonces.lookahead", 9, id="lookahead"),
    pytest.param("ALGORITHMS", "ES256, RS256", "proofs.algorithms", ("ES256", "RS256"), id="algorithms"),
    pytest.param("PROOF_MAX_AGE", "30", "proofs.max_age", 30.0, id="max-age"),
    pytest.param("PROOF_MAX_FUTURE", "0", "proofs.max_future", 0.0, id="max-future"),
    pytest.param("MODE", "mixed", "authenticator.mode", "mixed", id="mode"),
    pytest.param("ON_STORE_FAILURE", "accept", "authenticator.on_store_failure", "accept", id="on-failure"),
    pytest.param("STORE", "memory://", "store.__class__", MemoryStore, id="memory"),
    pytest.param("STORE", "redis://localhost:6379/0", "store.__class__", RedisStore, id="redis"),
    pytest.param("STORE", "rediss://localhost", "store.__class__", RedisStore, id="rediss"),
    pytest.param("STORE", "unix:///run/redis.sock", "store.__class__", RedisStore, id="unix"),
    pytest.param("STORE_TIMEOUT", "1.5", "store._timeout", 1.5, id="timeout"),
]


def _others(variable):
    """What has to be set so that the variable has an effect."""
    return {"DPOP_STORE": "redis://localhost", **CLIENT} if variable == "STORE_TIMEOUT" else CLIENT


@pytest.mark.parametrize(("variable", "value", "read", "expected"), GOOD)
def test_a_variable_sets_its_option(variable, value, read, expected):
    settings = _settings(**{**_others(variable), f"DPOP_{variable}": value})
    assert attrgetter(read)(_parts(settings)) == expected


BAD = {
    "PUBLIC_URL": (
        "rs.example",
        "ftp://rs.example",
        "https://rs.example?x",
        "https://a.example,",
        "https://a@b.example",
    ),
    "ISSUER": ("", " ", "id.example.com", "http://id.example.com", "ftp://id.example.com", "https://", "https://[::1"),
    "AUDIENCE": ("", "  ", "a,b"),  # N15
    "TOKEN_TYPES": (",", "at+jwt,", "at+jwt JWT", "a/b/c", "*", "caf\xe9"),
    "JWKS_URI": ("id.example.com/jwks", "http://id.example.com/jwks", "/jwks", "https://[::1/jwks"),
    "INSECURE_HTTP_HOSTS": ("http://keycloak", "keycloak:8080", "*.internal", "keycloak,"),
    "INTROSPECTION_CLIENT_ID": ("", " "),
    "INTROSPECTION_CLIENT_SECRET": ("", " "),
    "INTROSPECTION_ENDPOINT": ("id.example.com/i", "http://id.example.com/i", "/i", "https://a:hunter2@id.example/i"),
    "INTROSPECTION_CACHE": ("-1", "soon", "nan", "inf"),
    "STORE": (
        "memory",
        "memcached://localhost",
        "localhost:6379",
        "redis://localhost:port",
        "redis://:hunter2@localhost:99999",
        "redis://[::1",
        "redis://localhost/0?socket_timeout=soon",
    ),
    "NAMESPACE": ("caf\xe9", "a\nb"),
    "NONCE_PERIOD": ("soon", "-1", "nan", "inf", "1e999", "60s"),
    "NONCE_GRACE": ("one", "-1", "1.5", "nan"),
    "NONCE_LOOKAHEAD": ("0", "-1", "2.5", "many"),
    "CACHED_CLIENTS": ("-1", "1.5", "many"),
    "ALGORITHMS": ("none", "HS256", "ES256,", "es256", "ES256 PS256", ","),
    "PROOF_MAX_AGE": ("0", "-1", "long", "nan", "inf"),
    "PROOF_MAX_FUTURE": ("-1", "long", "nan", "inf"),
    "MODE": ("both", "REQUIRED", "bearer"),
    "STORE_TIMEOUT": ("0", "-1", "soon", "nan", "inf"),
    "ON_STORE_FAILURE": ("allow", "Refuse", "1"),
}


@pytest.mark.parametrize(
    ("variable", "value"),
    [pytest.param(name, value, id=f"{name}-{value!r}") for name, values in BAD.items() for value in values],
)
def test_a_bad_value_is_rejected_and_its_variable_named(variable, value):
    name = f"DPOP_{variable}"
    with pytest.raises(ValueError, match=rf"^{name}: ") as refused:
        _settings(**{**_others(variable), name: value})
    assert "hunter2" not in str(refused.value)


def test_every_variable_has_a_good_value_and_bad_ones_here():
    assert {f"DPOP_{row.values[0]}" for row in GOOD} == {f"DPOP_{name}" for name in BAD} == set(VARIABLES.values())


def test_plain_http_to_a_host_that_is_named_is_accepted_and_warned_of(caplog):
    """X10, N06"""
    in_a_compose_file = {"DPOP_ISSUER": "http://keycloak:8080/realms/a"}
    with pytest.raises(ValueError, match=r"^DPOP_ISSUER: .* or list the host in DPOP_INSECURE_HTTP_HOSTS$"):
        _settings(**in_a_compose_file)
    assert caplog.messages == []
    _settings(**in_a_compose_file, DPOP_INSECURE_HTTP_HOSTS="keycloak")
    [message] = caplog.messages
    assert message.startswith("insecure_http_hosts: keys of keycloak are fetched over plain http")


@pytest.mark.parametrize("public_url", ["", "https://rs.example"], ids=["loopback-only", "public"])
def test_what_is_read_suits_the_middleware(public_url):
    """Hosts for keys are none for a public URL that isn't there: the middleware would reject them."""
    settings = _settings(DPOP_INSECURE_HTTP_HOSTS="keycloak", DPOP_PUBLIC_URL=public_url)
    DPoPMiddleware(
        None,
        authenticator=settings.authenticator,
        public_url=settings.public_url,
        insecure_http_hosts=settings.insecure_http_hosts,
    )


@pytest.mark.parametrize(
    ("given", "named"),
    [
        pytest.param({"DPOP_ISSUER": ""}, "DPOP_ISSUER", id="no-issuer"),
        pytest.param({"DPOP_AUDIENCE": ""}, "DPOP_AUDIENCE", id="no-audience"),
        pytest.param({"DPOP_INTROSPECTION_CLIENT_ID": "api"}, "DPOP_INTROSPECTION_CLIENT_SECRET", id="no-secret"),
        pytest.param({"DPOP_INTROSPECTION_CLIENT_SECRET": "x"}, "DPOP_INTROSPECTION_CLIENT_ID", id="no-client-id"),
        pytest.param({"DPOP_INTROSPECTION_ENDPOINT": ONE}, "DPOP_INTROSPECTION_CLIENT_ID", id="endpoint-without-them"),
    ],
)
def test_a_variable_that_is_required_is_named(given, named):
    with pytest.raises(ValueError, match=rf"^{named}: not set, and required"):
        _settings(**given)


def test_without_credentials_for_introspection_there_are_signed_tokens_only(caplog):
    assert isinstance(_settings(DPOP_INTROSPECTION_CACHE="5").authenticator.verify_token, JWTVerifier)
    assert caplog.messages == ["DPOP_INTROSPECTION_CACHE has no effect while DPOP_INTROSPECTION_CLIENT_ID is not set"]


def test_accepting_without_the_store_needs_nonces():
    with pytest.raises(ValueError, match=r"^DPOP_ON_STORE_FAILURE: "):
        _settings(DPOP_ON_STORE_FAILURE="accept", DPOP_NONCE_PERIOD="0")


@pytest.mark.parametrize(
    ("unknown", "suggestion"),
    [
        pytest.param("DPOP_PUBLIC_URI", " Did you mean DPOP_PUBLIC_URL?", id="one-letter"),
        pytest.param("DPOP_NONCE_TTL_SECONDS_AND_MORE", "", id="like-nothing"),
        pytest.param("DPOP_MAX_AGE", " Did you mean DPOP_PROOF_MAX_AGE?", id="a-word-missing"),
        pytest.param("DPOP_CLIENT_ID", " Did you mean DPOP_INTROSPECTION_CLIENT_ID?", id="the-end-of-one"),
        pytest.param("DPOP_REDIS_URL", " Did you mean DPOP_STORE?", id="N23: DPOP_REDIS_URL"),
        pytest.param("DPOP_BASE_URL", " Did you mean DPOP_PUBLIC_URL?", id="another-name"),
        pytest.param("DPOP_SCOPES", "", id="alike-by-the-prefix-only"),
    ],
)
def test_an_unknown_variable_is_warned_of_with_a_suggestion(caplog, unknown, suggestion):
    with caplog.at_level(logging.WARNING, "dpop_asgi"):
        _settings(**{unknown: "x"})
    assert caplog.messages == [f"Unknown setting {unknown}.{suggestion}"]


def test_variables_of_others_are_not_warned_of(caplog):
    _settings(PATH="/bin", dpop_mode="x", XDPOP_MODE="x")
    assert caplog.messages == []
