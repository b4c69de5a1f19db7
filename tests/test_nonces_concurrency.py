"""The window under many requests at once, under cancellation, and over several event loops."""

import asyncio

import pytest

from dpop_asgi import NoncePolicy
from dpop_asgi.nonces import NonceWindow
from tests.support.decisions import CountingStore, settle

PERIOD = 60.0
WHOLE_WINDOW = 7  # one slot of grace, the present one, five ahead


@pytest.fixture
def clock(clock):
    """At the start of a slot of a minute."""
    clock.now = 1_700_000_040.0
    return clock


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
