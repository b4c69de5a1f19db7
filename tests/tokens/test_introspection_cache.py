"""What is remembered of what an introspection endpoint says, and many questions at a time."""

import asyncio

import pytest

from dpop_asgi import InvalidToken, IssuerUnavailable, Reason
from dpop_asgi.core.encoding import sha256_b64url
from dpop_asgi.single_flight import SingleFlight
from tests.tokens.shared import changed

TOKEN = "an-opaque.token"


@pytest.mark.requirement("R-FAPI-02")
async def test_a_revoked_token_is_rejected_once_the_answer_is_too_old(verify_opaque, endpoint, said, clock, reason_of):
    endpoint.says[TOKEN] = said
    await verify_opaque(TOKEN)
    endpoint.says.clear()
    clock.advance(29.9)
    await verify_opaque(TOKEN)
    clock.advance(0.1)
    assert await reason_of(verify_opaque, TOKEN) is Reason.TOKEN_INACTIVE


@pytest.mark.requirement("R-7662-02")
async def test_an_answer_is_never_remembered_beyond_exp(verify_opaque, endpoint, said, clock, reason_of):
    endpoint.says[TOKEN] = changed(said, {"exp": int(clock()) + 10})
    await verify_opaque(TOKEN)
    clock.advance(10.0)
    assert verify_opaque.cached_token(sha256_b64url(TOKEN)) is None
    clock.advance(5.0)
    assert await reason_of(verify_opaque, TOKEN) is Reason.TOKEN_EXPIRED


@pytest.mark.parametrize("claims", [{"active": False}, {"aud": "other"}], ids=["inactive", "another-audience"])
async def test_a_rejection_is_remembered_for_a_second(verify_opaque, endpoint, said, clock, reason_of, claims):
    endpoint.says[TOKEN] = {**said, **claims}
    reasons = [await reason_of(verify_opaque, TOKEN) for _ in range(5)]
    assert (len(set(reasons)), len(endpoint.asked)) == (1, 1)
    clock.advance(1.0)
    endpoint.says[TOKEN] = said
    assert await verify_opaque(TOKEN)


async def test_when_the_clock_is_set_back_nothing_that_is_remembered_counts(verify_opaque, endpoint, said, clock):
    endpoint.says[TOKEN] = said
    await verify_opaque(TOKEN)
    clock.advance(-1.0)
    await verify_opaque(TOKEN)
    assert len(endpoint.asked) == 2


async def test_when_the_clock_is_set_back_a_token_that_was_revoked_stays_so(verify_opaque, endpoint, said, clock):
    endpoint.says[TOKEN] = said
    await verify_opaque(TOKEN)
    clock.advance(31.0)
    endpoint.says[TOKEN] = {"active": False}
    for _ in range(2):
        with pytest.raises(InvalidToken):
            await verify_opaque(TOKEN)
        assert verify_opaque.cached_token(sha256_b64url(TOKEN)) is None
        clock.advance(-20.0)


async def test_with_zero_seconds_nothing_is_remembered(make_opaque, endpoint, said, reason_of):
    verify = make_opaque(cache_seconds=0)
    endpoint.says[TOKEN] = said
    for _ in range(2):
        await verify(TOKEN)
        await reason_of(verify, "invented")
    assert len(endpoint.asked) == 4


async def test_invented_tokens_push_no_good_one_out(make_opaque, endpoint, said, monkeypatch, reason_of):
    verify = make_opaque(cached_tokens=2)
    verify._rejected.size = 10
    endpoint.says[TOKEN] = said
    await verify(TOKEN)
    for number in range(20):
        await reason_of(verify, str(number))
    assert (len(verify._cache), len(verify._rejected)) == (1, 10)
    await verify(TOKEN)
    assert endpoint.tokens.count(TOKEN) == 1


async def test_a_hundred_requests_with_one_token_make_one_call(verify_opaque, endpoint, said):
    endpoint.says[TOKEN] = said
    assert len({id(token) for token in await asyncio.gather(*(verify_opaque(TOKEN) for _ in range(100)))}) == 1
    assert endpoint.tokens == [TOKEN]


async def test_a_request_that_is_cancelled_cancels_no_other(verify_opaque, endpoint, said):
    endpoint.says[TOKEN] = said
    endpoint.gate.clear()
    first, second = (asyncio.ensure_future(verify_opaque(TOKEN)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    endpoint.gate.set()
    assert (await second).subject == "alice"


@pytest.mark.parametrize("options", [{}, {"cache_seconds": 0}, {"cached_tokens": 0}], ids=repr)
async def test_a_thousand_invented_tokens_at_a_time_are_bounded_and_hold_nobody_up(
    make_opaque, endpoint, said, clock, caplog, options
):
    """Calls are kept for tokens that were good before; whoever is turned away is told to come back."""
    verify_opaque = make_opaque(**options)
    endpoint.says[TOKEN] = said
    await verify_opaque(TOKEN)
    clock.advance(30.0)
    endpoint.asked.clear()
    endpoint.gate.clear()
    invented = [asyncio.ensure_future(verify_opaque(f"invented-{number}")) for number in range(1000)]
    known = asyncio.ensure_future(verify_opaque(TOKEN))
    await asyncio.sleep(0.05)
    endpoint.gate.set()
    outcomes = await asyncio.gather(*invented, return_exceptions=True)
    assert (await known).subject == "alice"
    assert {type(outcome) for outcome in outcomes} == {InvalidToken, IssuerUnavailable}
    assert endpoint.most <= 49
    assert len(endpoint.asked) == 49
    assert (len(verify_opaque._calls), len(verify_opaque._rejected)) == (0, 0 if "cache_seconds" in options else 48)
    assert len(caplog.records) == 1


async def test_calls_of_an_event_loop_that_is_gone_do_not_count(verify_opaque, reason_of):
    verify_opaque._calls = {str(number): SingleFlight(verify_opaque._ask) for number in range(48)}
    assert await reason_of(verify_opaque, TOKEN) is Reason.TOKEN_INACTIVE
    assert verify_opaque._calls == {}


async def test_a_verifier_that_is_closed_can_be_used_again(verify_opaque, endpoint, reason_of):
    endpoint.gate.clear()
    waiting = asyncio.ensure_future(verify_opaque(TOKEN))
    await asyncio.sleep(0.01)
    await verify_opaque.aclose()
    with pytest.raises(IssuerUnavailable, match="closed"):
        await waiting
    endpoint.gate.set()
    assert await reason_of(verify_opaque, TOKEN) is Reason.TOKEN_INACTIVE
