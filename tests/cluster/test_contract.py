"""What every store promises, behind Sentinels and on a cluster."""

import contextlib

import pytest
from redis.asyncio import Redis, RedisCluster, Sentinel
from redis.asyncio.cluster import ClusterNode

from dpop_asgi import RedisStore
from tests.stores.test_contract import *  # noqa: F403 - the same tests, with another fixture
from tests.support.nodes import HOST


def _master(topology, **options):
    sentinels = Sentinel([(HOST, sentinel.port) for sentinel in topology.sentinels])
    return sentinels.master_for(topology.SERVICE, **options)


def _cluster_client(topology, **options):
    return RedisCluster(startup_nodes=[ClusterNode(HOST, node.port) for node in topology.nodes], **options)


@contextlib.asynccontextmanager
async def _open(redis):
    """As its owner has a client open."""
    if isinstance(redis, str):
        yield redis
        return
    async with redis:
        yield redis
    if isinstance(redis, Redis):
        await redis.connection_pool.sentinel_manager.aclose()


STORES = [
    pytest.param(("sentinel", lambda topology: topology.url()), id="sentinel-url"),
    pytest.param(("sentinel", _master), id="sentinel-client"),
    pytest.param(("cluster", lambda topology: topology.url()), id="cluster-url"),
    pytest.param(("cluster", _cluster_client), id="cluster-client"),
    pytest.param(("cluster", lambda it: _cluster_client(it, decode_responses=True)), id="cluster-client-that-decodes"),
]


@pytest.fixture(params=STORES)
async def store(request):
    topology, make = request.param
    async with _open(make(request.getfixturevalue(topology))) as redis:
        store = RedisStore(redis, timeout=10.0)
        yield store
        await store.aclose()
