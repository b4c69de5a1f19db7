"""DPoP and Bearer side by side: every scheme, with bound and unbound tokens, with and without a proof."""

from itertools import product

import pytest

from dpop_asgi import AccessToken, InvalidToken, Reason
from dpop_asgi.core.challenge import Challenger
from tests.support.challenges import checked_challenges
from tests.support.decisions import Resource
from tests.support.proofs import TOKEN, URI

PASSES = None
BOUND, UNBOUND = "bound", "unbound"
PROOF, NO_PROOF = "proof", "no-proof"

# mode, scheme: why a bound token with a proof and without, and an unbound one with a proof and without are refused
MATRIX = {
    ("required", "DPoP"): (PASSES, Reason.PROOF_MISSING, Reason.BINDING_MISSING, Reason.PROOF_MISSING),
    ("required", "bEaReR"): (Reason.BEARER_NOT_ACCEPTED,) * 4,
    ("required", "Basic"): (Reason.AUTHORIZATION_SCHEME,) * 4,
    ("required", None): (Reason.AUTHORIZATION_MISSING,) * 4,
    ("mixed", "DPoP"): (PASSES, Reason.PROOF_MISSING, Reason.BINDING_MISSING, Reason.PROOF_MISSING),
    ("mixed", "bEaReR"): (Reason.BOUND_TOKEN_AS_BEARER, Reason.BOUND_TOKEN_AS_BEARER, PASSES, PASSES),
    ("mixed", "Basic"): (Reason.AUTHORIZATION_SCHEME,) * 4,
    ("mixed", None): (Reason.AUTHORIZATION_MISSING,) * 4,
}
ROWS = [
    pytest.param(*used, *sent, reason, id="-".join(map(str, (*used, *sent))))
    for used, reasons in MATRIX.items()
    for sent, reason in zip(product((BOUND, UNBOUND), (PROOF, NO_PROOF)), reasons, strict=True)
]


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
