"""What the fuzzer has found, each by name."""

import pytest

from dpop_asgi import NoncePolicy, StoreError
from dpop_asgi.nonces import NonceWindow
from tests.support.decisions import CountingStore, accepted_nonce


async def test_a_clock_that_jumps_ahead_during_an_outage_and_back_finds_its_nonces_again(clock):
    store = CountingStore(clock)
    window = NonceWindow(store, NoncePolicy(), namespace="dpop", clock=clock)
    await window.ensure(clock.now)
    nonce, then = window.to_issue(clock.now), clock.now
    store.down = True
    clock.advance(3600)
    with pytest.raises(StoreError):
        await window.ensure(clock.now)
    store.down, clock.now = False, then
    await window.ensure(clock.now)
    assert window.to_issue(clock.now) == nonce
    assert (await accepted_nonce(window, nonce, clock.now)).value == nonce
