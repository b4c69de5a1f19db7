"""The rotating window: which nonces it accepts, which it hands out, and when they change."""

import asyncio

import pytest

from dpop_asgi import MemoryStore, NoncePolicy, Reason, UseNonce
from dpop_asgi.nonces import NonceWindow
from tests.support.challenges import NQCHAR
from tests.support.decisions import CountingStore
from tests.support.windows import accepted_nonce

PERIOD = 60.0
POLICIES = [
    pytest.param(NoncePolicy(), id="default"),
    pytest.param(NoncePolicy(grace=0), id="no-grace"),
    pytest.param(NoncePolicy(grace=3), id="long-grace"),
    pytest.param(NoncePolicy(lookahead=1), id="short-lookahead"),
    pytest.param(NoncePolicy(period=0.5, grace=2, lookahead=2), id="half-seconds"),
    pytest.param(NoncePolicy(period=7.25), id="odd-period"),
]


@pytest.fixture
def clock(clock):
    """At the start of a slot of a minute."""
    clock.now = 1_700_000_040.0
    return clock


@pytest.fixture
def store(clock):
    return CountingStore(clock)


def window_over(store, clock, policy=None, **options):
    return NonceWindow(store, policy or NoncePolicy(), clock=clock, **{"namespace": "dpop", **options})


async def offered(window, clock):
    await window.ensure(clock())
    return window.to_issue(clock())


async def accepts(window, nonce, clock):
    try:
        await accepted_nonce(window, nonce, clock())
    except UseNonce:
        return False
    return True


async def nonces_by_slot(store, clock, policy, slots):
    """What a worker hands out in the middle of each of so many slots, from that of the clock on."""
    worker, start, found = window_over(store, clock, policy), clock.now, {}
    for number in range(slots):
        clock.now = start + (number + 0.5) * policy.period
        found[number] = await offered(worker, clock)
    return found


@pytest.mark.requirement("R-8-05", "R-8-01")
@pytest.mark.parametrize("policy", POLICIES)
async def test_accepted_are_grace_slots_back_the_present_and_the_next(clock, policy):
    clock.now = 40 * policy.period * 1000
    start, eternal = clock.now, MemoryStore(clock=lambda: 0.0)
    nonces = await nonces_by_slot(eternal, clock, policy, 12)
    for number in range(12):
        clock.now = start + (number + 0.5) * policy.period
        worker = window_over(eternal, clock, policy)
        accepted = {slot for slot, nonce in nonces.items() if await accepts(worker, nonce, clock)}
        assert accepted == set(range(number - policy.grace, number + 2)) & nonces.keys()


@pytest.mark.parametrize("policy", POLICIES)
async def test_each_slot_has_a_nonce_of_its_own(clock, store, policy):
    nonces = await nonces_by_slot(store, clock, policy, 20)
    assert len(set(nonces.values())) == 20
    assert all(NQCHAR.fullmatch(nonce) for nonce in nonces.values())


@pytest.mark.parametrize(
    ("into_the_slot", "slot"),
    [(0.0, 0), (30.0, 0), (47.999, 0), (48.0, 1), (59.999, 1)],
    ids=["start", "middle", "before-the-last-fifth", "last-fifth", "end"],
)
async def test_in_the_last_fifth_of_a_slot_the_next_nonce_is_handed_out(clock, store, into_the_slot, slot):
    start, nonces = clock.now, await nonces_by_slot(store, clock, NoncePolicy(), 2)
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
    start, nonces = clock.now, await nonces_by_slot(store, clock, NoncePolicy(), 3)
    clock.now = start + 1.5 * PERIOD
    worker = window_over(store, clock)
    await worker.ensure(clock())
    newer = {slot: worker.replacement_for(nonce, clock()) for slot, nonce in nonces.items()}
    assert newer == {0: nonces[1], 1: None, 2: None}
    assert worker.replacement_for("forgotten long ago", clock()) == nonces[1]


@pytest.mark.requirement("R-9-07")
async def test_two_windows_over_one_store_agree_in_every_slot(clock, store):
    one, two = window_over(store, clock), window_over(store, clock)
    for _ in range(40):
        assert await offered(one, clock) == await offered(two, clock)
        clock.advance(17)


@pytest.mark.requirement("R-9-07")
@pytest.mark.parametrize("ahead", [0.5 * PERIOD, 0.79 * PERIOD, -0.79 * PERIOD])
async def test_workers_whose_clocks_differ_accept_each_others_nonces(clock, store, ahead):
    one, two = window_over(store, clock), window_over(store, lambda: clock() + ahead)
    for _ in range(60):
        theirs = await offered(two, lambda: clock() + ahead)
        assert await accepts(one, theirs, clock)
        assert await accepts(two, await offered(one, clock), lambda: clock() + ahead)
        clock.advance(11)


async def test_of_workers_that_start_at_once_all_use_what_the_first_wrote(clock, store):
    workers = [window_over(store, clock) for _ in range(20)]
    await asyncio.gather(*(worker.ensure(clock()) for worker in workers))
    assert len({worker.to_issue(clock()) for worker in workers}) == 1


async def test_the_next_nonce_is_agreed_a_whole_period_early(clock, store):
    await window_over(store, clock).ensure(clock())
    agreed = {int(call.key.rpartition(":")[2]) for call in store.calls}
    slot = int(clock.now // PERIOD)
    assert agreed == set(range(slot - 1, slot + 6))


async def test_the_store_keeps_a_nonce_longer_than_any_worker_accepts_it(clock, store):
    await window_over(store, clock).ensure(clock())
    for call in store.calls:
        last_use = (int(call.key.rpartition(":")[2]) + 2) * PERIOD
        assert clock.now + call.ttl >= last_use + PERIOD


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


async def test_after_a_jump_back_no_slot_is_left_out(clock, store):
    worker, start = window_over(store, clock), clock.now
    await worker.ensure(start)
    clock.now = start - 10 * PERIOD
    await worker.ensure(clock())
    for slot in range(-6, 8):
        clock.now = start + slot * PERIOD
        assert await offered(worker, clock) is not None


async def test_a_jump_far_ahead_starts_a_new_window(clock, store):
    worker = window_over(store, clock)
    before = await offered(worker, clock)
    clock.advance(10_000 * PERIOD)
    assert await offered(worker, clock) != before
    with pytest.raises(UseNonce) as refused:
        await accepted_nonce(worker, before, clock())
    assert refused.value.reason is Reason.NONCE_UNKNOWN


@pytest.mark.requirement("R-8-01", "R-9-03")
@pytest.mark.parametrize(
    ("nonce", "reason"),
    [
        pytest.param(None, Reason.NONCE_MISSING, id="none"),
        pytest.param("", Reason.NONCE_MALFORMED, id="empty"),
        pytest.param("a b", Reason.NONCE_MALFORMED, id="space"),
        pytest.param('a"b', Reason.NONCE_MALFORMED, id="quote"),
        pytest.param("a\\b", Reason.NONCE_MALFORMED, id="backslash"),
        pytest.param("é", Reason.NONCE_MALFORMED, id="not-ascii"),
        pytest.param("a\n", Reason.NONCE_MALFORMED, id="line-feed"),
        pytest.param("a" * 64, Reason.NONCE_UNKNOWN, id="longest"),
        pytest.param("a" * 65, Reason.NONCE_MALFORMED, id="too-long"),
        pytest.param("a" * 1_000_000, Reason.NONCE_MALFORMED, id="huge"),
        pytest.param(5, Reason.NONCE_MALFORMED, id="number"),
        pytest.param(b"bytes", Reason.NONCE_MALFORMED, id="bytes"),
        pytest.param("!#[]~", Reason.NONCE_UNKNOWN, id="well-formed"),
    ],
)
async def test_a_nonce_that_is_not_ours_is_rejected(clock, store, nonce, reason):
    worker = window_over(store, clock)
    await worker.ensure(clock())
    with pytest.raises(UseNonce) as refused:
        await accepted_nonce(worker, nonce, clock())
    assert refused.value.reason is reason


@pytest.mark.requirement("R-9-03")
@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"namespace": "token-endpoint"}, id="namespace"),
        pytest.param({"policy": NoncePolicy(period=61)}, id="period"),
    ],
)
async def test_another_namespace_or_period_has_other_nonces(clock, store, other):
    foreign = await offered(window_over(store, clock, **other), clock)
    assert not await accepts(window_over(store, clock), foreign, clock)
