"""What each refusal looks like to a client."""

import json

import pytest

from dpop_asgi import (
    InsufficientAuthentication,
    InsufficientScope,
    InvalidProof,
    InvalidRequest,
    InvalidToken,
    MissingCredentials,
    Reason,
    UseNonce,
)
from dpop_asgi.core.challenge import Challenger, unavailable
from tests.support.challenges import checked_challenges, parse_challenges

ALGS = "ES256 PS256"
NONCE = "eyJ7S_zG.eyJH0-Z.HX4w-7v"
HOSTILE = 'x", error="spoofed\r\nSet-Cookie: a=b\\"ü😀'


def challenger(mode="required", **options):
    return Challenger(algorithms=("ES256", "PS256"), mode=mode, **options)


def response_to(mode, refusal, nonce=None):
    scheme = "Bearer" if refusal is AS_BEARER else "DPoP"
    return challenger(mode).response_to(refusal, scheme=scheme, nonce=nonce)


def fields(answer, name):
    return [value for field, value in answer.headers if field == name]


def told(answer):
    """Scheme, error code, and the names of the parameters, of each challenge."""
    challenges = checked_challenges(answer.headers)
    return [(one.scheme, one.parameters.get("error"), set(one.parameters)) for one in challenges]


PLAIN_DPOP = ("DPoP", None, {"algs"})
PLAIN_BEARER = ("Bearer", None, {"realm"})


def dpop(code, *more):
    return ("DPoP", code, {"error", "error_description", "algs", *more})


def bearer(code):
    return ("Bearer", code, {"error", "error_description", "realm"})


MISSING = MissingCredentials(Reason.AUTHORIZATION_MISSING)
AMBIGUOUS = InvalidRequest(Reason.AUTHORIZATION_REPEATED)
BAD_PROOF = InvalidProof(Reason.SIGNATURE_INVALID)
MISMATCH = InvalidToken(Reason.BINDING_MISMATCH)
AS_BEARER = InvalidToken(Reason.BOUND_TOKEN_AS_BEARER)
NONCE_FAULT = UseNonce(Reason.NONCE_MISSING)
SCOPE = InsufficientScope("orders:read", "orders:write")
STEP_UP = InsufficientAuthentication(["urn:loa:3", "urn:loa:2"], 300, ["orders:read"])
NAMES = ("acr_values", "max_age", "scope")

ANSWERS = [
    pytest.param("required", MISSING, 401, [PLAIN_DPOP], id="required-nothing"),
    pytest.param("required", AMBIGUOUS, 400, [dpop("invalid_request")], id="required-ambiguous"),
    pytest.param("required", BAD_PROOF, 401, [dpop("invalid_dpop_proof")], id="required-proof"),
    pytest.param("required", MISMATCH, 401, [dpop("invalid_token")], id="required-token"),
    pytest.param("required", AS_BEARER, 401, [dpop("invalid_token")], id="required-bearer"),
    pytest.param("required", NONCE_FAULT, 401, [dpop("use_dpop_nonce")], id="required-nonce"),
    pytest.param("required", SCOPE, 403, [dpop("insufficient_scope", "scope")], id="required-scope"),
    pytest.param("required", STEP_UP, 401, [dpop(STEP_UP.code, *NAMES)], id="required-step-up"),
    pytest.param("mixed", MISSING, 401, [PLAIN_DPOP, PLAIN_BEARER], id="mixed-nothing"),
    pytest.param("mixed", AMBIGUOUS, 400, [dpop("invalid_request"), bearer("invalid_request")], id="mixed-ambiguous"),
    pytest.param("mixed", BAD_PROOF, 401, [dpop("invalid_dpop_proof")], id="mixed-proof"),
    pytest.param("mixed", MISMATCH, 401, [dpop("invalid_token")], id="mixed-token"),
    pytest.param("mixed", AS_BEARER, 401, [bearer("invalid_token"), PLAIN_DPOP], id="mixed-bound-token-as-bearer"),
    pytest.param("mixed", NONCE_FAULT, 401, [dpop("use_dpop_nonce")], id="mixed-nonce"),
    pytest.param("mixed", SCOPE, 403, [dpop("insufficient_scope", "scope")], id="mixed-scope"),
    pytest.param("mixed", STEP_UP, 401, [dpop(STEP_UP.code, *NAMES)], id="mixed-step-up"),
]


@pytest.mark.requirement(
    "R-7.1-07", "R-7.1-08", "R-7.1-12", "R-7.1-13", "R-6750-05", "R-6750-06", "R-6750-07", "R-9110-03", "R-9110-04",
    "R-7.2-03", "R-7.2-04", "R-7.2-05", "R-7.2-08", "R-7.1-09", "R-6750-03", "R-9110-01", "R-9110-02", "R-8-04",
    "R-9449-NS",
)  # fmt: skip
@pytest.mark.parametrize(("mode", "refusal", "status", "expected"), ANSWERS)
@pytest.mark.parametrize("nonce", [None, NONCE], ids=["no-nonces", "nonces"])
def test_each_rejection_has_its_answer_which_is_not_cached(mode, refusal, status, expected, nonce):
    answer = response_to(mode, refusal, nonce)
    assert (answer.status, told(answer)) == (status, expected)
    assert {one.parameters["algs"] for one in checked_challenges(answer.headers) if one.scheme == "DPoP"} == {ALGS}
    # As a proxy joins them.
    lines = [value.decode() for value in fields(answer, b"www-authenticate")]
    assert [one.scheme for one in parse_challenges(", ".join(lines))] == [scheme for scheme, _, _ in expected]
    assert fields(answer, b"dpop-nonce") == ([NONCE.encode()] if nonce and status == 401 else [])
    assert all(name == name.lower() for name, _ in answer.headers)
    assert fields(answer, b"cache-control") == [b"no-store"]
    assert fields(answer, b"content-type") == [b"application/json"]
    assert fields(answer, b"content-length") == [str(len(answer.body)).encode()]
    assert set(json.loads(answer.body)) <= {"error", "error_description", *NAMES}
    assert json.loads(answer.body).get("error") == refusal.code


@pytest.mark.requirement("R-9-05", "R-9-02")
@pytest.mark.parametrize("mode", ["required", "mixed"])
@pytest.mark.parametrize(
    "reason", [Reason.NONCE_MISSING, Reason.NONCE_MALFORMED, Reason.NONCE_EXPIRED, Reason.NONCE_UNKNOWN]
)
def test_every_nonce_fault_gets_the_identical_answer(mode, reason):
    answer = challenger(mode).response_to(UseNonce(reason, slots_ago=5), nonce=NONCE)
    assert answer == challenger(mode).response_to(UseNonce(Reason.NONCE_MISSING), nonce=NONCE)
    assert fields(answer, b"www-authenticate")[0].startswith(b'DPoP error="use_dpop_nonce", ')


@pytest.mark.requirement("R-6750-04", "R-9110-02")
@pytest.mark.parametrize("reason", list(Reason))
@pytest.mark.parametrize("mode", ["required", "mixed"])
def test_nothing_of_the_request_reaches_the_answer(reason, mode):
    for kind in (MissingCredentials, InvalidRequest, InvalidProof, InvalidToken, UseNonce):
        plain = challenger(mode).response_to(kind(reason), nonce=NONCE)
        checked_challenges(plain.headers)
        assert challenger(mode).response_to(kind(reason, claim=HOSTILE, received=HOSTILE), nonce=NONCE) == plain


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_a_description_that_simple_clients_do_not_stumble_over(reason):
    # Some clients split a challenge at commas, some take a word behind one for the next scheme.
    assert reason.description.isascii()
    assert not set(reason.description) & set(',"\\=')


@pytest.mark.requirement("R-7.1-10")
def test_the_realm_is_quoted_and_stands_once():
    answer = challenger("mixed", realm="Orders and more").response_to(MISSING, nonce=None)
    assert checked_challenges(answer.headers)[1].raw == [("realm", '"Orders and more"')]


@pytest.mark.parametrize("value", ["", 'a"b', "a\\b", "a\r\nb", "caf\u00e9", 5])
def test_a_value_that_could_end_its_own_quotes_is_rejected(value):
    with pytest.raises(ValueError, match=r"^realm: "):
        challenger(realm=value)


@pytest.mark.parametrize(("mode", "refusal", "status", "expected"), ANSWERS)
def test_every_challenge_has_the_parameters_of_the_resource(mode, refusal, status, expected):
    address = "https://api.example.com/.well-known/oauth-protected-resource"
    both = challenger(mode)
    for number in "12":
        resource = (("resource_metadata", address + number), ("scope", "first"))
        challenges = checked_challenges(both.response_to(refusal, nonce=None, parameters=resource).headers)
        assert {one.parameters["resource_metadata"] for one in challenges} == {address + number}
        assert challenges[0].parameters["scope"] == refusal.parameters.get("scope", "first")


@pytest.mark.requirement("R-9470-01", "R-9470-03")
@pytest.mark.parametrize("scheme", ["DPoP", "Bearer"])
def test_what_a_step_up_needs_is_reported_in_the_scheme_that_was_used(scheme):
    first, *_ = checked_challenges(challenger("mixed").response_to(STEP_UP, scheme=scheme, nonce=None).headers)
    assert first.scheme == scheme
    assert first.raw[2:5] == [("acr_values", '"urn:loa:3 urn:loa:2"'), ("max_age", '"300"'), ("scope", '"orders:read"')]


@pytest.mark.requirement("R-6750-07")
def test_the_scopes_that_would_be_needed_are_reported():
    with_scopes, without = (
        checked_challenges(challenger().response_to(refusal, nonce=None).headers)[0].parameters
        for refusal in (SCOPE, InsufficientScope())
    )
    assert with_scopes == {**without, "scope": "orders:read orders:write"}


@pytest.mark.requirement("R-6750-04")
@pytest.mark.parametrize("scope", ["", "a b", 'a"b', "a\\b", "a\r\nSet-Cookie: b", "é"], ids=ascii)
def test_a_scope_that_could_end_its_own_quotes_cannot_be_asked_for(scope):
    with pytest.raises(ValueError, match=r"^scopes: "):
        InsufficientScope("orders:read", scope)
    with pytest.raises(ValueError, match=r"^acr_values: "):
        InsufficientAuthentication(["urn:loa:2", scope])
    with pytest.raises(ValueError, match=r"^max_age: "):
        InsufficientAuthentication(max_age=-1)


def test_a_rejection_of_a_users_own_class_is_answered_like_its_base():
    class TooFewOrders(InsufficientScope):
        pass

    answer = challenger().response_to(TooFewOrders("orders:read"), nonce=NONCE)
    assert answer == challenger().response_to(InsufficientScope("orders:read"), nonce=NONCE)


def test_a_store_or_issuer_that_is_unavailable_is_no_fault_of_the_credentials():
    answer = unavailable()
    assert answer.status == 503
    assert fields(answer, b"retry-after") == [b"1"]
    assert fields(answer, b"cache-control") == [b"no-store"]
    assert fields(answer, b"www-authenticate") == fields(answer, b"dpop-nonce") == []
    assert json.loads(answer.body)["error"] == "temporarily_unavailable"
