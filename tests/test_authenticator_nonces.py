"""Nonces as the decision demands them."""

import pytest

from dpop_asgi import NoncePolicy, Reason, UseNonce
from dpop_asgi.core.challenge import Challenger
from dpop_asgi.core.encoding import b64url_decode
from tests.support.challenges import NQCHAR, checked_challenges
from tests.support.decisions import Resource

PERIOD = 60.0
pytestmark = pytest.mark.usefixtures("start_of_a_slot")


@pytest.fixture
def resource(clock, client):
    return Resource(clock, client, nonces=NoncePolicy())


async def nonce_of(resource):
    return await resource.authenticator.challenge_nonce()


@pytest.mark.requirement("R-9-02", "R-8-03", "R-9-05", "R-9-04", "R-11.3-01", "R-11.3-02")
async def test_a_client_without_nonce_is_given_one_that_it_can_use(resource):
    refusal = await resource.refusal()
    answer = Challenger(algorithms=("ES256",)).response_to(refusal, nonce=await nonce_of(resource))
    assert (type(refusal), refusal.reason, answer.status) == (UseNonce, Reason.NONCE_MISSING, 401)
    (challenge,) = checked_challenges(answer.headers)
    assert challenge.parameters["error"] == "use_dpop_nonce"
    (nonce,) = [value.decode() for name, value in answer.headers if name == b"dpop-nonce"]
    assert NQCHAR.fullmatch(nonce)
    assert len(nonce) <= 128
    caller = await resource.accept(resource.headers(nonce=nonce))
    assert (caller.nonce, caller.nonce_age) == (nonce, 0.0)
    assert await resource.reason() is Reason.NONCE_MISSING, "never optional, whatever was sent before"


@pytest.mark.requirement("R-8-01", "R-9-04", "R-9-03")
@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        pytest.param(lambda good: ("A" if good[0] != "A" else "B") + good[1:], Reason.NONCE_UNKNOWN, id="a-letter"),
        pytest.param(lambda good: good.swapcase(), Reason.NONCE_UNKNOWN, id="other-case"),
        pytest.param(lambda good: good + "=", Reason.NONCE_UNKNOWN, id="padded"),
        pytest.param(lambda _: "a" * 64, Reason.NONCE_UNKNOWN, id="longest"),
        pytest.param(lambda _: "a" * 65, Reason.NONCE_MALFORMED, id="too-long"),
        pytest.param(lambda _: "", Reason.NONCE_MALFORMED, id="empty"),
        pytest.param(lambda good: " " + good, Reason.NONCE_MALFORMED, id="leading-space"),
        pytest.param(lambda _: "\ud800", Reason.NONCE_MALFORMED, id="lone-surrogate"),
        pytest.param(lambda _: "ñonce", Reason.NONCE_MALFORMED, id="not-ascii"),
        pytest.param(lambda _: 'a"b', Reason.NONCE_MALFORMED, id="quote"),
        pytest.param(lambda _: "a\\b", Reason.NONCE_MALFORMED, id="backslash"),
        pytest.param(lambda good: good + "\n", Reason.NONCE_MALFORMED, id="line-feed"),
    ],
)
async def test_any_other_nonce_gets_a_challenge_with_a_good_one(resource, spoil, reason):
    good = await nonce_of(resource)
    refusal = await resource.refusal(resource.headers(nonce=spoil(good)))
    assert (type(refusal), refusal.reason) == (UseNonce, reason)
    offered = await nonce_of(resource)
    assert offered != spoil(good)
    await resource.accept(resource.headers(nonce=offered))


@pytest.mark.requirement("R-8-01", "R-4.3-04")
async def test_a_nonce_that_is_null_is_a_broken_proof(resource):
    """As are other values that are no strings, in the tables of hostile proofs."""
    assert await resource.reason(resource.headers(claims={"nonce": None})) is Reason.CLAIM_MALFORMED


@pytest.mark.requirement("R-8-05", "R-8-06")
async def test_a_client_that_reads_answers_is_challenged_once_in_its_life(resource, clock):
    nonce = await nonce_of(resource)
    handed_out = 0
    for _ in range(200):
        clock.advance(7)
        caller = await resource.accept(resource.headers(nonce=nonce))
        newer = resource.authenticator.replacement_nonce(caller)
        assert newer != nonce
        assert newer is None or caller.nonce_age > 0, "one of the next slot is the newest"
        handed_out += newer is not None
        nonce = newer or nonce
    assert handed_out == pytest.approx(200 * 7 / PERIOD, abs=1)


@pytest.mark.requirement("R-8-05")
async def test_a_client_that_sleeps_past_the_window_is_challenged(resource, clock):
    nonce = await nonce_of(resource)
    clock.advance(2 * PERIOD - 0.001)
    await resource.accept(resource.headers(nonce=nonce))
    clock.advance(0.001)
    assert await resource.reason(resource.headers(nonce=nonce)) is Reason.NONCE_EXPIRED


@pytest.mark.requirement("R-9-01", "R-9-06")
async def test_while_nonces_are_off_none_is_offered_and_a_claim_is_ignored(clock, client):
    resource = Resource(clock, client)
    caller = await resource.accept(resource.headers(nonce="whatever"))
    assert await nonce_of(resource) is None
    assert resource.authenticator.replacement_nonce(caller) is None
    assert caller.nonce is None


@pytest.mark.requirement("R-8-02")
async def test_nonces_cannot_be_guessed(clock, client):
    seen = set()
    for _ in range(30):
        resource = Resource(clock, client, nonces=NoncePolicy(lookahead=40))
        await nonce_of(resource)
        seen.update(call.value for call in resource.store.calls if ":nonce:" in call.key)
    # 30 stores at one and the same time: nothing of a nonce follows from the clock.
    assert len(seen) == 30 * 42
    assert all(len(b64url_decode(nonce.encode())) * 8 >= 128 for nonce in seen)
