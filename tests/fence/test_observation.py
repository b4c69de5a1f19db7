"""What is charged to the machine and not to the product, where clients are accepted late."""

import asyncio
import time

import pytest

from dpop_asgi.testing import Issuer
from tests.fence.crowd import GLANCE_SECONDS, Crowd
from tests.fence.observation import RECOVERY, Observation
from tests.support.busy import Watch
from tests.support.exchanges import ACCEPTED, Attempt

KNOWN = 100.0


def _glances(*stalls, took=0.002):
    """Regular ones, but for these: when each begins, and how many seconds it lasts."""
    late, at = dict(stalls), KNOWN - 0.5
    for _ in range(60):
        stall = next((late.pop(begin) for begin in list(late) if begin <= at), 0.0)
        yield Attempt("a", at, at + took + stall, ACCEPTED)
        at += took + stall + GLANCE_SECONDS


@pytest.mark.parametrize(
    ("glances", "late", "is_in_time"),
    [
        pytest.param(_glances(), 0.9, True, id="in time"),
        pytest.param(_glances(), 1.1, False, id="late while all is regular"),
        pytest.param(_glances(took=0.015), 1.1, False, id="late while all is regular and a little slow"),
        pytest.param(_glances((KNOWN + 0.2, 0.8)), 1.7, True, id="a stall afterwards"),
        pytest.param(_glances((KNOWN + 0.2, 0.8)), 1.9, False, id="later than a stall explains"),
        pytest.param(_glances((KNOWN - 0.4, 0.3)), 1.1, False, id="a stall before"),
        pytest.param(_glances((KNOWN - 0.4, 0.6)), 1.1, True, id="a stall until afterwards"),
        pytest.param(_glances((KNOWN - 0.4, 0.6)), 1.4, False, id="of which only what is afterwards counts"),
        pytest.param(_glances((KNOWN + 1.3, 0.8)), 1.2, False, id="a stall when all were accepted"),
    ],
)
def test_clients_may_be_late_by_what_the_machine_took_for_others(glances, late, is_in_time):
    own = [[Attempt("a", KNOWN + late - 0.01, KNOWN + late, ACCEPTED)]]
    observed = Observation("event", KNOWN - 0.1, KNOWN, [], own, list(glances), Watch())
    assert (observed.everyone < RECOVERY + observed.stalled) is is_in_time


async def test_a_stall_between_two_glances_is_seen(monkeypatch):
    crowd, enough = Crowd([1], issuer=Issuer("https://id.example", audience="a"), clients=0), asyncio.Event()

    async def use(exchange, port):
        exchange.attempts.append(Attempt(str(port), now := time.monotonic(), now, ACCEPTED))
        if len(crowd.glances) == 1:
            asyncio.get_running_loop().call_soon(time.sleep, 0.3)
            enough.set()

    monkeypatch.setattr(crowd, "use", use)
    await crowd._glance(1, enough)
    assert crowd.glances[1].seconds > 0.2
