"""A master with replicas and sentinels, and a cluster, for all tests of this folder."""

import pytest

from tests.support.topologies import DEAD_AFTER, ClusterTopology, SentinelTopology


@pytest.fixture(scope="session")
def _sentinel(redis_binary):
    with SentinelTopology(redis_binary) as topology:
        yield topology


@pytest.fixture
def sentinel(_sentinel):
    """Whole and empty; tests that stop nodes make one of their own."""
    _sentinel.master.ask("FLUSHALL")
    return _sentinel


@pytest.fixture(scope="session")
def _cluster(redis_binary):
    with ClusterTopology(redis_binary) as topology:
        yield topology


@pytest.fixture
def cluster(_cluster):
    """Whole and empty, whatever was moved, stopped or added before: not necessarily of three masters."""
    _cluster.repair()
    for master in _cluster.masters:
        master.ask("FLUSHALL")
    return _cluster


@pytest.fixture
def lasting_cluster(cluster):
    """No master is replaced, however long it, or the whole machine, stands still."""
    cluster.run_everywhere("CONFIG", "SET", "cluster-node-timeout", 60_000)
    yield cluster
    cluster.repair()
    cluster.run_everywhere("CONFIG", "SET", "cluster-node-timeout", DEAD_AFTER)
