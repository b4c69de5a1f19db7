"""What sentinels and the servers behind them can do, each on a topology of its own."""

import asyncio
import contextlib
import itertools
import signal

import pytest

from dpop_asgi import RedisStore, StoreError
from tests.support.busy import Stopwatch, patient
from tests.support.nodes import HOST
from tests.support.processes import wait_until
from tests.support.topologies import SentinelTopology

# How often a store may fail before it has found the way: then calls would be turned away.
FEW = 3
# Twice as long as a store takes to look whether its master is still one.
LEFT_WITHIN = 0.5


@pytest.fixture
def topology(redis_binary):
    with SentinelTopology(redis_binary) as topology:
        yield topology


@pytest.fixture
async def store(topology):
    store = RedisStore(topology.url(), timeout=patient(0.25))
    yield store
    await store.aclose()


async def _put(store, key="key", value="mine"):
    return await store.put_if_absent(key, value, ttl=60.0)


async def _failures_until_it_works(store):
    failures = 0
    while True:
        with Stopwatch() as stopwatch:
            try:
                assert await _put(store) == "mine"
            except StoreError:
                failures += 1
            else:
                return failures
        assert stopwatch.within(2 * store._timeout)


async def test_a_first_sentinel_that_is_dead_is_passed_over_and_so_is_one_that_falls_silent_later(topology, store):
    master, (first, second, _) = topology.master, topology.sentinels
    first.stop()
    assert await _failures_until_it_works(store) <= FEW
    second.freeze()
    master.ask("CLIENT", "KILL", "TYPE", "normal")
    assert await _failures_until_it_works(store) <= FEW


@pytest.mark.parametrize("how", [pytest.param(signal.SIGKILL, id="dead"), pytest.param(signal.SIGSTOP, id="frozen")])
async def test_while_no_sentinel_answers_the_master_is_used_that_was_known(topology, store, how):
    await _put(store)
    for sentinel in topology.sentinels:
        sentinel.freeze() if how is signal.SIGSTOP else sentinel.stop()
    # With pauses: then the sentinels are asked first.
    for _ in range(2):
        await asyncio.sleep(0.5)
        assert await _put(store) == "mine"


async def test_a_service_that_the_sentinels_do_not_know_is_named(topology):
    store = RedisStore(topology.url("nowhere"), timeout=5.0)
    with pytest.raises(StoreError, match=r"no Sentinel names a master.*'nowhere'"):
        await _put(store)
    await store.aclose()


def _somebody_else_leads(topology, old):
    return topology.master is not old and topology.all_name(topology.master)


async def _until_somebody_else_leads(topology, old):
    await asyncio.to_thread(wait_until, lambda: _somebody_else_leads(topology, old), "nobody else leads")


class Writer:
    """Goes on writing new keys, whatever is answered."""

    def __init__(self, store):
        self.written = []
        self._store = store

    async def __aenter__(self):
        self._task = asyncio.create_task(self._go_on())
        return self

    async def __aexit__(self, *_):
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _go_on(self):
        for number in itertools.count():
            with contextlib.suppress(StoreError):
                await _put(self._store, f"key-{number}")
                self.written.append(f"key-{number}")
            await asyncio.sleep(0.01)

    async def has_written_more_than(self, count):
        await asyncio.to_thread(wait_until, lambda: len(self.written) > count, "nothing is written")


async def test_a_master_that_was_replaced_is_left_although_it_still_answers(topology, store):
    old, quiet = topology.master, RedisStore(topology.url(), timeout=5.0)
    await _put(quiet, "before")
    async with Writer(store) as writer:
        await asyncio.to_thread(topology.hand_over)
        await _until_somebody_else_leads(topology, old)
        topology.leave_masters_alone()
        await asyncio.sleep(patient(LEFT_WITHIN))
        left, before = old.is_master, len(writer.written)
        await writer.has_written_more_than(before)
    # One that did not call meanwhile asks first.
    await _put(quiet, "after")
    await quiet.aclose()
    later = [*writer.written[before:], "after"]
    assert left
    assert topology.master.ask("EXISTS", *later) == len(later) > 1


async def test_a_master_that_became_a_replica_fails_no_call(topology, store, monkeypatch):
    # As if the change had come between two looks at the sentinels.
    monkeypatch.setattr("dpop_asgi.stores.redis.sentinel._CHECK_EVERY_SECONDS", 60.0)
    old = topology.master
    await _put(store, "before")
    await asyncio.to_thread(topology.hand_over)
    await _until_somebody_else_leads(topology, old)
    old.ask("REPLICAOF", HOST, topology.master.port)
    assert await _put(store, "after") == "mine"
    assert topology.master.ask("GET", "after") == "mine"


async def test_a_master_whose_writes_are_paused_hands_over_without_losing_any(topology, store):
    old = topology.master
    async with Writer(store) as writer:
        await writer.has_written_more_than(0)
        # Until somebody else leads, however long that takes, and not before all have what was written.
        old.ask("CLIENT", "PAUSE", 60_000, "WRITE")
        offset = old.ask("ROLE")[1]
        replicas = topology.replicas
        await asyncio.to_thread(
            wait_until, lambda: all(each.ask("ROLE")[4] >= offset for each in replicas), "a replica lags behind"
        )
        await asyncio.to_thread(topology.hand_over)
        await _until_somebody_else_leads(topology, old)
        before = len(writer.written)
        await writer.has_written_more_than(before)
    assert topology.master.ask("EXISTS", *writer.written) == len(writer.written)


async def test_a_master_that_returns_is_not_taken_for_one(topology, store):
    old = topology.master
    await _put(store, "before")
    old.freeze()
    await asyncio.to_thread(wait_until, lambda: topology.master is not old, "nobody else leads")
    await _failures_until_it_works(store)
    old.thaw()
    assert old.is_master
    for turn in range(20):
        await _put(store, f"after-{turn}")
    assert topology.master.ask("EXISTS", *(f"after-{turn}" for turn in range(20))) == 20


async def test_a_master_that_must_not_write_alone_rejects_when_its_replicas_are_gone(topology, store):
    master, replicas = topology.master, topology.replicas
    master.ask("CONFIG", "SET", "min-replicas-to-write", "1")
    assert await _put(store, "before") == "mine"
    for replica in replicas:
        replica.stop()
    wait_until(lambda: master.facts("replication")["connected_slaves"] == 0, "a replica is still there")
    with pytest.raises(StoreError, match="NOREPLICAS"):
        await _put(store, "alone")
    assert master.ask("EXISTS", "alone") == 0


async def test_a_url_of_a_single_server_that_is_a_replica_says_what_to_give_instead(topology):
    store = RedisStore(f"redis://{HOST}:{topology.replicas[0].port}/0", timeout=5.0)
    for _ in range(2):
        with pytest.raises(StoreError, match=r"is a replica.*master's address.*redis\+sentinel://"):
            await _put(store)
    await store.aclose()
