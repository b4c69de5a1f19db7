"""Wrong configuration is a ValueError that names the option, when the verifier is made."""

from collections.abc import Iterable
from typing import get_args, get_origin, get_type_hints

import pytest

from dpop_asgi import IntrospectionVerifier, JWTVerifier, ProofPolicy, TrustedIssuer
from dpop_asgi.core.private_key import PrivateKey

KEYS = {"keys": []}
METADATA = "/.well-known/openid-configuration"
GOOD = {"issuer": "https://id.example", "audience": "a", "jwks": KEYS}
ONE = TrustedIssuer(**GOOD)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        pytest.param({}, "issuer", id="nothing"),
        pytest.param({"issuer": ""}, "issuer", id="empty-issuer"),
        pytest.param({"issuer": "id.example", "jwks": None}, "issuer", id="issuer-is-no-url"),
        pytest.param({"issuer": "http://10.0.0.1", "jwks": None}, "issuer", id="issuer-on-another-machine"),
        pytest.param({"issuer": "ftp://id.example", "jwks": None}, "issuer", id="issuer-with-another-scheme"),
        pytest.param({"issuer": f"https://id.example{METADATA}", "jwks": None}, "issuer", id="N18: its-metadata"),
        pytest.param({"issuer": "https://id.example:65536", "jwks": None}, "issuer", id="Z15, issuer-65536"),
        pytest.param({"jwks": None, "jwks_uri": "https://id.example:-1/keys"}, "jwks_uri", id="Z15, jwks_uri--1"),
        pytest.param({"jwks": None, "jwks_uri": "https://[1.2.3]/"}, "jwks_uri", id="Z15, no address in the brackets"),
        pytest.param({"jwks": None, "jwks_uri": "http://localhost\\@id.example/"}, "jwks_uri", id="Z15, two readings"),
        *(
            pytest.param({option: f"https://{user}id.example/keys", "jwks": None}, option, id=f"{option} of {user}")
            for option in ("issuer", "jwks_uri")
            for user in ("user:hunter2@", "hunter2@", "@")
        ),
        pytest.param({"jwks_uri": "https://id.example/jwks"}, "jwks", id="keys-and-their-address"),
        pytest.param({"jwks": None, "jwks_uri": "http://id.example/jwks"}, "jwks_uri", id="key-address-without-tls"),
        pytest.param({"jwks": {}}, "jwks", id="no-key-set"),
        pytest.param({"jwks": "https://id.example/jwks"}, "jwks", id="a-URL-for-keys"),
        pytest.param({"jwks": {"keys": {}}}, "jwks", id="keys-is-no-list"),
        pytest.param({"jwks": {"keys": [{}] * 101}}, "jwks", id="101-keys"),
        *(
            pytest.param({"jwks": None, option: value}, option, id=f"{reason}{option}={value!r}")
            for reason, option, values in (
                ("N23: ", "issuer", (3, b"https://id.example", ["https://id.example"])),
                ("N23: ", "audience", (None, "", ("a", ""), (), [3], b"ab", ("a", None))),
                ("N23: ", "jwks_uri", (3, {"keys": []})),
                ("N23: ", "algorithms", ((), ("ES256", "HS256"), [3], b"ES256")),
                ("X02, ", "types", ((), "", None, ("none",), ("at+jwt", "JWT "), (5,), 5, ("a/b/c",), ("at+jwt,JWT",))),
                ("", "leeway", (-1, "5", float("inf"), float("nan"))),
                ("", "cache_seconds", (-1,)),
                ("", "cached_tokens", (-1, 1.5, "9", True)),
                ("", "timeout", (0, float("inf"))),
                ("", "max_stale_seconds", (-1,)),
                ("X10, ", "insecure_http_hosts", ("keycloak", ["keycloak:8080"], ["*"], [""], 3, [3])),
                ("N23: ", "clock", (3, 3.5)),
            )
            for value in values
        ),
        pytest.param({"issuer": None, "issuers": ["https://id.example"]}, "issuers", id="URLs-for-issuers"),
        pytest.param({"issuers": [ONE]}, "issuer", id="one-issuer-and-several"),
        pytest.param({"issuer": None, "issuers": [ONE, ONE]}, "issuers", id="an-issuer-twice"),
    ],
)
def test_a_wrong_option_is_named(options, named):
    with pytest.raises(ValueError, match=rf"^{named}: ") as rejected:
        JWTVerifier(**({**GOOD, **options} if options else {}))
    assert "hunter2" not in str(rejected.value)


@pytest.mark.parametrize(
    "issuer",
    [
        "https://id.example",
        "https://id.example:8443/tenant",
        "http://localhost:8000",
        "http://127.0.0.1",
        "http://[::1]:80",
    ],
)
def test_an_issuer_with_tls_or_on_this_machine_is_accepted(issuer):
    JWTVerifier(issuer=issuer, audience="a")


@pytest.mark.parametrize(
    ("host", "address"),
    [
        pytest.param("keycloak", "http://keycloak:8080/realms/a", id="name"),
        pytest.param("Keycloak.Internal", "http://keycloak.INTERNAL", id="in-another-case"),
        pytest.param("10.0.0.1", "http://10.0.0.1:8080", id="IPv4"),
        pytest.param("[fd00::1]", "http://[fd00::1]:8080", id="IPv6"),
    ],
)
@pytest.mark.parametrize("option", ["issuer", "jwks_uri"])
def test_plain_http_to_a_host_that_is_named_is_accepted_and_warned_of(option, host, address, caplog):
    """X10"""
    given = {"issuer": "https://id.example", "audience": "a", option: address}
    with pytest.raises(ValueError, match=rf"^{option}: .* list the host in insecure_http_hosts$"):
        JWTVerifier(**given, insecure_http_hosts=["another"])
    caplog.clear()
    JWTVerifier(**given, insecure_http_hosts=[host])
    [message] = caplog.messages
    assert message.startswith("insecure_http_hosts: ")


def test_an_issuer_with_known_keys_needs_no_address():
    JWTVerifier(issuer="urn:example:issuer", audience="a", jwks=KEYS)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("audience", "a"),
        ("jwks_uri", "https://id.example/jwks"),
        ("jwks", KEYS),
        ("algorithms", ("ES256",)),
        ("types", ("JWT",)),
    ],
)
def test_an_option_that_would_have_no_effect_on_several_issuers_is_rejected(option, value):
    """`algorithms` was ignored without a word, so RS256 went on being accepted."""
    with pytest.raises(ValueError, match=f"^{option}: must be set in each TrustedIssuer"):
        JWTVerifier(issuers=[ONE], **{option: value})


# Introspection

KEY = PrivateKey.generate().private_jwk
INTROSPECTION = {"issuer": "https://id.example", "audience": "a", "client_id": "api", "client_secret": "hunter2"}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        pytest.param({"issuer": None}, "issuer", id="neither-issuer-nor-endpoint"),
        pytest.param({"issuer": "", "endpoint": "https://id.example/i"}, "issuer", id="empty-issuer-and-endpoint"),
        pytest.param({"issuer": "http://id.example"}, "issuer", id="issuer-without-tls"),
        pytest.param({"endpoint": ""}, "endpoint", id="empty-endpoint"),
        pytest.param({"endpoint": "https://a:hunter2@id.example/i"}, "endpoint", id="endpoint-with-password"),
        pytest.param({"client_id": ""}, "client_id", id="no-client"),
        pytest.param({"client_secret": None}, "client_secret", id="no-credentials"),
        pytest.param({"client_secret": b"hunter2"}, "client_secret", id="N23: secret-is-bytes"),
        pytest.param({"private_key": KEY}, "private_key", id="secret-and-key"),
        *(
            pytest.param({"client_secret": None, "private_key": key}, "private_key", id=f"key-{name}")
            for name, key in {
                "empty": {},
                "as-text": "-----BEGIN PRIVATE KEY-----hunter2",
                "public": {name: value for name, value in KEY.items() if name != "d"},
                "of-another-algorithm": {**KEY, "alg": "ES384"},
                "symmetric": {"kty": "oct", "k": "aHVudGVyMg", "alg": "HS256"},
                "damaged": {**KEY, "d": "hunter2"},
            }.items()
        ),
        *(
            pytest.param({option: value}, option, id=f"{option}={value!r}")
            for option, value in {
                "audience": ("a", ""),
                "require_audience": "no",
                "leeway": -1,
                "cache_seconds": float("inf"),
                "cached_tokens": 1.5,
                "timeout": 0,
                "insecure_http_hosts": "keycloak",
                "clock": 3.5,
            }.items()
        ),
    ],
)
def test_a_wrong_option_for_introspection_is_named(options, named):
    with pytest.raises(ValueError, match=rf"^{named}: ") as refused:
        IntrospectionVerifier(**{**INTROSPECTION, **options})
    assert "hunter2" not in str(refused.value)


def test_plain_http_for_introspection_is_accepted_and_warned_of(caplog):
    IntrospectionVerifier(**{**INTROSPECTION, "issuer": "http://keycloak:8080"}, insecure_http_hosts=["keycloak"])
    [message] = caplog.messages
    assert message.startswith("insecure_http_hosts: tokens and client_secret are sent to keycloak over plain http")


@pytest.mark.parametrize(
    ("made", "option"),
    [
        *((made, option) for made in (JWTVerifier, TrustedIssuer) for option in ("audience", "algorithms", "types")),
        (IntrospectionVerifier, "audience"),
        (ProofPolicy, "algorithms"),
    ],
)
def test_the_types_accept_the_lists_that_run(made, option):
    """N25: `audience=["a", "b"]` ran, and was a type error."""
    hint = get_type_hints(made.__init__)[option]
    kinds = [get_origin(each) for each in (hint, *get_args(hint))]
    assert any(kind is not None and issubclass(kind, Iterable) and issubclass(list, kind) for kind in kinds)


def test_lists_are_kept_as_they_were():
    lists = {"audience": ["a"], "algorithms": ["ES256"], "types": ["at+jwt", None]}
    issuer = TrustedIssuer(issuer="https://id.example", **lists)
    assert JWTVerifier(issuer="https://id.example", **lists).audiences == ("a",)
    for values in lists.values():
        values.clear()
    assert (issuer.audience, issuer.algorithms, issuer.types) == (("a",), ("ES256",), ("at+jwt", None))
