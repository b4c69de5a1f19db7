"""The claims of a proof: presence and types."""

import json

import pytest

from dpop_asgi import InvalidProof, Reason
from dpop_asgi.testing import jwt
from tests.support.proofs import TOKEN, URI, judge, reason_against

NO_STRINGS = [
    pytest.param(5, id="number"),
    pytest.param(1.5, id="float"),
    pytest.param(None, id="null"),
    pytest.param([], id="empty-list"),
    pytest.param(["x"], id="list"),
    pytest.param({}, id="object"),
    pytest.param(True, id="true"),
]

NO_NUMBERS = [
    pytest.param("1700000000", id="string"),
    pytest.param("", id="empty"),
    pytest.param(None, id="null"),
    pytest.param([1700000000], id="list"),
    pytest.param({}, id="object"),
    pytest.param(True, id="true"),
    pytest.param(False, id="false"),
]


def refused_claim(proof):
    """Which claim the refusal names."""
    with pytest.raises(InvalidProof) as refused:
        judge(proof)
    return refused.value.reason, refused.value.facts["claim"]


@pytest.mark.requirement("R-4.3-03")
@pytest.mark.parametrize("claim", ["jti", "htm", "htu", "iat", "ath"])
def test_a_proof_without_a_required_claim_is_rejected(client, claim):
    proof = client.proof("GET", URI, TOKEN, without=[claim])
    assert refused_claim(proof) == (Reason.CLAIM_MISSING, claim)


@pytest.mark.requirement("R-4.3-04", "R-8-01")
@pytest.mark.parametrize("claim", ["jti", "htm", "htu", "ath", "nonce"])
@pytest.mark.parametrize("value", NO_STRINGS)
def test_a_claim_that_must_be_a_string_is_nothing_else(client, claim, value):
    proof = client.proof("GET", URI, TOKEN, claims={claim: value})
    assert refused_claim(proof) == (Reason.CLAIM_MALFORMED, claim)


@pytest.mark.requirement("R-4.3-04", "R-4.3-05")
@pytest.mark.parametrize("claim", ["iat", "exp", "nbf"])
@pytest.mark.parametrize("value", NO_NUMBERS)
def test_a_time_is_a_number_and_nothing_else(client, claim, value):
    proof = client.proof("GET", URI, TOKEN, claims={claim: value})
    assert refused_claim(proof) == (Reason.CLAIM_MALFORMED, claim)


@pytest.mark.requirement("R-4.3-04")
@pytest.mark.parametrize(
    "jti", [pytest.param("", id="empty"), pytest.param(" ", id="blank"), pytest.param("\t\n", id="controls")]
)
def test_a_blank_jti_is_rejected(client, jti):
    assert refused_claim(client.proof("GET", URI, TOKEN, claims={"jti": jti})) == (Reason.CLAIM_MALFORMED, "jti")


@pytest.mark.requirement("R-11.1-07")
@pytest.mark.parametrize(
    "jti",
    [
        pytest.param("x", id="one-character"),
        pytest.param("x" * 36, id="uuid-sized"),
        pytest.param("x" * 256, id="256"),
        pytest.param("x" * 1000, id="1000"),
        pytest.param("a:b\nc\0d", id="separators"),
        pytest.param("naïve ☃ 𝄞", id="unicode"),
        pytest.param("\ud800", id="lone-surrogate"),
    ],
)
def test_any_other_string_is_a_jti(client, jti):
    assert judge(client.proof("GET", URI, TOKEN, claims={"jti": jti})).claims["jti"] == jti


@pytest.mark.requirement("R-11.1-07")
def test_a_jti_of_ten_thousand_characters_makes_the_proof_too_large(client):
    assert reason_against(client.proof("GET", URI, TOKEN, claims={"jti": "x" * 10_000})) is Reason.PROOF_TOO_LARGE


@pytest.mark.requirement("R-4.3-05", "H-05")
@pytest.mark.parametrize("claim", ["iat", "exp", "nbf"])
@pytest.mark.parametrize(
    "number",
    [
        pytest.param("NaN", id="nan"),
        pytest.param("Infinity", id="infinity"),
        pytest.param("-Infinity", id="minus-infinity"),
        pytest.param("1e400", id="not-finite"),
        pytest.param("9" * 5000, id="5000-digits"),
        pytest.param("-" + "9" * 20, id="beyond-64-bits"),
        pytest.param("0x10", id="hexadecimal"),
        pytest.param("01700000000", id="leading-zero"),
        pytest.param("+1700000000", id="plus"),
        pytest.param("1700000000.", id="no-fraction"),
    ],
)
def test_a_time_that_is_no_finite_json_number_is_rejected(client, claim, number):
    original = client.proof("GET", URI, TOKEN)
    claims = json.dumps({**judge(original).claims, claim: "HERE"}).replace('"HERE"', number)
    header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": client.key.public_jwk}
    assert reason_against(jwt(header, claims.encode(), client.key)) is Reason.PROOF_MALFORMED


@pytest.mark.requirement("R-4.3-05")
@pytest.mark.parametrize(
    ("iat", "reason"),
    [
        pytest.param(-(2**59), Reason.ISSUED_TOO_EARLY, id="far-past"),
        pytest.param(2**62, Reason.ISSUED_IN_FUTURE, id="far-future"),
        pytest.param(1e300, Reason.ISSUED_IN_FUTURE, id="huge-float"),
        pytest.param(-1e308, Reason.ISSUED_TOO_EARLY, id="huge-negative-float"),
        pytest.param(0, Reason.ISSUED_TOO_EARLY, id="zero"),
        pytest.param(-0.0, Reason.ISSUED_TOO_EARLY, id="minus-zero"),
    ],
)
def test_an_absurd_time_is_judged_like_any_other(client, iat, reason):
    assert reason_against(client.proof("GET", URI, TOKEN, claims={"iat": iat})) is reason


@pytest.mark.requirement("R-4.3-05")
def test_a_fractional_iat_passes(client):
    judge(client.proof("GET", URI, TOKEN, claims={"iat": 1_700_000_000.25}))


@pytest.mark.requirement("R-4.3-07")
def test_claims_of_other_tokens_are_not_read(client):
    judge(client.proof("GET", URI, TOKEN, claims={"aud": "https://elsewhere.example", "iss": 5, "sub": None}))
