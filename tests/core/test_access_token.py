"""The verified token and its binding: what is not understood is never read as unbound."""

import pytest

from dpop_asgi import AccessToken, InvalidToken, Reason
from dpop_asgi.core.access_token import check_binding
from dpop_asgi.core.encoding import b64url_encode

JKT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
OTHER_JKT = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def reason_of(claims):
    with pytest.raises(InvalidToken) as refused:
        AccessToken.from_claims(claims)
    return refused.value.reason


def test_the_claims_become_attributes():
    claims = {"sub": "alice", "client_id": "app", "scope": "a b  a", "exp": 5, "cnf": {"jkt": JKT}, "x": 1}
    token = AccessToken.from_claims(claims)
    assert token == AccessToken(
        subject="alice",
        client_id="app",
        scopes=frozenset({"a", "b"}),
        claims=claims,
        key_thumbprint=JKT,
        expires_at=5.0,
    )


def test_a_token_may_say_nothing_at_all():
    assert AccessToken.from_claims({}) == AccessToken()


@pytest.mark.requirement("R-6-01", "R-6.1-01")
@pytest.mark.parametrize(
    "confirmation",
    [
        pytest.param({}, id="empty"),
        pytest.param(False, id="false"),
        pytest.param(JKT, id="the-thumbprint-itself"),
        pytest.param({"jkt": None}, id="jkt-null"),
        pytest.param({"jkt": [JKT]}, id="jkt-list"),
        pytest.param({"jkt": JKT + "\n"}, id="jkt-line-feed"),
        pytest.param({"jkt": b64url_encode(bytes(20))}, id="jkt-sha-1"),
        pytest.param({"jkt": b64url_encode(bytes(64))}, id="jkt-sha-512"),
    ],
)
def test_a_malformed_confirmation_is_not_an_unbound_token(confirmation):
    assert reason_of({"cnf": confirmation}) is Reason.BINDING_MALFORMED


@pytest.mark.requirement("R-8705-01", "R-6-01")
@pytest.mark.parametrize(
    "confirmation",
    [
        pytest.param({"kid": "x"}, id="key-id"),
        pytest.param({"jwk": {"kty": "EC"}}, id="key"),
        pytest.param({"JKT": JKT}, id="other-case"),
        pytest.param({"jkt": JKT, "x5t#S256": JKT}, id="both-certificate-and-key"),
        pytest.param({"jkt": JKT, "jwk": {"kty": "EC"}}, id="both-thumbprint-and-key"),
    ],
)
def test_a_binding_that_we_cannot_check_is_rejected(confirmation):
    assert reason_of({"cnf": confirmation}) is Reason.BINDING_UNSUPPORTED


@pytest.mark.requirement("R-7800-01")
def test_unknown_members_beside_a_good_thumbprint_are_ignored():
    claims = {"cnf": {"jkt": JKT, "kc-jkt-type": "x", "kid": 5}}
    assert AccessToken.from_claims(claims).key_thumbprint == JKT


CLAIMS = {
    "a string": ("sub", "client_id", "azp", "cid", "appid"),
    "a string or an array of strings": ("scope", "scp"),
    "a number below 2**63": ("exp", "nbf", "iat"),
}
OF_TYPE = {"a string": "5", "a number": 5, "a boolean": True, "an array": ["a", 5], "an object": {"a": 1}}


@pytest.mark.parametrize(
    ("claim", "value", "expected", "received"),
    [
        pytest.param(claim, value, expected, received, id=f"{claim}={value!r}")
        for expected, claims in CLAIMS.items()
        for claim in claims
        for received, value in OF_TYPE.items()
        if not expected.startswith(received)
    ],
)
def test_a_claim_of_another_type_is_rejected_and_its_name_and_types_told(claim, value, expected, received):
    """Y05"""
    with pytest.raises(InvalidToken) as refused:
        AccessToken.from_claims({claim: value})
    assert refused.value.reason is Reason.TOKEN_MALFORMED
    assert refused.value.facts == {"claim": claim, "expected": expected, "received": received}


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        pytest.param({"scope": "a b"}, {"a", "b"}, id="string"),
        pytest.param({"scope": ["a", "b"]}, {"a", "b"}, id="X03, array, as Duende, Spring and Ping"),
        pytest.param({"scope": ["a b", "c"]}, {"a", "b", "c"}, id="X03, array with a space"),
        pytest.param({"scope": []}, set(), id="X03, empty array"),
        pytest.param({"scp": ["a", "b"]}, {"a", "b"}, id="X04, scp array, as Okta and Hydra"),
        pytest.param({"scp": "a b"}, {"a", "b"}, id="X04, scp string, as Entra"),
        pytest.param({"scope": None, "scp": ["a"]}, {"a"}, id="X03, null counts as absent"),
        pytest.param({"scope": "a", "scp": ["b"]}, {"a"}, id="scope before scp"),
        pytest.param({"scope": "a", "scp": 5}, {"a"}, id="what is not read may be anything"),
        pytest.param({"scopes": "a", "roles": ["a"], "permissions": ["a"]}, set(), id="nothing else"),
    ],
)
def test_scopes_are_read_as_issuers_write_them(claims, scopes):
    assert AccessToken.from_claims(claims).scopes == scopes


@pytest.mark.parametrize(
    ("claims", "client_id"),
    [
        pytest.param({"client_id": "a", "azp": "b", "cid": "c", "appid": "d"}, "a", id="client_id"),
        pytest.param({"azp": "b", "cid": "c", "appid": "d"}, "b", id="X04, azp, as Keycloak and Auth0"),
        pytest.param({"cid": "c", "appid": "d"}, "c", id="X04, cid, as Okta"),
        pytest.param({"appid": "d"}, "d", id="X04, appid, as Entra"),
        pytest.param({"client_id": None, "azp": "b"}, "b", id="Y05, null counts as absent"),
        pytest.param({"client_id": "a", "azp": 5}, "a", id="what is not read may be anything"),
        pytest.param({"aud": "a", "sub": "b"}, None, id="nothing else"),
    ],
)
def test_the_client_is_read_as_issuers_write_it(claims, client_id):
    assert AccessToken.from_claims(claims).client_id == client_id


@pytest.mark.parametrize("claim", ["sub", "client_id", "scope", "scp", "exp", "nbf", "iat"])
def test_null_counts_as_absent(claim):
    """Y05; not for `cnf`: see above."""
    assert AccessToken.from_claims({claim: None}) == AccessToken(claims={claim: None})


@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
@pytest.mark.parametrize(
    "number", [float("nan"), float("inf"), -(2**63), 2**63, 10**400], ids=["nan", "infinity", "least", "most", "huge"]
)
def test_a_time_that_never_comes_is_rejected(claim, number):
    assert reason_of({claim: number}) is Reason.TOKEN_MALFORMED


@pytest.mark.requirement("R-4.3-19", "R-7.2-06")
@pytest.mark.parametrize(
    ("bound_to", "reason"),
    [
        pytest.param(OTHER_JKT, Reason.BINDING_MISMATCH, id="another-key"),
        pytest.param(JKT.swapcase(), Reason.BINDING_MISMATCH, id="other-case"),
        pytest.param("", Reason.BINDING_MISMATCH, id="empty"),
        pytest.param("é\ud800", Reason.BINDING_MISMATCH, id="not-ascii"),
        pytest.param(None, Reason.BINDING_MISSING, id="unbound"),
    ],
)
def test_a_token_that_is_not_bound_to_the_key_of_the_proof_is_rejected(bound_to, reason):
    with pytest.raises(InvalidToken) as refused:
        check_binding(AccessToken(key_thumbprint=bound_to), JKT)
    assert refused.value.reason is reason


@pytest.mark.requirement("R-4.3-19")
def test_a_token_that_is_bound_to_the_key_of_the_proof_passes():
    check_binding(AccessToken(key_thumbprint=JKT), JKT)
