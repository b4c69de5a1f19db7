"""A request that another authenticator has accepted before: everything is asked again but nonce and first use."""

import pytest

from dpop_asgi import AccessToken, NoncePolicy, Reason
from tests.support.decisions import CountingStore, Resource
from tests.support.proofs import TOKEN


@pytest.fixture
def outer(clock, client):
    return Resource(clock, client, nonces=NoncePolicy())


@pytest.fixture
def inner(clock, client, outer):
    return Resource(clock, client, nonces=NoncePolicy(), namespace="inner", store=outer.store)


@pytest.fixture
async def headers(outer):
    return outer.headers(nonce=await outer.authenticator.challenge_nonce())


async def test_an_inner_authenticator_uses_up_no_jti_and_asks_for_no_nonce(outer, inner, headers):
    caller = await outer.accept(headers)
    before = len(outer.store.calls)
    assert (await inner.accept(headers, outer_caller=caller)).subject == "alice"
    assert len(outer.store.calls) == before


async def test_an_inner_authenticator_judges_the_token_by_its_own_rules(outer, inner, headers):
    caller = await outer.accept(headers)
    inner.tokens.clear()
    assert await inner.reason(headers, outer_caller=caller) is Reason.TOKEN_REJECTED
    inner.tokens[TOKEN] = AccessToken()
    assert await inner.reason(headers, outer_caller=caller) is Reason.BINDING_MISSING


async def test_an_inner_authenticator_compares_the_proof_again(outer, inner, headers):
    caller = await outer.accept(headers)
    elsewhere = "https://api.example.com/elsewhere"
    assert await inner.reason(headers, outer_caller=caller, target_uri=elsewhere) is Reason.TARGET_MISMATCH
    spoiled = {**headers, "DPoP": headers["DPoP"][:-6] + "AAAAAA"}
    assert await inner.reason(spoiled, outer_caller=caller) is Reason.SIGNATURE_INVALID


async def test_without_an_accepted_request_before_the_nonce_is_one_of_its_own(outer, inner, headers):
    await outer.accept(headers)
    assert await inner.reason(headers) is Reason.NONCE_UNKNOWN


async def test_an_inner_authenticator_asks_for_the_nonce_that_the_outer_did_not(clock, client, inner):
    outer = Resource(clock, client, store=inner.store)
    headers = outer.headers()
    caller = await outer.accept(headers)
    assert await inner.reason(headers, outer_caller=caller) is Reason.NONCE_MISSING


async def test_a_proof_that_was_accepted_outside_without_being_recorded_is_recorded_inside(clock, client, inner):
    """Z07."""
    store = CountingStore(clock)
    outer = Resource(clock, client, store=store, nonces=NoncePolicy(), on_store_failure="accept")
    headers = outer.headers(nonce=await outer.authenticator.challenge_nonce())
    store.down = True
    caller = await outer.accept(headers)
    assert caller.replay_checked is False
    assert (await inner.accept(headers, outer_caller=caller)).replay_checked is True
    assert await inner.reason(headers, outer_caller=caller) is Reason.PROOF_REPLAYED


async def test_a_proof_beside_a_bearer_token_that_passed_outside_was_never_used(clock, client):
    outer = Resource(clock, client, mode="mixed")
    outer.tokens[TOKEN] = AccessToken(subject="alice")
    caller = await outer.accept({"Authorization": f"Bearer {TOKEN}"})
    inner = Resource(clock, client, store=outer.store)
    headers = inner.headers()
    await inner.accept(headers, outer_caller=caller)
    assert await inner.reason(headers, outer_caller=caller) is Reason.PROOF_REPLAYED
