"""What the fuzzer was led to before is tried everywhere, with its judges but without atheris."""

import pytest

from dpop_asgi import NoncePolicy, StoreError
from dpop_asgi.nonces import NonceWindow
from tests.fuzz.catalogue import CORPUS, TARGETS, inputs, kept, load
from tests.fuzz.worker import check_time
from tests.support.decisions import CountingStore, accepted_nonce

RANDOM_INPUTS = 150


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_is_found_in_what_is_kept_and_in_random_inputs(name):
    target = load(name)
    for data in inputs(name, RANDOM_INPUTS):
        check_time(target, data)


def test_what_is_kept_is_small_and_of_targets_that_exist():
    files = [file for name in TARGETS for file in kept(name)]
    assert sorted(file.name for file in CORPUS.iterdir()) == sorted(TARGETS)
    assert all(kept(name) for name in TARGETS)
    assert len(files) <= 200
    assert sum(file.stat().st_size for file in files) <= 100_000


# What it has found, each by name.


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
