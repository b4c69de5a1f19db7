import math

import pytest

from dpop_asgi import MemoryStore
from dpop_asgi.cli.demo import conversation
from dpop_asgi.cli.demo.conversation import NONCES
from dpop_asgi.errors import Reason, UseNonce
from dpop_asgi.nonces import NonceWindow
from tests.support.decisions import accepted_nonce


@pytest.fixture
async def window(clock):
    """The real window that the arithmetic of the demo is about."""
    clock.now = NONCES.period * 1000
    window = NonceWindow(MemoryStore(clock=clock), NONCES, namespace="test", clock=clock)
    await window.ensure(clock.now)
    return window


async def offered_at(window, clock, phase):
    clock.now = NONCES.period * (1000 + phase)
    await window.ensure(clock.now)
    return window.to_issue(clock.now), conversation._slot_issued(clock.now)


@pytest.mark.parametrize("phase", [0.0, 0.1, 0.3, 0.5, 0.79, 0.81, 0.99])
async def test_the_demo_knows_how_long_the_nonce_is_good_that_it_was_handed(window, clock, phase):
    nonce, slot = await offered_at(window, clock, phase)
    middle, end = (slot + 0.5) * NONCES.period, NONCES.end(slot)
    await window.ensure(middle)
    assert window.to_issue(middle) == nonce
    assert (await accepted_nonce(window, nonce, math.nextafter(end, 0))).until == end
    with pytest.raises(UseNonce) as refused:
        await accepted_nonce(window, nonce, end)
    assert refused.value.reason is Reason.NONCE_EXPIRED
    # A rotated nonce is sent when it is old and still good.
    sent = (slot + 1 + conversation._INTO_SLOT) * NONCES.period
    assert (await accepted_nonce(window, nonce, sent)).age > NONCES.period
    assert window.to_issue(sent) != nonce
    assert end - sent > NONCES.period / 2, "time for a slow machine"


def test_an_attempt_that_took_too_long_is_made_again_and_the_last_one_shown_as_it_is():
    attempts = iter([(["too late"], 0.0), (["too late again"], 0.0), (["in time"], math.inf)])
    assert conversation._in_time(lambda: next(attempts)) == ["in time"]
    attempts = iter([([number], 0.0) for number in range(100)])
    assert conversation._in_time(lambda: next(attempts)) == [conversation._TRIES - 1]
