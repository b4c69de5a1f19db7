"""A store that answers when the proof is dead: by then it may have forgotten the first use."""

import pytest

from dpop_asgi import NoncePolicy, Reason
from tests.state_machine.flaky_store import Fault, FlakyStore
from tests.support.decisions import Resource

MINUTE = 60.0


@pytest.fixture
def store(clock):
    return FlakyStore(clock)


@pytest.mark.parametrize(
    ("nonces", "reason"),
    [
        pytest.param(None, Reason.ISSUED_TOO_EARLY, id="dead by its iat"),
        pytest.param(NoncePolicy(period=MINUTE, grace=0), Reason.NONCE_EXPIRED, id="dead by its nonce"),
    ],
)
async def test_a_used_proof_is_rejected_by_a_store_that_has_forgotten_it_before_it_answers(
    clock, client, store, nonces, reason
):
    resource = Resource(clock, client, store=store, nonces=nonces)
    headers = resource.headers(nonce=await resource.authenticator.challenge_nonce())
    await resource.accept(headers)
    store.fault = Fault("slow-request", frozenset({"proof"}), 10 * MINUTE)
    assert await resource.reason(headers) is reason


async def test_a_new_proof_is_accepted_by_a_store_that_answers_while_it_is_good(clock, client, store):
    resource = Resource(clock, client, store=store)
    store.fault = Fault("slow-request", frozenset({"proof"}), 4.9 * MINUTE)
    await resource.accept()
