"""What a failover loses is what the old master had not told its replicas: these proofs do not pass once more either."""

import asyncio
import itertools

import pytest

from dpop_asgi import RedisStore
from dpop_asgi.testing import Client
from tests.support.failover import cut, reconnect
from tests.support.processes import wait_until
from tests.support.service import Caller, Service
from tests.support.topologies import SentinelTopology

PROOFS = 60


class Parts:
    """A topology of which one master is to fail."""

    def __init__(self, topology):
        self.topology = topology

    @property
    def master(self):
        """Where proofs are remembered: in a cluster, where most of those are that were used so far."""
        if isinstance(self.topology, SentinelTopology):
            return self.topology.master
        return max(self.topology.masters, key=lambda master: len(master.ask("KEYS", "*:jti*")))

    def replicas_of(self, master):
        if isinstance(self.topology, SentinelTopology):
            return self.topology.replicas
        return [self.topology.replica_of(master)]


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
        yield Parts(topology)


@pytest.fixture
def cluster_parts(cluster):
    yield Parts(cluster)
    cluster.repair()
    reconnect(cluster.servers)


@pytest.fixture(params=[pytest.param(name, id=name) for name in ("sentinel", "cluster")])
def parts(request):
    return request.getfixturevalue(f"{request.param}_parts")


@pytest.fixture
async def service(parts, issuer_server):
    store = RedisStore(parts.topology.url())
    # Its keys are given, so that nothing but the store can be unavailable.
    yield Service(issuer_server.issuer, store, jwks=issuer_server.issuer.jwks)
    await store.aclose()


@pytest.fixture
def alice(issuer_server):
    return Caller("alice", Client(), issuer_server.issuer)


async def _status(service, request):
    """As soon as there is one."""
    while (answer := await service.ask(request)).status == 503:  # noqa: ASYNC110 - the service can only be asked
        await asyncio.sleep(0.05)
    return answer.status


async def _statuses(service, requests):
    return {await _status(service, request) for request in requests}


async def _challenges(service, caller):
    """How many until a new proof is accepted."""
    nonce = None
    for count in itertools.count():
        answer = await service.ask(caller.request(nonce))
        if answer.status == 200:
            return count
        nonce = answer.one("dpop-nonce")
    raise AssertionError


async def test_the_proofs_that_were_not_replicated_do_not_pass_once_more_after_a_failover(parts, service, alice):
    nonce = await service.learn_nonce(alice)
    known, unknown = ([alice.request(nonce) for _ in range(PROOFS)] for _ in range(2))
    assert await _statuses(service, known) == {200}
    master = parts.master
    replicas = parts.replicas_of(master)
    _replicate(master, replicas)
    before = master.ask("DBSIZE")
    cut(master, replicas)
    assert await _statuses(service, unknown) == {200}
    assert master.ask("DBSIZE") > before, "what only the master knows"
    assert await _statuses(service, known + unknown) == {401}
    master.stop()
    await asyncio.to_thread(wait_until, lambda: any(replica.is_master for replica in replicas), "nobody was promoted")
    assert await _statuses(service, unknown + known) == {401}
    assert await _challenges(service, alice) <= 3
