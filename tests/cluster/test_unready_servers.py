"""Servers that answer, but cannot serve yet, or not any more."""

import pytest

from dpop_asgi import RedisStore, StoreError
from tests.support.fault_proxy import FaultProxy
from tests.support.nodes import HOST, Node
from tests.support.processes import wait_until


@pytest.fixture
def forsaken(request, redis_binary):
    """A replica that lost its master, and is not to answer from what it remembers."""
    with Node(redis_binary, ("repl-diskless-sync", "no")) as master:
        of_master = ("replicaof", HOST, str(master.port)), ("replica-serve-stale-data", "no")
        with Node(redis_binary, *of_master, ("replica-read-only", request.param)) as replica:
            wait_until(lambda: replica.follows(master), "the replica does not follow")
            master.stop()
            wait_until(lambda: replica.ask("ROLE")[3] != "connected", "the replica does not notice")
            yield replica


@pytest.mark.parametrize(
    ("forsaken", "message"),
    [
        pytest.param("yes", "is a replica", id="read-only"),
        pytest.param("no", "a replica that lost its master", id="writable"),
    ],
    indirect=["forsaken"],
)
async def test_a_replica_that_lost_its_master_says_what_it_is(forsaken, message):
    store = RedisStore(forsaken.url, timeout=5.0)
    for _ in range(2):
        with pytest.raises(StoreError, match=message):
            await store.put_if_absent("key", "mine", ttl=60.0)
    await store.aclose()


async def test_an_address_that_leads_to_another_master_meanwhile_is_asked_again(redis_binary):
    with Node(redis_binary) as old, Node(redis_binary) as new:
        async with FaultProxy(old.port) as address:
            store = RedisStore(address.url, timeout=5.0)
            await store.put_if_absent("before", "mine", ttl=60.0)
            address.lead_to(new.port)
            old.ask("REPLICAOF", HOST, new.port)
            assert await store.put_if_absent("after", "mine", ttl=60.0) == "mine"
            await store.aclose()
        assert new.ask("GET", "after") == "mine"


async def test_a_single_node_of_a_cluster_says_what_to_give_instead(cluster):
    stores = [RedisStore(f"redis://{node.address}/0", timeout=5.0) for node in cluster.masters]
    said = []
    for store in stores:
        try:
            await store.put_if_absent("key", "mine", ttl=60.0)
        except StoreError as error:
            said.append(str(error))
        await store.aclose()
    assert len(said) == len(stores) - 1
    assert all("redis+cluster://" in message for message in said)


@pytest.mark.parametrize(
    ("kind", "path", "named"), [("cluster", "", "[Cc]luster"), ("sentinel", "/main", "Sentinel")], ids=str
)
async def test_a_single_server_taken_for_something_else_says_what_it_is(redis_server, kind, path, named):
    store = RedisStore(f"redis+{kind}://{HOST}:{redis_server.port}{path}", timeout=5.0)
    with pytest.raises(StoreError, match=named):
        await store.put_if_absent("key", "mine", ttl=60.0)
    await store.aclose()
