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
        pytest.param(None, id="null"),
        pytest.param("x", id="string"),
        pytest.param("", id="empty-string"),
        pytest.param(5, id="number"),
        pytest.param(0, id="zero"),
        pytest.param(False, id="false"),
        pytest.param([], id="empty-list"),
        pytest.param([{"jkt": JKT}], id="list"),
        pytest.param(JKT, id="the-thumbprint-itself"),
        pytest.param({"jkt": 5}, id="jkt-number"),
        pytest.param({"jkt": None}, id="jkt-null"),
        pytest.param({"jkt": ""}, id="jkt-empty"),
        pytest.param({"jkt": [JKT]}, id="jkt-list"),
        pytest.param({"jkt": {"S256": JKT}}, id="jkt-object"),
        pytest.param({"jkt": JKT[:-1]}, id="jkt-shorter"),
        pytest.param({"jkt": JKT + "="}, id="jkt-padded"),
        pytest.param({"jkt": JKT + "A"}, id="jkt-longer"),
        pytest.param({"jkt": JKT + "\n"}, id="jkt-line-feed"),
        pytest.param({"jkt": "é" * 43}, id="jkt-not-ascii"),
        pytest.param({"jkt": b64url_encode(bytes(20))}, id="jkt-sha-1"),
        pytest.param({"jkt": b64url_encode(bytes(64))}, id="jkt-sha-512"),
        pytest.param({"jkt": "urn:ietf:params:oauth:jwk-thumbprint:sha-256:" + JKT}, id="jkt-urn"),
    ],
)
def test_a_malformed_confirmation_is_not_an_unbound_token(confirmation):
    assert reason_of({"cnf": confirmation}) is Reason.BINDING_MALFORMED


@pytest.mark.requirement("R-8705-01", "R-6-01")
@pytest.mark.parametrize(
    "confirmation",
    [
        pytest.param({"x5t#S256": JKT}, id="certificate"),
        pytest.param({"jkt#S512": JKT}, id="another-hash"),
        pytest.param({"kid": "x"}, id="key-id"),
        pytest.param({"jwk": {"kty": "EC"}}, id="key"),
        pytest.param({"unknown": 1}, id="unknown"),
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


@pytest.mark.parametrize(
    "claims",
    [
        *(
            pytest.param({name: value}, id=f"{name}={value!r}")
            for name in ("sub", "client_id", "scope")
            for value in (5, None, ["a"], True)
        ),
        *(
            pytest.param({name: value}, id=f"{name}={value!r}")
            for name in ("exp", "nbf", "iat")
            for value in ("5", None, [5], True)
        ),
    ],
)
def test_a_claim_of_another_type_is_rejected(claims):
    assert reason_of(claims) is Reason.TOKEN_MALFORMED


@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
@pytest.mark.parametrize(
    "number", [float("nan"), float("inf"), -float("inf"), 10**400], ids=["nan", "infinity", "minus-infinity", "huge"]
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


def test_a_printed_token_does_not_show_its_claims():
    assert "secret" not in repr(AccessToken(claims={"x": "secret"}))
