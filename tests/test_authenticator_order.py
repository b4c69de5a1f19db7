"""The order of questions: of two faults in one request, the earlier is told, and nothing is written before the end."""

import re

import pytest

from dpop_asgi import NoncePolicy, Reason, Refusal
from dpop_asgi.core.challenge import Challenger
from tests.support.challenges import checked_challenges
from tests.support.decisions import Resource, settle
from tests.support.faults import FAULTS, Draft, combinable
from tests.support.processes import ROOT

EACH = [pytest.param(fault, id=fault.name) for fault in FAULTS]
BEFORE_THE_TOKEN = [row for row in EACH if row.id not in {"revoked", "expired-token", "other-binding", "replayed"}]
BEFORE_REPLAY = [row for row in EACH if row.id != "replayed"]


@pytest.fixture
def resource(clock, client):
    return Resource(clock, client, nonces=NoncePolicy())


async def refusal_of(resource, *faults):
    draft = Draft()
    for fault in faults:
        fault.add(draft)
    request = await draft.of(resource)
    with pytest.raises(Refusal) as refused:
        await resource.authenticator.authenticate(request)
    return refused.value


@pytest.mark.requirement("R-7.1-07", "R-7.1-12", "R-7.1-13", "R-11.1-02", "R-MCP-01")
@pytest.mark.parametrize("fault", EACH)
async def test_each_fault_gets_its_status_and_one_dpop_challenge(resource, fault):
    refusal = await refusal_of(resource, fault)
    assert (refusal.reason, type(refusal)) == (fault.reason, fault.kind)
    nonce = await resource.authenticator.challenge_nonce()
    answer = Challenger(algorithms=("ES256",)).response_to(refusal, nonce=nonce)
    assert answer.status == (400 if refusal.code == "invalid_request" else 401)
    (challenge,) = checked_challenges(answer.headers)
    assert (challenge.scheme, challenge.parameters.get("error")) == ("DPoP", fault.kind.code)


@pytest.mark.parametrize("earlier", EACH[:-1])
async def test_the_earlier_of_two_faults_is_reported(clock, client, earlier, subtests):
    for later in FAULTS[FAULTS.index(earlier) + 1 :]:
        if combinable(earlier, later):
            with subtests.test(f"before {later.name}"):
                resource = Resource(clock, client, nonces=NoncePolicy())
                assert (await refusal_of(resource, earlier, later)).reason is earlier.reason


@pytest.mark.requirement("R-11.1-08")
@pytest.mark.parametrize("fault", BEFORE_REPLAY)
async def test_a_rejected_proof_does_not_burn_its_jti(resource, fault):
    await resource.authenticator.challenge_nonce()
    before, tokens = len(resource.store.calls), dict(resource.tokens)
    await refusal_of(resource, fault)
    await settle()
    assert len(resource.store.calls) == before
    resource.tokens.update(tokens)
    await resource.authenticator.authenticate(await Draft().of(resource))
    assert (await refusal_of(resource)).reason is Reason.PROOF_REPLAYED


@pytest.mark.parametrize("fault", BEFORE_THE_TOKEN)
async def test_of_who_did_not_sign_nothing_is_remembered_and_nobody_is_asked(resource, fault):
    known = resource.authenticator._reader._headers
    await refusal_of(resource, fault)
    assert (known, resource.verified) == ({}, 0)
    await resource.authenticator.authenticate(await Draft().of(resource))
    assert (len(known), resource.verified) == (1, 1)


def test_every_reason_is_covered_by_a_test():
    tests = "".join(file.read_text("utf-8") for file in (ROOT / "tests").rglob("test_*.py"))
    # The last one is covered by the name of its class, in core/test_authorization.py.
    covered = {fault.reason for fault in FAULTS} | {Reason.AUTHENTICATION_INSUFFICIENT}
    assert {reason.name for reason in set(Reason) - covered} <= set(re.findall(r"\bReason\.([A-Z_]+)", tests))
