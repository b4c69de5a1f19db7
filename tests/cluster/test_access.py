"""TLS, passwords, and users who may do no more than they need, behind Sentinels and on a cluster."""

import asyncio
import contextlib
import time
from urllib.parse import urlencode

import pytest
from redis.asyncio import RedisCluster, Sentinel
from redis.asyncio.cluster import ClusterNode

from dpop_asgi import NoncePolicy, RedisStore, StoreError
from dpop_asgi.nonces import NonceWindows
from tests.support.certificates import write_certificate
from tests.support.nodes import HOST, Access
from tests.support.topologies import ClusterTopology, SentinelTopology, addresses

# What docs/redis.md lists for an ACL user.
FOR_A_MASTER = ("~dpop:*", "+set", "+ping", "+info", "+client|tracking")
FOR_A_SENTINEL = ("+sentinel|get-master-addr-by-name",)
FOR_A_CLUSTER = (*FOR_A_MASTER, "+cluster|slots", "+asking")


@pytest.fixture(scope="module")
def access(tmp_path_factory):
    certificate, key = write_certificate(tmp_path_factory.mktemp("tls"))
    return Access("administrator", certificate, key)


@pytest.fixture(scope="module")
def sentinel(redis_binary, access):
    with SentinelTopology(redis_binary, replicas=1, sentinels=2, access=access) as topology:
        yield topology


@pytest.fixture(scope="module")
def cluster(redis_binary, access):
    with ClusterTopology(redis_binary, masters=2, access=access) as topology:
        yield topology


def _allow(nodes, name, *rules):
    for node in nodes:
        node.ask("ACL", "SETUSER", name, "reset", "on", ">sesame", *rules)
        # N20: what other tests had refused.
        node.ask("ACL", "LOG", "RESET")


def _trusting(access, **options):
    return urlencode({"ssl_ca_certs": str(access.certificate), **options})


def _sentinel_url(topology, access, *, password="sesame", sentinel_password="sesame"):
    options = _trusting(access, sentinel_username="asker", sentinel_password=sentinel_password)
    return f"rediss+sentinel://api:{password}@{addresses(topology.sentinels)}/{topology.SERVICE}?{options}"


def _cluster_url(topology, access, *, password="sesame"):
    return f"rediss+cluster://api:{password}@{addresses(topology.nodes)}?{_trusting(access)}"


# On a cluster these are of all masters.
KEYS = [f"dpop:key-{number}" for number in range(10)]


async def _works(redis, *keys):
    """And works again after all connections were closed."""
    store = RedisStore(redis, timeout=10.0)
    for value in ("mine", "other"):
        assert {await store.put_if_absent(key, value, ttl=600.0) for key in keys or KEYS} == {"mine"}
        await store.aclose()


async def _fails(redis, key="dpop:key"):
    store = RedisStore(redis, timeout=10.0)
    with pytest.raises(StoreError) as failed:
        await store.put_if_absent(key, "mine", ttl=60.0)
    await store.aclose()
    return str(failed.value)


def _refused(topology):
    """Commands that somebody may not do; that a client cannot say which library it is harms nobody."""
    entries = [entry for node in topology.nodes for entry in node.ask("ACL", "LOG")]
    return [refused for entry in entries if "setinfo" not in (refused := str(entry))]


@contextlib.contextmanager
def _moving(cluster, key):
    """The slot of the key is on its way to another master, which has to be asked for new keys."""
    slot, source = cluster.slot_of(key), cluster.master_of(key)
    target = next(master for master in cluster.masters if master is not source)
    target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", cluster.ids[source])
    source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", cluster.ids[target])
    yield
    source.ask("CLUSTER", "SETSLOT", slot, "STABLE")
    target.ask("CLUSTER", "SETSLOT", slot, "STABLE")


async def test_a_master_behind_sentinels_needs_no_more_permissions_than_the_readme_names(sentinel, access):
    _allow(sentinel.servers, "api", *FOR_A_MASTER)
    _allow(sentinel.sentinels, "asker", *FOR_A_SENTINEL)
    await _works(_sentinel_url(sentinel, access))
    assert _refused(sentinel) == []


async def test_a_cluster_needs_no_more_permissions_than_the_readme_names(cluster, access):
    _allow(cluster.nodes, "api", *FOR_A_CLUSTER)
    await _works(_cluster_url(cluster, access))
    with _moving(cluster, "dpop:moving"):
        await _works(_cluster_url(cluster, access), "dpop:moving")
    assert _refused(cluster) == []


async def test_clients_of_ones_own_speak_tls_too(sentinel, cluster, access):
    _allow(sentinel.servers, "api", *FOR_A_MASTER)
    _allow(cluster.nodes, "api", *FOR_A_CLUSTER)
    user = {"username": "api", "password": "sesame"}
    encryption = {"ssl": True, "ssl_ca_certs": str(access.certificate)}
    sentinels = [(HOST, node.port) for node in sentinel.sentinels]
    manager = Sentinel(sentinels, sentinel_kwargs={"password": access.password, **encryption})
    async with manager, manager.master_for(sentinel.SERVICE, **user, **encryption) as master:
        await _works(master)
    nodes = [ClusterNode(HOST, node.port) for node in cluster.nodes]
    async with RedisCluster(startup_nodes=nodes, **access.client) as client:
        await _works(client)


@pytest.mark.parametrize(
    ("rules", "names"),
    [
        pytest.param(("~dpop:*", "+ping", "+cluster|slots", "+asking"), "'set'", id="set"),
        pytest.param(
            ("~dpop:*", "+set", "+ping", "+info", "+client|tracking", "+asking"), "cluster|slots", id="cluster-slots"
        ),
        pytest.param(
            ("~dpop:*", "+set", "+ping", "+info", "+client|tracking", "+cluster|slots"), "asking", id="asking"
        ),
    ],
)
async def test_a_permission_that_is_missing_on_a_cluster_is_named(cluster, access, rules, names):
    _allow(cluster.nodes, "api", *rules)
    with _moving(cluster, "dpop:moving"):
        message = await _fails(_cluster_url(cluster, access), "dpop:moving")
    assert "ACL must allow this user" in message
    assert names in message


async def test_a_permission_that_is_missing_on_a_sentinel_is_named(sentinel, access):
    _allow(sentinel.servers, "api", *FOR_A_MASTER)
    _allow(sentinel.sentinels, "asker", "+ping")
    message = await _fails(_sentinel_url(sentinel, access))
    assert "ACL must allow" in message
    assert "sentinel|get-master-addr-by-name" in message


@pytest.mark.parametrize("nonces", [NoncePolicy(), None], ids=["nonces", "no-nonces"])
@pytest.mark.parametrize(
    ("kind", "wrong", "who"),
    [
        ("sentinel", "password", "Redis store rejects"),
        ("sentinel", "sentinel_password", "Sentinels reject"),
        ("cluster", "password", "Redis store rejects"),
    ],
)
async def test_a_wrong_password_is_an_error_that_says_what_callers_get(
    request, access, caplog, kind, wrong, who, nonces
):
    """N14: with the addresses and the user, whether the store is asked for nonces or only for proofs."""
    topology = request.getfixturevalue(kind)
    if kind == "sentinel":
        _allow(topology.servers, "api", *FOR_A_MASTER)
        _allow(topology.sentinels, "asker", *FOR_A_SENTINEL)
    url = {"sentinel": _sentinel_url, "cluster": _cluster_url}[kind](topology, access, **{wrong: "hunter2"})
    store = RedisStore(url, timeout=10.0)
    windows = nonces and NonceWindows(store, nonces, namespace="dpop", clock=time.time)
    for _ in range(1 if windows else 3):
        with pytest.raises(StoreError, match=f"the {who} the user name or password"):
            await (windows.to_issue(time.time()) if windows else store.read("dpop:key"))
    # The windows of other tags are fetched in the background, and would open the store again.
    fetching = [window._fetching.under_way() for window in windows._windows] if windows else []
    await asyncio.gather(*filter(None, fetching), return_exceptions=True)
    await store.aclose()
    # redis-py doesn't wait until a TLS connection whose login failed is closed.
    async with asyncio.timeout(30.0):
        while len(asyncio.get_running_loop()._selector.get_map()) > 1:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    nodes = topology.nodes if kind == "cluster" else topology.sentinels
    assert errors
    for error in errors:
        assert " get 503" in error
        assert "user api)" in error
        assert all(f":{node.port}" in error for node in nodes)
        assert "hunter2" not in error


async def test_servers_whose_certificate_nobody_vouches_for_are_rejected(sentinel, cluster, access):
    trusted = _trusting(access)
    assert "certificate" in await _fails(_cluster_url(cluster, access).replace(trusted, ""))
    # redis-py does not say why it could not connect to a Sentinel.
    assert "no Sentinel names a master" in await _fails(_sentinel_url(sentinel, access).replace(trusted, ""))
