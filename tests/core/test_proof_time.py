"""When a proof is accepted: the exact instants, at both ends of `iat`, `exp` and `nbf`."""

import pytest

from dpop_asgi import InvalidProof, ProofPolicy, Reason
from dpop_asgi.core.proof import ProofReader
from tests.support.proofs import NOW, TOKEN, URI, context, judge, reason_against

ACCEPTED = None


def outcome(proof, **changes):
    try:
        judge(proof, **changes)
    except InvalidProof as refused:
        return refused.reason
    return ACCEPTED


BRIEF = ProofPolicy(max_age=30, max_future=0)


@pytest.mark.requirement("R-4.3-17", "R-11.1-01", "R-11.1-09", "R-FAPI-01", "R-MCP-01")
@pytest.mark.parametrize(
    ("policy", "offset", "expected"),
    [
        pytest.param(ProofPolicy(), -300, ACCEPTED, id="at-max-age"),
        pytest.param(ProofPolicy(), -300.001, Reason.ISSUED_TOO_EARLY, id="a-millisecond-too-old"),
        pytest.param(ProofPolicy(), 60, ACCEPTED, id="at-max-future"),
        pytest.param(ProofPolicy(), 60.001, Reason.ISSUED_IN_FUTURE, id="a-millisecond-too-new"),
        pytest.param(ProofPolicy.fapi2(), -300.001, Reason.ISSUED_TOO_EARLY, id="fapi2-too-old"),
        pytest.param(ProofPolicy.fapi2(), 10, ACCEPTED, id="fapi2-ahead"),
        pytest.param(ProofPolicy.fapi2(), 60.001, Reason.ISSUED_IN_FUTURE, id="fapi2-too-new"),
        pytest.param(ProofPolicy.mcp(), -300.001, Reason.ISSUED_TOO_EARLY, id="mcp-too-old"),
        pytest.param(ProofPolicy.mcp(), 300, ACCEPTED, id="mcp-ahead"),
        pytest.param(ProofPolicy.mcp(), 300.001, Reason.ISSUED_IN_FUTURE, id="mcp-too-new"),
        pytest.param(BRIEF, -30, ACCEPTED, id="brief-at-max-age"),
        pytest.param(BRIEF, -31, Reason.ISSUED_TOO_EARLY, id="brief-too-old"),
        pytest.param(BRIEF, 0, ACCEPTED, id="brief-now"),
        pytest.param(BRIEF, 1, Reason.ISSUED_IN_FUTURE, id="brief-ahead"),
    ],
)
def test_iat_is_accepted_within_the_window_of_the_policy_ends_included(client, policy, offset, expected):
    assert outcome(client.proof("GET", URI, TOKEN, claims={"iat": NOW + offset}), policy=policy) is expected


@pytest.mark.requirement("R-11.1-02")
def test_a_nonce_in_the_proof_does_not_replace_iat(client):
    proof = client.proof("GET", URI, TOKEN, nonce="fresh", claims={"iat": NOW - 3600})
    assert reason_against(proof) is Reason.ISSUED_TOO_EARLY


@pytest.mark.requirement("R-4.3-06")
@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        pytest.param({"nbf": 0, "exp": 300}, ACCEPTED, id="both-good"),
        pytest.param({"exp": -60}, ACCEPTED, id="expired-at-leeway"),
        pytest.param({"exp": -60.001}, Reason.PROOF_EXPIRED, id="expired-a-millisecond-more"),
        pytest.param({"nbf": 60}, ACCEPTED, id="ahead-at-leeway"),
        pytest.param({"nbf": 60.001}, Reason.PROOF_NOT_YET_VALID, id="ahead-a-millisecond-more"),
    ],
)
def test_exp_and_nbf_hold_where_a_client_sends_them(client, claims, expected):
    times = {name: NOW + offset for name, offset in claims.items()}
    assert outcome(client.proof("GET", URI, TOKEN, claims=times)) is expected


@pytest.mark.parametrize(
    ("claims", "last"),
    [
        pytest.param({}, 300, id="iat-alone"),
        pytest.param({"iat": NOW - 100}, 200, id="older"),
        pytest.param({"iat": NOW + 60}, 360, id="from-the-future"),
        pytest.param({"exp": NOW + 100}, 160, id="exp-first"),
        pytest.param({"exp": NOW - 60}, 0, id="exp-at-its-end"),
        pytest.param({"exp": NOW + 1000}, 300, id="iat-first"),
    ],
)
def test_the_last_instant_is_the_last_at_which_it_is_accepted(client, claims, last):
    proof = client.proof("GET", URI, TOKEN, claims=claims)
    read = ProofReader(ProofPolicy()).read(proof.encode())
    assert read.check(context()) == NOW + last
    judge(proof, now=NOW + last)
    assert outcome(proof, now=NOW + last + 0.001) in {Reason.ISSUED_TOO_EARLY, Reason.PROOF_EXPIRED}


def test_a_rejection_for_its_time_gives_the_numbers(client):
    with pytest.raises(InvalidProof) as refused:
        judge(client.proof("GET", URI, TOKEN, claims={"iat": 5}))
    assert refused.value.facts == {"iat": 5, "now": NOW, "max_age": 300.0, "max_future": 60.0}
