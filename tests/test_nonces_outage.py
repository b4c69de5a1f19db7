"""The window while the store is away, forgets, or holds something else, and under many requests and event loops."""

import asyncio
import contextlib

import pytest

from dpop_asgi import NoncePolicy, StoreError
from dpop_asgi.nonces import NonceWindow
from tests.support.decisions import CountingStore, accepted_nonce, settle

PERIOD = 60.0
WHOLE_WINDOW = 7  # one slot of grace, the present one, five ahead
pytestmark = pytest.mark.usefixtures("start_of_a_slot")


class PatchyStore(CountingStore):
    """Fails for some keys, as a cluster does that lost one of its nodes."""

    def __init__(self, clock, *failing):
        super().__init__(clock)
        self.failing = set(failing)

    async def put_if_absent(self, key, value, *, ttl):
        if int(key.rpartition(":")[2]) in self.failing:
            raise StoreError("this node is down")
        return await super().put_if_absent(key, value, ttl=ttl)


class GatedStore(CountingStore):
    """Answers only while its gate is open."""

    def __init__(self, clock):
        super().__init__(clock)
        self.gate = asyncio.Event()

    async def put_if_absent(self, key, value, *, ttl):
        await self.gate.wait()
        return await super().put_if_absent(key, value, ttl=ttl)


def window_over(store, clock, **policy):
    return NonceWindow(store, NoncePolicy(**policy), namespace="dpop", clock=clock)


async def offered(window, clock):
    await window.ensure(clock())
    await settle()
    return window.to_issue(clock())


@pytest.fixture
def worker(store, clock):
    return window_over(store, clock)


@pytest.mark.requirement("R-9-07", "R-9-08")
@pytest.mark.parametrize("lookahead", [1, 2, 5, 20])
@pytest.mark.parametrize("into_the_slot", [0.0, 0.99])
async def test_during_an_outage_all_workers_rotate_to_the_same_nonces_for_the_promised_time(
    clock, store, caplog, lookahead, into_the_slot
):
    start, fleet = clock.now, [window_over(store, clock, lookahead=lookahead) for _ in range(2)]
    clock.advance(into_the_slot * PERIOD)
    for worker in fleet:
        await worker.ensure(clock())
    store.down = True
    seen = []
    for slot in range(lookahead):
        for part in (0.0, 0.999):
            clock.now = max(clock.now, start + (slot + part) * PERIOD)
            [nonce] = {await offered(worker, clock) for worker in fleet}
            seen.append(nonce)
    assert len(set(seen)) == lookahead + (0 if into_the_slot else 1)
    assert None not in seen
    clock.now = start + lookahead * PERIOD
    for worker in fleet:
        for _ in range(3):
            with pytest.raises(StoreError):
                await worker.ensure(clock())
    store.down = False
    clock.advance(1)
    assert await offered(fleet[0], clock) is not None
    about_one = [record.message.split(":")[1].split(",")[0].strip() for record in caplog.records]
    without = ["the store fails and there are none in memory"] * 2
    # With one slot in memory the first failure is already without a nonce.
    before = [] if lookahead == 1 else ["the store fails"] * 2
    assert about_one == [*before, *without, "the store has recovered"]


async def test_after_the_outage_the_window_fills_up_again(clock, store, worker):
    await worker.ensure(clock())
    store.down = True
    clock.advance(3 * PERIOD)
    before = await offered(worker, clock)
    store.down = False
    clock.advance(1)
    assert await offered(worker, clock) == before
    store.down = True
    clock.advance(4 * PERIOD)
    assert await offered(worker, clock) is not None


@pytest.mark.parametrize(("tag", "whose"), [("", "all requests"), ("Bh", "requests with nonces of this master")])
async def test_the_log_says_whose_requests_fail(clock, caplog, tag, whose):
    """In a cluster, there is a window for each master."""
    store = CountingStore(clock, down=True)
    window = NonceWindow(store, NoncePolicy(), namespace="dpop", clock=clock, tag=tag)
    with pytest.raises(StoreError):
        await window.ensure(clock())
    assert f" and there are none in memory, so {whose} get 503: " in caplog.text


async def test_the_log_says_what_callers_get(breaker_clock, clock, caplog):
    """N14: as long as there are nonces in memory, and when there are none; and again each minute."""
    store = CountingStore(clock, down=True)
    worker = window_over(store, clock)
    for seconds in (0, 1, 60):
        clock.advance(seconds)
        with pytest.raises(StoreError):
            await worker.ensure(clock())
    store.down = False
    clock.advance(1)
    await worker.ensure(clock())
    store.down = True
    for _ in range(9):
        clock.advance(PERIOD)
        with contextlib.suppress(StoreError):
            await worker.ensure(clock())
        await settle()
    said = [(record.levelname, record.message.split(": ", 1)[1].partition(",")[0]) for record in caplog.records]
    none = "the store fails and there are none in memory"
    assert said[:3] == [("ERROR", none), ("ERROR", f"nonces: {none}"), ("WARNING", "the store has recovered")]
    assert said[3] == ("WARNING", "the store fails")
    assert ("ERROR", none) in said[4:]


async def test_during_an_outage_the_store_is_not_asked_with_every_request(clock, store, worker):
    await worker.ensure(clock())
    store.down = True
    clock.advance(PERIOD)
    for _ in range(50):
        await offered(worker, clock)
    assert len(store.calls) == 2 * WHOLE_WINDOW
    clock.advance(0.25)
    await offered(worker, clock)
    assert len(store.calls) == 3 * WHOLE_WINDOW


@pytest.mark.parametrize("slot", range(-1, 6), ids=lambda slot: f"slot-{slot}")
async def test_a_slot_that_could_not_be_agreed_is_asked_for_again(clock, slot):
    present = int(clock.now // PERIOD)
    store = PatchyStore(clock, present + slot)
    worker = window_over(store, clock)
    with contextlib.suppress(StoreError):
        await worker.ensure(clock())
    store.failing.clear()
    clock.advance(1)
    await offered(worker, clock)
    for number in range(5):
        clock.now = (present + number) * PERIOD
        store.failing = set(range(present, present + 100))
        assert await offered(worker, clock) is not None


@pytest.mark.parametrize("differ", [False, True], ids=["at-the-next-slot", "at-once"])
async def test_a_store_that_forgot_everything_is_told_the_nonces_again(clock, store, worker, differ):
    before, newcomer = await offered(worker, clock), window_over(store, clock)
    store.forget()
    if differ:
        assert await offered(newcomer, clock) != before
    clock.advance(PERIOD)
    assert await offered(worker, clock) == await offered(newcomer, clock)
    for each in (worker, *(() if differ else (newcomer,))):
        assert (await accepted_nonce(each, before, clock())).value == before


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param("", id="empty"),
        pytest.param("a b", id="space"),
        pytest.param('"', id="quote"),
        pytest.param("x" * 65, id="too-long"),
        pytest.param("é", id="not-ascii"),
        pytest.param("a\r\nSet-Cookie: b", id="line-feed"),
    ],
)
async def test_something_else_under_a_key_is_never_handed_out(clock, store, worker, garbage):
    await store.put_if_absent(f"dpop:nonce:v1:60:{int(clock.now // PERIOD)}", garbage, ttl=1000)
    with pytest.raises(StoreError, match="namespace"):
        await worker.ensure(clock())
    assert worker.to_issue(clock()) is None


# Many at once, cancellation, several event loops


@pytest.mark.parametrize("gone", [0, 1, 50], ids=["nobody-went", "one-went", "all-went"])
async def test_fifty_requests_at_once_ask_the_store_once_whoever_of_them_goes_away(clock, gone):
    store = GatedStore(clock)
    worker = window_over(store, clock)
    requests = [asyncio.ensure_future(worker.ensure(clock())) for _ in range(50)]
    await settle()
    assert not any(request.done() for request in requests)
    for request in requests[:gone]:
        request.cancel()
    await settle()
    store.gate.set()
    await settle()
    assert [request.cancelled() for request in requests] == [True] * gone + [False] * (50 - gone)
    assert worker.to_issue(clock()) is not None
    assert len(store.calls) == WHOLE_WINDOW


async def test_a_warm_process_never_waits_for_the_store(clock):
    store = GatedStore(clock)
    worker = window_over(store, clock)
    store.gate.set()
    await worker.ensure(clock())
    store.gate.clear()
    for _ in range(4):
        clock.advance(PERIOD)
        async with asyncio.timeout(60):
            await worker.ensure(clock())
        assert worker.to_issue(clock()) is not None
    store.gate.set()
    await settle()


def test_a_loop_that_ends_within_a_refresh_leaves_a_usable_window(clock, worker):
    asyncio.run(worker.ensure(clock()))
    for _ in range(5):
        clock.advance(PERIOD)
        asyncio.run(worker.ensure(clock()))  # its refresh is cancelled with the loop
        assert worker.to_issue(clock()) is not None
        clock.advance(PERIOD)
        assert asyncio.run(offered(worker, clock)) is not None


async def test_a_request_of_the_next_slot_does_not_settle_for_the_window_of_the_last(clock):
    store = GatedStore(clock)
    worker = window_over(store, clock, grace=0, lookahead=1)
    early, late = clock.now, clock.now + PERIOD
    requests = [asyncio.ensure_future(worker.ensure(now)) for now in (early, late)]
    await settle()
    store.gate.set()
    await asyncio.gather(*requests)
    assert worker.to_issue(late) is not None
    assert worker.to_issue(late + 0.9 * PERIOD) is not None


def test_a_refresh_that_waits_in_another_loop_is_not_waited_for(clock, worker):
    asyncio.run(worker.ensure(clock()))
    clock.advance(PERIOD)
    with asyncio.Runner() as paused:
        paused.run(worker.ensure(clock()))
        clock.advance(100 * PERIOD)
        with asyncio.Runner() as running:
            assert running.run(offered(worker, clock)) is not None
