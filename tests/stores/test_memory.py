"""The store for one process refuses rather than forgets."""

import asyncio
import contextlib
import math
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from dpop_asgi import MemoryStore, StoreError


async def _fill(store, count, *, ttl=60.0):
    for number in range(count):
        await store.put_if_absent(f"key-{number}", "value", ttl=ttl)


async def test_a_full_store_rejects_and_has_forgotten_nothing(clock):
    store = MemoryStore(max_entries=3, clock=clock)
    await _fill(store, 3)
    with pytest.raises(StoreError, match="full"):
        await store.put_if_absent("one too many", "value", ttl=60.0)
    assert [await store.put_if_absent(f"key-{number}", "other", ttl=60.0) for number in range(3)] == ["value"] * 3
    assert len(store._values) == sum(map(len, store._keys_by_end.values())) == 3


async def test_expired_entries_leave_no_memory_behind(clock):
    store = MemoryStore(clock=clock)
    await _fill(store, 1000, ttl=5.0)
    clock.advance(5.0)
    await store.put_if_absent("last", "value", ttl=5.0)
    assert (list(store._values), list(store._keys_by_end.values()), len(store._ends)) == (["last"], [["last"]], 1)


class _Hesitant(dict):
    """Between a look and what follows from it, another thread gets its turn, if it can."""

    def __init__(self):
        super().__init__()
        self.both = threading.Barrier(2)

    def get(self, key):
        found = super().get(key)
        with contextlib.suppress(threading.BrokenBarrierError):
            self.both.wait(timeout=0.2)
        return found


def test_of_two_threads_that_keep_a_key_at_the_same_moment_one_is_first(clock):
    store = MemoryStore(clock=clock)
    store._values = _Hesitant()

    def put(value):
        return asyncio.run(store.put_if_absent("key", value, ttl=60.0))

    with ThreadPoolExecutor(2) as pool:
        stored = list(pool.map(put, ["one", "two"]))
    assert stored in (["one", "one"], ["two", "two"])
    assert [len(keys) for keys in store._keys_by_end.values()] == [1]


async def test_an_entry_stands_until_its_last_instant_whatever_is_rounded(clock):
    """At this time of day neighbours among the numbers are so far apart that a tenth of a second is none of them."""
    clock.now = 1_764_000_000.0
    store = MemoryStore(clock=clock)
    ends = [clock.now + 10.0 + number / 7 for number in range(1000)]
    for end in ends:
        await store.put_if_absent(str(end), "first", ttl=end - clock.now)
    for end in ends:
        clock.now = math.nextafter(end, 0.0)
        assert await store.put_if_absent(str(end), "second", ttl=10.0) == "first"


@pytest.mark.parametrize("ttl", [pytest.param(1e308, id="longest"), pytest.param(math.inf, id="for-ever")])
async def test_an_entry_may_stand_for_ever(clock, ttl):
    store = MemoryStore(clock=clock)
    await store.put_if_absent("key", "first", ttl=ttl)
    clock.advance(1e9)
    assert await store.put_if_absent("key", "second", ttl=10.0) == "first"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("max_entries", size) for size in (0, -1, 1.5, float("nan"), float("inf"), True)),
        pytest.param("clock", 3.5, id="N23: a time is no clock"),
    ],
)
def test_a_wrong_option_is_named_when_the_store_is_made(option, value):
    with pytest.raises(ValueError, match=f"^{option}: "):
        MemoryStore(**{option: value})
