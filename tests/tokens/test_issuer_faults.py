"""Every way in which the network to a real issuer can fail, at the first request and when its keys are known."""

import asyncio

import pytest

from dpop_asgi import IssuerUnavailable
from tests.support.busy import Stopwatch
from tests.support.distant_issuer import PROMISED, TIMEOUT
from tests.support.fault_proxy import Cut

# Longer than the metadata with its header fields, shorter than both answers.
METADATA_BYTES = 250
FAULTS = [
    pytest.param(lambda proxy: _set(proxy, silent=True), id="black-hole"),
    pytest.param(lambda proxy: _set(proxy.requests, silent=True), id="requests-swallowed"),
    pytest.param(lambda proxy: _set(proxy.replies, silent=True), id="replies-swallowed"),
    pytest.param(lambda proxy: _set(proxy, door="closed"), id="refused"),
    pytest.param(lambda proxy: _set(proxy, door="backlog"), id="not-taken"),
    pytest.param(lambda proxy: _set(proxy, door="reset"), id="reset"),
    pytest.param(lambda proxy: _set(proxy.requests, cut=Cut(10)), id="reset-in-the-request"),
    pytest.param(lambda proxy: _set(proxy.replies, cut=Cut(20)), id="reset-in-the-metadata"),
    pytest.param(lambda proxy: _set(proxy.replies, cut=Cut(METADATA_BYTES)), id="reset-in-the-keys"),
    pytest.param(lambda proxy: _set(proxy.replies, cut=Cut(METADATA_BYTES, "close")), id="closed-in-the-keys"),
    pytest.param(lambda proxy: _set(proxy.replies, cut=Cut(METADATA_BYTES, "hang")), id="hangs-in-the-keys"),
    pytest.param(lambda proxy: _set(proxy, lose_reply_to=b"/jwks"), id="reply-lost-and-reset"),
    pytest.param(
        lambda proxy: _set(proxy, lose_reply_to=b"/jwks", lost_reply_ending="hang"), id="reply-lost-and-hangs"
    ),
    pytest.param(lambda proxy: _set(proxy.replies, pace=0.02), id="slow-trickle"),
    pytest.param(lambda proxy: _set(proxy.replies, delay=TIMEOUT * 4), id="latency"),
]
# What is behind the fetch sees only that it failed: at once, or in the end.
SOME_FAULTS = [fault for fault in FAULTS if fault.id in {"black-hole", "refused", "reset-in-the-keys"}]


def _set(target, **values):
    for name, value in values.items():
        setattr(target, name, value)


@pytest.mark.parametrize("fault", FAULTS)
async def test_50_first_requests_fail_together_in_time_then_nobody_is_asked_for_a_second(distant, fault):
    distant.suffer(fault)
    with Stopwatch() as stopwatch:
        answers = await asyncio.gather(*(distant.verify(distant.token()) for _ in range(50)), return_exceptions=True)
        assert {type(answer) for answer in answers} == {IssuerUnavailable}
        assert len({id(answer) for answer in answers}) == 50
    assert stopwatch.within(PROMISED)
    taken = distant.proxy.connections
    assert taken <= 1
    for seconds in (*[0.0] * 20, 0.99):
        distant.clock.advance(seconds)
        await distant.is_unavailable(distant.token())
        assert not distant.is_fetching
    assert distant.proxy.connections == taken
    await distant.proxy.emptied()
    distant.heal()
    distant.clock.advance(0.01)
    assert await distant.verify(distant.token())


@pytest.mark.parametrize("fault", SOME_FAULTS)
async def test_known_keys_go_on_being_used_and_nobody_waits(warm_distant, fault):
    warm_distant.suffer(fault)
    warm_distant.clock.advance(300.0)
    remembered = warm_distant.token()
    assert await warm_distant.verify(remembered)
    # The refresh has begun and has not got anywhere: this request was answered before.
    assert warm_distant.is_fetching
    for token in (warm_distant.token(), remembered):
        assert await warm_distant.verify(token)
    await warm_distant.settled()
    assert await warm_distant.verify(warm_distant.token())
    assert not warm_distant.is_fetching


@pytest.mark.parametrize("fault", SOME_FAULTS)
async def test_a_new_key_is_unavailable_in_time_and_found_a_second_after_the_fault(warm_distant, fault):
    """Not rejected; and known keys go on being used."""
    warm_distant.suffer(fault)
    known = warm_distant.token()
    warm_distant.issuer.rotate()
    with Stopwatch() as stopwatch:
        await warm_distant.is_unavailable(warm_distant.token())
    assert stopwatch.within(PROMISED)
    assert await warm_distant.verify(known)
    warm_distant.heal()
    warm_distant.clock.advance(1.0)
    assert await warm_distant.verify(warm_distant.token())


# How often one that fails is asked, and for how long


async def test_the_time_out_is_for_the_whole_look_up(distant):
    distant.suffer(lambda proxy: setattr(proxy.replies, "delay", 0.6 * TIMEOUT))
    await distant.is_unavailable(distant.token())
    assert distant.proxy.connections == 1


async def test_a_request_that_comes_while_the_issuer_hangs_waits_for_the_rest_of_the_time_only(distant):
    distant.suffer(lambda proxy: setattr(proxy, "silent", True))
    first = asyncio.create_task(distant.is_unavailable(distant.token()))
    await asyncio.sleep(TIMEOUT / 2)
    await distant.is_unavailable(distant.token())
    assert not distant.is_fetching
    await first
    assert distant.proxy.connections == 1


async def test_with_keys_a_failing_issuer_is_asked_every_ten_seconds(warm_distant):
    warm_distant.clock.advance(300.0)
    warm_distant.proxy.door = "reset"
    before = warm_distant.proxy.connections
    for _ in range(100):
        assert await warm_distant.verify(warm_distant.token())
        await warm_distant.settled()
        warm_distant.clock.advance(1.0)
    assert warm_distant.proxy.connections - before == 10


async def test_invented_kids_make_a_failing_issuer_be_asked_once_a_second(warm_distant):
    warm_distant.proxy.door = "reset"
    before = warm_distant.proxy.connections
    for _ in range(50):
        await warm_distant.is_unavailable(warm_distant.new_key())
        warm_distant.clock.advance(0.2)
    assert warm_distant.proxy.connections - before == 10


async def test_a_healthy_look_up_takes_one_connection(distant):
    await distant.verify(distant.token())
    assert (distant.proxy.connections, distant.issuer.fetches) == (1, 1)
