"""How busy the machine is: what a watch must not miss, and what must not be settled by a single stall."""

from types import SimpleNamespace

import pytest

from tests.support import busy
from tests.support.busy import Watch, patient


@pytest.fixture
def looks(monkeypatch):
    """What each look says; the last one is not older than a test."""
    said = []
    monkeypatch.setattr(busy, "_look", lambda: said.pop(0))
    monkeypatch.setattr(busy._Last, "times", 1.0)
    monkeypatch.setattr(busy._Last, "looked_at", float("-inf"))
    return said


@pytest.mark.parametrize(
    ("said", "allowed"),
    [
        pytest.param([1.0, 1.0], 3.0, id="idle"),
        pytest.param([50.0, 1.0], 3.0, id="a stall in the first look"),
        pytest.param([1.0, 50.0], 3.0, id="a stall in the second look"),
        pytest.param([4.0, 2.0], 12.0, id="busy"),
    ],
)
def test_what_is_settled_before_grows_with_a_busy_machine_and_not_with_a_single_stall(looks, said, allowed):
    looks += said
    assert patient(3.0) == allowed


class _Pauses:
    """So long each pause took; after the last one the block is over."""

    def __init__(self, clock, *pauses):
        self._clock, self._pauses = clock, list(pauses)

    def wait(self, _):
        self._clock.advance(self._pauses.pop(0))
        return not self._pauses


@pytest.mark.parametrize(
    ("said", "pauses", "times"),
    [
        pytest.param([1.0, 1.0], [0.1, 0.1], 1.0, id="never"),
        pytest.param([1.0, 50.0], [0.1, 0.1], 50.0, id="in a look"),
        pytest.param([1.0, 1.0], [1.6, 0.1], 16.0, id="in a pause"),
        pytest.param([1.0, 1.0], [0.1, 1.6], 16.0, id="in the last pause"),
        pytest.param([1.0], [1.6], 16.0, id="in the only pause"),
    ],
)
def test_a_watch_notices_a_stall_whenever_it_is(looks, clock, monkeypatch, said, pauses, times):
    looks += said
    monkeypatch.setattr(busy, "time", SimpleNamespace(monotonic=clock))
    watch = Watch()
    watch._over = _Pauses(clock, *pauses)
    watch._look_on()
    assert watch.times == pytest.approx(times, rel=1e-3)
