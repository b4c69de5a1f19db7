"""What a failover loses is what the old master had not told its replicas: these proofs pass once more, no others."""

import asyncio

import pytest

from dpop_asgi import RedisStore, StoreError
from dpop_asgi.replay import SpentProofs
from tests.support.processes import wait_until
from tests.support.topologies import SentinelTopology

PROOFS = 60


def _cut(master, replicas):
    """The replicas go on as before, but learn nothing any more, like on the other side of a broken network."""
    for replica in replicas:
        replica.ask("CONFIG", "SET", "masterauth", "refused")
    master.ask("CLIENT", "KILL", "TYPE", "replica")
    wait_until(lambda: master.facts("replication")["connected_slaves"] == 0, "a replica is still there")


async def _spend(store, jtis):
    """Which of them were used for the first time."""
    spent = SpentProofs(store, namespace="dpop")
    use = {"key_thumbprint": "t", "target_uri": "https://rs.example/r", "seconds_left": 60.0}
    firsts = await asyncio.gather(*(spent.first_use(jti=jti, **use) for jti in jtis))
    return {jti for jti, first in zip(jtis, firsts, strict=True) if first}


async def _spend_when_all_is_well(store, jtis):
    """Whatever the proofs that were tried while the store was away; they were not accepted."""
    while True:
        try:
            await _spend(store, [f"trial-{number}" for number in range(10)])
        except StoreError:
            await asyncio.sleep(0.05)
            continue
        return await _spend(store, jtis)


def _replicate(master, replicas):
    """Until all that was written before is at the replicas."""
    written = master.facts("replication")["master_repl_offset"]
    wait_until(
        lambda: all(replica.facts("replication")["slave_repl_offset"] >= written for replica in replicas),
        "the replicas are behind",
    )


@pytest.fixture
def sentinel_parts(redis_binary):
    with SentinelTopology(redis_binary) as topology:
        yield topology, topology.master, topology.replicas


@pytest.fixture
def cluster_parts(cluster):
    master, *_ = cluster.masters
    yield cluster, master, [cluster.replica_of(master)]
    cluster.repair()
    cluster.run_everywhere("CONFIG", "SET", "masterauth", "")


@pytest.fixture(params=[pytest.param(name, id=name) for name in ("sentinel", "cluster")])
def parts(request):
    """A topology, the master that is to fail, and its replicas."""
    return request.getfixturevalue(f"{request.param}_parts")


async def test_exactly_the_proofs_that_were_not_replicated_pass_once_more_after_a_failover(parts):
    topology, master, replicas = parts
    known, unknown = ([f"{kind}-{number}" for number in range(PROOFS)] for kind in ("known", "unknown"))
    store = RedisStore(topology.url())
    assert await _spend(store, known) == set(known)
    _replicate(master, replicas)
    before = master.ask("DBSIZE")
    _cut(master, replicas)
    assert await _spend(store, unknown) == set(unknown)
    lost = master.ask("DBSIZE") - before
    assert await _spend(store, known + unknown) == set()
    master.stop()
    await asyncio.to_thread(wait_until, lambda: any(replica.is_master for replica in replicas), "nobody was promoted")
    again = await _spend_when_all_is_well(store, known + unknown)
    assert again <= set(unknown)
    assert len(again) == lost > 0
    assert await _spend(store, known + unknown) == set()
    await store.aclose()
