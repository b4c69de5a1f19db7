"""Slots move from one master to another while calls run: no call fails, and no first use is lost."""

import asyncio
import itertools

import pytest
from redis.cluster import key_slot

from dpop_asgi import RedisStore, StoreError
from tests.support.failover import Move
from tests.support.processes import wait_until

# All keys with this tag are in one slot.
TAG = "{moving}"
SLOT = key_slot(TAG.encode())
CALLERS = 8
BEFORE = 300


def _another_master(cluster):
    return next(master for master in cluster.masters if master is not cluster.master_of(TAG))


async def _put(store, name, value):
    return await store.put_if_absent(f"{TAG}:{name}", value, ttl=60.0)


async def _call_on(store, caller, spent):
    """First and second uses, new ones and those of before; any failure ends the test."""
    for turn in itertools.count():
        name = f"{caller}-{turn}"
        assert await _put(store, name, "first") == "first"
        assert await _put(store, name, "second") == "first"
        spent.append(name)
        assert await _put(store, f"before-{(caller * 37 + turn) % BEFORE}", "second") == "first"
        await asyncio.sleep(0.002)


async def _carry_all(move):
    await asyncio.to_thread(move.carry_out)
    await asyncio.sleep(0.1)


async def _move_under_calls(cluster, target):
    """Returns the names of keys that were used for the first time meanwhile."""
    # Patient, so that a busy machine fails nobody: here it is about the way, not the time.
    store, spent = RedisStore(cluster.url(), timeout=5.0), []
    await asyncio.gather(*(_put(store, f"before-{number}", "first") for number in range(BEFORE)))
    callers = [asyncio.create_task(_call_on(store, caller, spent)) for caller in range(CALLERS)]
    moving = asyncio.create_task(_carry_all(Move(cluster, SLOT, target)))
    done, _ = await asyncio.wait([moving, *callers], return_when=asyncio.FIRST_COMPLETED)
    for caller in callers:
        caller.cancel()
    await asyncio.wait(callers)
    await store.aclose()
    assert [task.exception() for task in done] == [None]
    return spent


async def _are_spent(cluster, names):
    store = RedisStore(cluster.url(), timeout=5.0)
    standing = await asyncio.gather(*(_put(store, name, "later") for name in names))
    await store.aclose()
    return set(standing) == {"first"}


async def test_a_slot_that_moved_while_nobody_called_is_found(cluster):
    store = RedisStore(cluster.url(), timeout=5.0)
    await _put(store, "key", "first")
    source, target = cluster.master_of(TAG), _another_master(cluster)
    await _carry_all(Move(cluster, SLOT, target))
    assert await asyncio.gather(*(_put(store, "key", "second") for _ in range(50))) == ["first"] * 50
    # From now on nobody looks at the old place.
    source.ask("CONFIG", "RESETSTAT")
    assert {await _put(store, "key", "third") for _ in range(20)} == {"first"}
    assert "errorstat_MOVED" not in source.facts("errorstats")
    await store.aclose()


async def test_a_replica_alone_is_enough_to_find_the_cluster_and_seeds_that_are_gone_are_passed_over(cluster):
    gone, replica, *_ = [cluster.replica_of(master) for master in cluster.masters]
    gone.stop()
    for turn in range(5):
        store = RedisStore(cluster.url([gone, replica]), timeout=5.0)
        names = [f"key-{turn}-{number}" for number in range(50)]
        assert [await store.put_if_absent(name, "mine", ttl=60.0) for name in names] == ["mine"] * 50
        await store.aclose()


@pytest.fixture
async def newcomer(cluster):
    """A master without slots: no map of slots names it."""
    for node in cluster.nodes:
        if node.is_master and node not in cluster.masters:
            return node
    return await asyncio.to_thread(cluster.add_master)


async def test_a_slot_of_the_cluster_moves(cluster, newcomer):
    """To a node that nobody knew."""
    spent = await _move_under_calls(cluster, newcomer)
    assert cluster.master_of(TAG) is newcomer
    assert await _are_spent(cluster, [*spent, *(f"before-{number}" for number in range(BEFORE))])
    await _carry_all(Move(cluster, SLOT, _another_master(cluster)))


async def test_a_node_nobody_knew_is_asked_also_when_the_map_is_fetched_again(newcomer, lasting_cluster):
    cluster = lasting_cluster
    store, spent = RedisStore(cluster.url(), timeout=0.5), []
    unrelated = next(master for master in cluster.masters if master is not cluster.master_of(TAG))
    other = next(name for name in map("key-{}".format, range(1000)) if cluster.master_of(name) is unrelated)
    await asyncio.gather(*(_put(store, f"before-{number}", "first") for number in range(BEFORE)))
    move = Move(cluster, SLOT, newcomer)
    move.begin()
    move.carry(BEFORE)
    caller = asyncio.create_task(_call_on(store, 0, spent))
    # A call that fails has the map fetched.
    unrelated.freeze()
    with pytest.raises(StoreError):
        await store.put_if_absent(other, "mine", ttl=60.0)
    unrelated.thaw()
    before = len(spent)
    asked = lambda: len(spent) > before or caller.done()  # noqa: E731 - a condition
    await asyncio.to_thread(wait_until, asked, "the node that nobody knew is not asked")
    failed = caller.done()
    caller.cancel()
    await asyncio.wait([caller])
    await store.aclose()
    move.end()
    await _carry_all(Move(cluster, SLOT, unrelated))
    assert not failed
