"""DPoP and Bearer side by side: every scheme, with bound and unbound tokens, with and without a proof."""

import pytest

from dpop_asgi import AccessToken, InvalidToken, Reason
from dpop_asgi.core.challenge import Challenger
from dpop_asgi.core.credentials import scheme_of
from tests.support.challenges import checked_challenges
from tests.support.decisions import Resource
from tests.support.proofs import TOKEN, URI

PASSES = None
BOUND, UNBOUND = "bound", "unbound"
PROOF, NO_PROOF = "proof", "no-proof"

# mode, scheme, token, proof: why it is refused
MATRIX = {
    ("required", "DPoP", BOUND, PROOF): PASSES,
    ("required", "DPoP", BOUND, NO_PROOF): Reason.PROOF_MISSING,
    ("required", "DPoP", UNBOUND, PROOF): Reason.BINDING_MISSING,
    ("required", "DPoP", UNBOUND, NO_PROOF): Reason.PROOF_MISSING,
    ("required", "bEaReR", BOUND, PROOF): Reason.BEARER_NOT_ACCEPTED,
    ("required", "bEaReR", BOUND, NO_PROOF): Reason.BEARER_NOT_ACCEPTED,
    ("required", "bEaReR", UNBOUND, PROOF): Reason.BEARER_NOT_ACCEPTED,
    ("required", "bEaReR", UNBOUND, NO_PROOF): Reason.BEARER_NOT_ACCEPTED,
    ("required", "Basic", BOUND, PROOF): Reason.AUTHORIZATION_SCHEME,
    ("required", "Basic", BOUND, NO_PROOF): Reason.AUTHORIZATION_SCHEME,
    ("required", "Basic", UNBOUND, PROOF): Reason.AUTHORIZATION_SCHEME,
    ("required", "Basic", UNBOUND, NO_PROOF): Reason.AUTHORIZATION_SCHEME,
    ("required", None, BOUND, PROOF): Reason.AUTHORIZATION_MISSING,
    ("required", None, BOUND, NO_PROOF): Reason.AUTHORIZATION_MISSING,
    ("required", None, UNBOUND, PROOF): Reason.AUTHORIZATION_MISSING,
    ("required", None, UNBOUND, NO_PROOF): Reason.AUTHORIZATION_MISSING,
    ("mixed", "DPoP", BOUND, PROOF): PASSES,
    ("mixed", "DPoP", BOUND, NO_PROOF): Reason.PROOF_MISSING,
    ("mixed", "DPoP", UNBOUND, PROOF): Reason.BINDING_MISSING,
    ("mixed", "DPoP", UNBOUND, NO_PROOF): Reason.PROOF_MISSING,
    ("mixed", "bEaReR", BOUND, PROOF): Reason.BOUND_TOKEN_AS_BEARER,
    ("mixed", "bEaReR", BOUND, NO_PROOF): Reason.BOUND_TOKEN_AS_BEARER,
    ("mixed", "bEaReR", UNBOUND, PROOF): PASSES,
    ("mixed", "bEaReR", UNBOUND, NO_PROOF): PASSES,
    ("mixed", "Basic", BOUND, PROOF): Reason.AUTHORIZATION_SCHEME,
    ("mixed", "Basic", BOUND, NO_PROOF): Reason.AUTHORIZATION_SCHEME,
    ("mixed", "Basic", UNBOUND, PROOF): Reason.AUTHORIZATION_SCHEME,
    ("mixed", "Basic", UNBOUND, NO_PROOF): Reason.AUTHORIZATION_SCHEME,
    ("mixed", None, BOUND, PROOF): Reason.AUTHORIZATION_MISSING,
    ("mixed", None, BOUND, NO_PROOF): Reason.AUTHORIZATION_MISSING,
    ("mixed", None, UNBOUND, PROOF): Reason.AUTHORIZATION_MISSING,
    ("mixed", None, UNBOUND, NO_PROOF): Reason.AUTHORIZATION_MISSING,
}
ROWS = [pytest.param(*row, reason, id="-".join(map(str, row))) for row, reason in MATRIX.items()]
REFUSED = [row for row in ROWS if row.values[-1] is not PASSES]


def resource_for(clock, client, mode, token):
    resource = Resource(clock, client, mode=mode)
    if token is UNBOUND:
        resource.tokens[TOKEN] = AccessToken(subject="alice")
    return resource


def headers_for(client, scheme, proof):
    headers = {} if scheme is None else {"Authorization": f"{scheme} {TOKEN}"}
    return headers | ({"DPoP": client.proof("GET", URI, TOKEN)} if proof is PROOF else {})


@pytest.mark.requirement("R-7.2-02", "R-7.2-06", "R-7.2-07", "R-7.2-08", "R-6750-06", "R-7.1-05", "R-7.1-06")
@pytest.mark.parametrize(("mode", "scheme", "token", "proof", "reason"), ROWS)
async def test_who_passes_in_which_mode(clock, client, mode, scheme, token, proof, reason):
    resource, headers = resource_for(clock, client, mode, token), headers_for(client, scheme, proof)
    if reason is not PASSES:
        assert await resource.reason(headers) is reason
        assert resource.store.calls == []
        return
    caller = await resource.accept(headers)
    assert caller.subject == "alice"
    assert caller.key_thumbprint == (client.thumbprint if token is BOUND else None)
    assert len(resource.store.calls) == (1 if token is BOUND else 0)


def expected_challenges(mode, reason, code):
    """Scheme and error of each challenge (requirements of RFC 9449 §7.2 and RFC 6750 §3.1)."""
    if mode == "mixed" and reason in {Reason.AUTHORIZATION_SCHEME, Reason.AUTHORIZATION_MISSING}:
        return [("DPoP", None), ("Bearer", None)]
    if reason is Reason.BOUND_TOKEN_AS_BEARER:
        return [("Bearer", "invalid_token"), ("DPoP", None)]
    return [("DPoP", code)]


@pytest.mark.requirement("R-7.2-02", "R-7.2-03", "R-7.2-04", "R-7.2-08", "R-6750-05", "R-6750-06")
@pytest.mark.parametrize(("mode", "scheme", "token", "proof", "reason"), REFUSED)
async def test_the_error_stands_on_the_challenge_of_the_scheme_that_was_used(
    clock, client, mode, scheme, token, proof, reason
):
    headers = headers_for(client, scheme, proof)
    refusal = await resource_for(clock, client, mode, token).refusal(headers)
    used = scheme_of([(name.lower().encode(), value.encode()) for name, value in headers.items()])
    answer = Challenger(algorithms=("ES256",), mode=mode).response_to(refusal, scheme=used, nonce=None)
    assert answer.status == 401
    told = [(one.scheme, one.parameters.get("error")) for one in checked_challenges(answer.headers)]
    assert told == expected_challenges(mode, reason, refusal.code)


@pytest.mark.requirement("R-7.2-01", "R-7.2-05")
@pytest.mark.parametrize(
    "authorizations",
    [
        pytest.param((f"Bearer {TOKEN}", f"DPoP {TOKEN}"), id="two-fields"),
        pytest.param((f"DPoP {TOKEN}, Bearer {TOKEN}",), id="joined"),
        pytest.param((f"DPoP {TOKEN}",) * 2, id="twice-the-same"),
    ],
)
@pytest.mark.parametrize("mode", ["required", "mixed"])
async def test_an_ambiguous_use_of_both_schemes_is_a_bad_request_on_both_challenges(
    clock, client, mode, authorizations
):
    resource = Resource(clock, client, mode=mode)
    fields = [("Authorization", value) for value in authorizations] + [("DPoP", client.proof("GET", URI, TOKEN))]
    answer = Challenger(algorithms=("ES256",), mode=mode).response_to(await resource.refusal(fields), nonce=None)
    assert answer.status == 400
    told = [(one.scheme, one.parameters.get("error")) for one in checked_challenges(answer.headers)]
    assert told == [("DPoP", "invalid_request"), ("Bearer", "invalid_request")][: 1 if mode == "required" else 2]


@pytest.mark.requirement("R-7.2-04", "R-8705-01", "R-6-01")
@pytest.mark.parametrize(
    ("confirmation", "reason"),
    [
        pytest.param({"x5t#S256": "x"}, Reason.BINDING_UNSUPPORTED, id="certificate"),
        pytest.param({}, Reason.BINDING_MALFORMED, id="empty"),
        pytest.param("x", Reason.BINDING_MALFORMED, id="string"),
        pytest.param({"jkt": 5}, Reason.BINDING_MALFORMED, id="jkt-number"),
        pytest.param({"jkt": ""}, Reason.BINDING_MALFORMED, id="jkt-empty"),
    ],
)
@pytest.mark.parametrize("scheme", ["Bearer", "DPoP"])
async def test_a_binding_that_is_not_understood_never_passes_as_unbound(clock, client, scheme, confirmation, reason):
    async def verify(_):
        return AccessToken.from_claims({"sub": "alice", "cnf": confirmation})

    resource = Resource(clock, client, mode="mixed", verify_token=verify)
    refusal = await resource.refusal(headers_for(client, scheme, PROOF))
    assert (type(refusal), refusal.reason) == (InvalidToken, reason)


@pytest.mark.requirement("R-7.2-02", "R-8705-01")
@pytest.mark.parametrize("confirmation", [{"jkt": "x"}, {"x5t#S256": "x"}, {}, None], ids=repr)
async def test_a_binding_that_only_the_claims_know_of_is_none_that_passes_as_bearer(clock, client, confirmation):
    resource = Resource(clock, client, mode="mixed")
    resource.tokens[TOKEN] = AccessToken(claims={"cnf": confirmation})
    assert await resource.reason(headers_for(client, "Bearer", NO_PROOF)) is Reason.BOUND_TOKEN_AS_BEARER
    assert await resource.reason(headers_for(client, "DPoP", PROOF)) is Reason.BINDING_MISSING


@pytest.mark.requirement("R-7.2-04", "R-7.1-13")
@pytest.mark.parametrize("scheme", ["Bearer", "DPoP"])
async def test_a_bad_token_is_reported_on_the_challenge_of_its_scheme(clock, client, scheme):
    resource = Resource(clock, client, mode="mixed")
    resource.tokens.clear()
    refusal = await resource.refusal(headers_for(client, scheme, PROOF))
    answer = Challenger(algorithms=("ES256",), mode="mixed").response_to(refusal, scheme=scheme, nonce=None)
    first, *others = checked_challenges(answer.headers)
    assert (first.scheme, first.parameters["error"]) == (scheme, "invalid_token")
    assert not any("error" in other.parameters for other in others)
