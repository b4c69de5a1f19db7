"""The window while the store is away, forgets, or holds something else, and under many requests and event loops."""

import asyncio
import contextlib

import pytest

from dpop_asgi import MemoryStore, NoncePolicy, StoreError
from dpop_asgi.nonces import NonceWindow
from tests.support.decisions import CountingStore, settle
from tests.support.windows import accepted_nonce

PERIOD = 60.0
WHOLE_WINDOW = 7  # one slot of grace, the present one, five ahead


@pytest.fixture
def clock(clock):
    """At the start of a slot of a minute."""
    clock.now = 1_700_000_040.0
    return clock


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


@pytest.mark.requirement("R-9-08")
async def test_a_cold_process_with_a_dead_store_says_so_each_time(clock):
    store = CountingStore(clock, down=True)
    worker = window_over(store, clock)
    for _ in range(3):
        with pytest.raises(StoreError):
            await worker.ensure(clock())
    assert worker.to_issue(clock()) is None
    store.down = False
    assert await offered(worker, clock) is not None


@pytest.mark.requirement("R-9-08")
@pytest.mark.parametrize("lookahead", [1, 2, 5, 20])
@pytest.mark.parametrize("into_the_slot", [0.0, 0.99])
async def test_during_an_outage_nonces_rotate_for_the_promised_time(clock, lookahead, into_the_slot):
    store, start = CountingStore(clock), clock.now
    worker = window_over(store, clock, lookahead=lookahead)
    clock.advance(into_the_slot * PERIOD)
    await worker.ensure(clock())
    store.down = True
    seen = []
    for slot in range(lookahead):
        clock.now = max(clock.now, start + slot * PERIOD)
        seen.append(await offered(worker, clock))
        clock.now = start + (slot + 0.999) * PERIOD
        seen.append(await offered(worker, clock))
    assert len(set(seen)) == lookahead + (0 if into_the_slot else 1)
    assert None not in seen
    clock.now = start + lookahead * PERIOD
    with pytest.raises(StoreError):
        await worker.ensure(clock())


@pytest.mark.requirement("R-9-07", "R-9-08")
async def test_during_an_outage_all_workers_rotate_to_the_same_nonces(clock):
    store = CountingStore(clock)
    fleet = [window_over(store, clock) for _ in range(4)]
    await asyncio.gather(*(worker.ensure(clock()) for worker in fleet))
    store.down = True
    for _ in range(4):
        clock.advance(PERIOD)
        assert len({await offered(worker, clock) for worker in fleet}) == 1


async def test_after_the_outage_the_window_fills_up_again(clock):
    store = CountingStore(clock)
    worker = window_over(store, clock)
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


async def test_an_outage_is_logged_once_and_its_end_once(clock, caplog):
    store = CountingStore(clock)
    worker = window_over(store, clock)
    await worker.ensure(clock())
    store.down = True
    for _ in range(10):
        clock.advance(PERIOD / 5)
        await offered(worker, clock)
    store.down = False
    clock.advance(1)
    await offered(worker, clock)
    assert [record.message.split(":")[1].split(",")[0].strip() for record in caplog.records] == [
        "the store fails",
        "the store has recovered",
    ]


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


async def test_during_an_outage_the_store_is_not_asked_with_every_request(clock):
    store = CountingStore(clock)
    worker = window_over(store, clock)
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


async def test_a_store_that_forgot_everything_is_told_the_nonces_again(clock):
    store = CountingStore(clock)
    worker = window_over(store, clock)
    nonce = await offered(worker, clock)
    store.forget()
    clock.advance(PERIOD)
    await offered(worker, clock)
    newcomer = window_over(store, clock)
    assert await offered(newcomer, clock) == await offered(worker, clock)
    assert (await accepted_nonce(newcomer, nonce, clock())).value == nonce


async def test_workers_that_differ_since_the_store_forgot_agree_again(clock):
    store = CountingStore(clock)
    one, two = window_over(store, clock), window_over(store, clock)
    before = await offered(one, clock)
    store.forget()
    assert await offered(two, clock) != before
    clock.advance(PERIOD)
    assert await offered(one, clock) == await offered(two, clock)
    assert (await accepted_nonce(one, before, clock())).value == before


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
async def test_something_else_under_a_key_is_never_handed_out(clock, garbage):
    store = MemoryStore(clock=clock)
    await store.put_if_absent(f"dpop:nonce:v1:60:{int(clock.now // PERIOD)}", garbage, ttl=1000)
    worker = window_over(store, clock)
    with pytest.raises(StoreError, match="namespace"):
        await worker.ensure(clock())
    assert worker.to_issue(clock()) is None


# Many at once, cancellation, several event loops


async def test_fifty_requests_at_once_ask_the_store_once(clock):
    store = GatedStore(clock)
    worker = window_over(store, clock)
    requests = [asyncio.ensure_future(worker.ensure(clock())) for _ in range(50)]
    await settle()
    assert not any(request.done() for request in requests)
    store.gate.set()
    await asyncio.gather(*requests)
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


async def test_a_client_that_goes_away_does_not_take_the_window_with_it(clock):
    store = GatedStore(clock)
    worker = window_over(store, clock)
    first, second = (asyncio.ensure_future(worker.ensure(clock())) for _ in range(2))
    await settle()
    first.cancel()
    await settle()
    store.gate.set()
    await second
    assert first.cancelled()
    assert worker.to_issue(clock()) is not None
    assert len(store.calls) == WHOLE_WINDOW


async def test_when_all_clients_went_away_the_window_is_there_for_the_next(clock):
    store = GatedStore(clock)
    worker = window_over(store, clock)
    only = asyncio.ensure_future(worker.ensure(clock()))
    await settle()
    only.cancel()
    store.gate.set()
    await settle()
    assert worker.to_issue(clock()) is not None


def test_one_window_serves_several_event_loops_in_turn(clock):
    store = CountingStore(clock)
    worker = window_over(store, clock)
    nonces = []
    for _ in range(5):
        nonces.append(asyncio.run(offered(worker, clock)))
        clock.advance(PERIOD)
    assert len(set(nonces)) == 5
    assert None not in nonces


def test_a_loop_that_ends_within_a_refresh_leaves_a_usable_window(clock):
    async def ask_and_leave():
        await worker.ensure(clock())

    async def never():
        await asyncio.Event().wait()

    store = CountingStore(clock)
    worker = window_over(store, clock)
    asyncio.run(ask_and_leave())
    clock.advance(PERIOD)
    asyncio.run(ask_and_leave())  # its refresh is cancelled with the loop
    assert worker.to_issue(clock()) is not None
    clock.advance(PERIOD)
    assert asyncio.run(offered(worker, clock)) is not None


async def test_a_request_of_the_next_slot_does_not_settle_for_the_window_of_the_last(clock):
    store = GatedStore(clock)
    worker = NonceWindow(store, NoncePolicy(grace=0, lookahead=1), namespace="dpop", clock=clock)
    early, late = clock.now, clock.now + PERIOD
    requests = [asyncio.ensure_future(worker.ensure(now)) for now in (early, late)]
    await settle()
    store.gate.set()
    await asyncio.gather(*requests)
    assert worker.to_issue(late) is not None
    assert worker.to_issue(late + 0.9 * PERIOD) is not None


def test_a_refresh_that_waits_in_another_loop_is_not_waited_for(clock):
    store = CountingStore(clock)
    worker = window_over(store, clock)
    asyncio.run(worker.ensure(clock()))
    clock.advance(PERIOD)
    with asyncio.Runner() as paused:
        paused.run(worker.ensure(clock()))
        clock.advance(100 * PERIOD)
        with asyncio.Runner() as running:
            assert running.run(offered(worker, clock)) is not None
