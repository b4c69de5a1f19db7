"""Nodes of a cluster that are gone: whose slots suffer, how long, and whose do not."""

import asyncio
import time

import pytest
from redis.asyncio import RedisCluster

from dpop_asgi import RedisStore, StoreError
from tests.support.busy import Stopwatch, Watch, patient
from tests.support.nodes import HOST
from tests.support.processes import wait_until

TIMEOUT = 0.25
# Failures in a row after which calls are turned away.
FEW = 3


@pytest.fixture
async def store(cluster):
    store = RedisStore(cluster.url(), timeout=TIMEOUT)
    yield store
    await store.aclose()


@pytest.fixture
async def patient_store(cluster):
    """For calls that must not fail, however busy the machine is."""
    store = RedisStore(cluster.url(), timeout=patient(2 * TIMEOUT))
    yield store
    await store.aclose()


def _keys_of(cluster, master, count):
    """Keys in slots of this master."""
    owned = next(slots for slots, owner in cluster.owners.items() if owner is master)
    numbers = range(count * 20)
    return [key for key in map("key-{}".format, numbers) if cluster.slot_of(key) in owned][:count]


async def _put(store, key):
    return await store.put_if_absent(key, "mine", ttl=60.0)


async def _until_put(store, key):
    """Seconds until the first call that is answered."""
    begin = time.monotonic()
    while True:
        try:
            await _put(store, key)
        except StoreError:
            await asyncio.sleep(0.02)
            continue
        return time.monotonic() - begin


async def _all_put(store, keys, *, seconds):
    """Call on, a few at a time; how many were answered. One that is not ends the test."""
    calls, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        chosen = keys[calls % len(keys) :][:10]
        assert set(await asyncio.gather(*(_put(store, key) for key in chosen))) == {"mine"}
        calls += len(chosen)
        await asyncio.sleep(0.01)
    return calls


async def _fail(store, keys, *, seconds):
    """Call on, in vain; how long the calls took."""
    took, until = [], time.monotonic() + seconds
    while time.monotonic() < until:
        begin = time.monotonic()
        with pytest.raises(StoreError):
            await _put(store, keys[len(took) % len(keys)])
        took.append(time.monotonic() - begin)
        await asyncio.sleep(0.01)
    return took


async def test_a_master_that_hangs_delays_no_call_for_slots_of_the_others(lasting_cluster, patient_store):
    cluster = lasting_cluster
    victim, *others = cluster.masters
    lost = _keys_of(cluster, victim, 20)
    kept = [key for master in others for key in _keys_of(cluster, master, 20)]
    await asyncio.gather(*(_put(patient_store, key) for key in lost + kept))
    victim.freeze()
    # If the cluster noticed, it would be down as a whole until there is a new master.
    with Watch() as machine:
        answered, took = await asyncio.gather(
            _all_put(patient_store, kept, seconds=0.8), _fail(patient_store, lost, seconds=0.8)
        )
    victim.thaw()
    assert answered > 100 / machine.times
    assert all(seconds < machine.allows(2 * patient_store._timeout) for seconds in took)


async def test_calls_for_a_master_that_hangs_are_turned_away_at_once_after_a_few_failures(lasting_cluster, store):
    victim, *_ = lasting_cluster.masters
    lost = _keys_of(lasting_cluster, victim, 20)
    await asyncio.gather(*(_until_put(store, key) for key in lost))
    victim.freeze()
    away = f"the Redis node ({victim.address}, user default) is unavailable"
    turned_away = []
    # A call fails a moment before the failure of its pipeline is counted. And where calls that are turned away take
    # their time, because others use this machine too, one more of them may look whether it is back.
    for _ in range(FEW + 2):
        answers = await asyncio.gather(*(_put(store, key) for key in lost), return_exceptions=True)
        turned_away.append([str(answer) for answer in answers].count(away))
    victim.thaw()
    # All but the one that looks whether it is back.
    assert turned_away[0] == 0
    assert max(turned_away) >= len(lost) - 1


async def test_slots_whose_last_node_is_gone_do_not_take_the_others_with_them(cluster, patient_store):
    victim, *others = cluster.masters
    replica = cluster.replica_of(victim)
    lost = _keys_of(cluster, victim, 10)
    kept = [key for master in others for key in _keys_of(cluster, master, 10)]
    cluster.run_everywhere("CONFIG", "SET", "cluster-require-full-coverage", "no")
    await asyncio.gather(*(_put(patient_store, key) for key in lost + kept))
    replica.stop()
    victim.stop()
    witness = others[0]
    wait_until(lambda: " master,fail " in witness.ask("CLUSTER", "NODES"), "the cluster does not notice")
    with Watch() as machine:
        answered, _ = await asyncio.gather(
            _all_put(patient_store, kept, seconds=0.5), _fail(patient_store, lost, seconds=0.5)
        )
    assert answered > 50 / machine.times
    cluster.repair()
    cluster.run_everywhere("CONFIG", "SET", "cluster-require-full-coverage", "yes")


async def test_a_client_of_ones_own_finds_the_new_master_as_fast_as_ours(cluster, store):
    victim, other, *_ = cluster.masters
    heir = cluster.replica_of(victim)
    [key] = _keys_of(cluster, victim, 1)
    async with RedisCluster(host=HOST, port=other.port) as client:
        own = RedisStore(client, timeout=TIMEOUT)
        await asyncio.gather(*(_until_put(each, key) for each in (store, own)))
        victim.freeze()
        calling = [asyncio.create_task(_until_put(each, key)) for each in (store, own)]
        await asyncio.to_thread(wait_until, lambda: heir.is_master, "nobody was promoted")
        with Stopwatch() as stopwatch:
            await asyncio.wait(calling)
        assert stopwatch.within(1.0)
        victim.thaw()
        await own.aclose()
