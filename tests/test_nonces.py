"""The rotating window: which nonces it accepts, which it hands out, and when they change."""

import asyncio

import pytest

from dpop_asgi import NoncePolicy, UseNonce
from dpop_asgi.nonces import NonceWindow
from tests.support.decisions import accepted_nonce

PERIOD = 60.0
pytestmark = pytest.mark.usefixtures("start_of_a_slot")


def window_over(store, clock):
    return NonceWindow(store, NoncePolicy(), namespace="dpop", clock=clock)


async def offered(window, clock):
    await window.ensure(clock())
    return window.to_issue(clock())


async def accepts(window, nonce, clock):
    try:
        await accepted_nonce(window, nonce, clock())
    except UseNonce:
        return False
    return True


async def nonces_by_slot(store, clock, slots):
    """What a worker hands out in the middle of each of so many slots, from that of the clock on."""
    worker, start, found = window_over(store, clock), clock.now, {}
    for number in range(slots):
        clock.now = start + (number + 0.5) * PERIOD
        found[number] = await offered(worker, clock)
    return found


@pytest.mark.parametrize(
    ("into_the_slot", "slot"),
    [(0.0, 0), (30.0, 0), (47.999, 0), (48.0, 1), (59.999, 1)],
    ids=["start", "middle", "before-the-last-fifth", "last-fifth", "end"],
)
async def test_in_the_last_fifth_of_a_slot_the_next_nonce_is_handed_out(clock, store, into_the_slot, slot):
    start, nonces = clock.now, await nonces_by_slot(store, clock, 2)
    clock.now = start + into_the_slot
    assert await offered(window_over(store, clock), clock) == nonces[slot]


async def test_the_end_of_a_nonce_is_reported_exactly(clock, store):
    worker, start = window_over(store, clock), clock.now
    nonce = await offered(worker, clock)
    clock.advance(10)
    good = await accepted_nonce(worker, nonce, clock())
    assert (good.value, good.until, good.age) == (nonce, start + 2 * PERIOD, 10.0)
    clock.now = good.until - 0.001
    assert await accepts(worker, nonce, clock)
    clock.now = good.until
    assert not await accepts(worker, nonce, clock)


@pytest.mark.requirement("R-8-06")
async def test_newer_is_only_what_belongs_to_a_later_slot(clock, store):
    start, nonces = clock.now, await nonces_by_slot(store, clock, 3)
    clock.now = start + 1.5 * PERIOD
    worker = window_over(store, clock)
    await worker.ensure(clock())
    newer = {slot: worker.replacement_for(nonce, clock()) for slot, nonce in nonces.items()}
    assert newer == {0: nonces[1], 1: None, 2: None}
    assert worker.replacement_for("forgotten long ago", clock()) == nonces[1]


@pytest.mark.requirement("R-9-07")
@pytest.mark.parametrize("ahead", [0.0, 0.5 * PERIOD, 0.79 * PERIOD, -0.79 * PERIOD])
async def test_workers_whose_clocks_differ_accept_each_others_nonces(clock, store, ahead):
    one, two = window_over(store, clock), window_over(store, lambda: clock() + ahead)
    for _ in range(60):
        ours, theirs = await offered(one, clock), await offered(two, lambda: clock() + ahead)
        assert await accepts(one, theirs, clock)
        assert await accepts(two, ours, lambda: clock() + ahead)
        assert ours == theirs or ahead
        clock.advance(11)


async def test_of_workers_that_start_at_once_all_use_what_the_first_wrote(clock, store):
    workers = [window_over(store, clock) for _ in range(20)]
    await asyncio.gather(*(worker.ensure(clock()) for worker in workers))
    assert len({worker.to_issue(clock()) for worker in workers}) == 1


async def test_nonces_are_agreed_early_and_kept_longer_than_any_worker_accepts_them(clock, store):
    await window_over(store, clock).ensure(clock())
    slot, ends = int(clock.now // PERIOD), {int(call.key.rpartition(":")[2]): call.ttl for call in store.calls}
    assert ends.keys() == set(range(slot - 1, slot + 6))
    assert all(clock.now + ttl >= (number + 3) * PERIOD for number, ttl in ends.items())


async def test_a_clock_that_goes_backwards_changes_no_nonce(clock, store):
    worker = window_over(store, clock)
    before = await offered(worker, clock)
    clock.advance(5 * PERIOD)
    later = await offered(worker, clock)
    clock.advance(-5 * PERIOD)
    assert await offered(worker, clock) == before
    assert not await accepts(worker, later, clock)
    clock.advance(5 * PERIOD)
    assert await offered(worker, clock) == later


@pytest.mark.parametrize("jump", [-10, 10_000])
async def test_after_a_jump_no_slot_is_left_out(clock, store, jump):
    worker, start = window_over(store, clock), clock.now
    before = await offered(worker, clock)
    clock.advance(jump * PERIOD)
    assert await offered(worker, clock) != before
    assert not await accepts(worker, before, clock)
    for slot in range(-6, 8):
        clock.now = start + slot * PERIOD
        assert await offered(worker, clock) is not None
