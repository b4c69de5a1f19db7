"""Which incarnation of a Redis server answers, and what counts as another one."""

import asyncio
import time

import pytest
from redis.asyncio import Redis

from dpop_asgi import NoncePolicy, RedisStore, StoreError
from dpop_asgi.errors import Superseded
from dpop_asgi.nonces import NonceWindows
from tests.support.fault_proxy import FaultProxy
from tests.support.processes import RedisServer

KEY = "dpop:look"


@pytest.fixture
def server(redis_binary):
    """One of its own: it is restarted, and its master changes."""
    with RedisServer(redis_binary, "--enable-debug-command", "yes") as server:
        yield server


@pytest.fixture
async def store(server):
    store = RedisStore(server.url, timeout=10.0)
    yield store
    await store.aclose()


async def _use(store, key, under):
    return await store.put_if_absent(f"dpop:{key}", "mine", ttl=60.0, under=under)


def _restart(server):
    server.stop()
    server.start()


def _promote(server):
    """Demoted and promoted again: what it was told meanwhile by its master, and lost, nobody knows."""
    with server.client() as connection:
        connection.execute_command("REPLICAOF", "127.0.0.1", "1")
        connection.execute_command("REPLICAOF", "NO", "ONE")


def _flush(server, how):
    with server.client() as connection:
        connection.execute_command(how)


FORGETTING = [
    pytest.param(_restart, True, id="restarted"),
    pytest.param(_promote, False, id="promoted"),
    pytest.param(lambda server: _flush(server, "FLUSHALL"), True, id="emptied"),
    pytest.param(lambda server: _flush(server, "FLUSHDB"), True, id="database emptied"),
    pytest.param(lambda server: _flush(server, "SWAPDB 0 1"), False, id="databases swapped"),
    pytest.param(lambda server: [_flush(server, "SWAPDB 0 1") for _ in range(2)], False, id="swapped and back"),
]


@pytest.mark.parametrize(("forget", "is_noticed_at_once"), FORGETTING)
async def test_a_server_that_may_have_forgotten_is_another_incarnation(server, store, forget, is_noticed_at_once):
    """Mostly the next call notices it."""
    before = await store.incarnation(KEY)
    await _use(store, "first", before)
    await asyncio.to_thread(forget, server)
    if not is_noticed_at_once:
        assert await store.incarnation(KEY) not in {before, None}
    with pytest.raises(Superseded) as superseded:
        await _use(store, "second", before)
    after = await store.incarnation(KEY)
    assert after not in {before, None}
    assert superseded.value.by == after
    assert await _use(store, "third", after) == "mine"


def _kill_connections(server):
    with server.client() as connection:
        connection.client_kill_filter(_type="normal", skipme=True)


REMEMBERING = [
    pytest.param(_kill_connections, id="connections killed"),
    pytest.param(lambda server: _flush(server, "DEBUG RELOAD"), id="data reloaded"),
]


@pytest.mark.parametrize("happen", REMEMBERING)
async def test_a_server_that_forgot_nothing_is_the_same_incarnation(server, store, happen):
    before = await store.incarnation(KEY)
    await _use(store, "first", before)
    await asyncio.to_thread(happen, server)
    assert await _use(store, "second", before) == "mine"
    assert await store.incarnation(KEY) == before


async def test_all_connections_see_one_incarnation(server, store):
    others = [RedisStore(server.url, timeout=10.0) for _ in range(3)]
    seen = {await each.incarnation(KEY) for each in (store, *others)}
    assert len(seen) == 1
    for each in others:
        await each.aclose()


async def test_calls_at_the_same_time_cost_one_question(server, store):
    await store.incarnation(KEY)
    with server.client() as connection:
        connection.config_resetstat()
        under = await store.incarnation(KEY)
        await asyncio.gather(*(_use(store, f"key-{number}", under) for number in range(200)))
        stats = connection.info("commandstats")
    assert stats["cmdstat_set"]["calls"] == 201
    assert stats["cmdstat_info"]["calls"] < 20


# Where it cannot be known


@pytest.mark.parametrize("was_master", [True, False])
async def test_a_replica_that_takes_writes_is_not_a_server_whose_fence_is_off(server, store, was_master):
    """Otherwise nonces were agreed without a fence, and used up without one even after it is promoted."""
    if was_master:
        await store.incarnation(KEY)
    windows = NonceWindows(store, NoncePolicy(), namespace="dpop", clock=time.time)
    with server.client() as connection:
        connection.config_set("replica-read-only", "no")
        connection.execute_command("REPLICAOF", "127.0.0.1", "1")
        for _ in range(2):
            with pytest.raises(StoreError, match="replica"):
                await windows.to_issue(time.time())
        connection.execute_command("REPLICAOF", "NO", "ONE")
    nonce = await windows.to_issue(time.time())
    under = (await windows.check(nonce, time.time())).incarnation
    assert under is not None
    assert under == await store.incarnation(KEY)


async def test_without_a_fence_nobody_asks(server):
    store = RedisStore(server.url, timeout=10.0, fence=False)
    assert await store.incarnation(KEY) is None
    await store.put_if_absent("dpop:key", "mine", ttl=60.0)
    with server.client() as connection:
        assert "cmdstat_info" not in connection.info("commandstats")
    assert await store.findings(time.time) == []
    await store.aclose()


@pytest.mark.parametrize("looks", [True, False], ids=["found by the self-check", "found after a few connections"])
async def test_connections_that_lead_to_several_servers_in_turn_end_the_fence(redis_binary, looks):
    """Two servers behind one address: each new connection leads to the other one."""
    with RedisServer(redis_binary) as one, RedisServer(redis_binary) as two:
        async with FaultProxy(one.port, two.port) as proxy:
            store = RedisStore(proxy.url, timeout=10.0)
            if looks:
                (finding,) = await store.findings(time.time)
                assert "behind a proxy" in finding
            seen = [await store.incarnation(KEY) for _ in range(12)]
            assert seen[-3:] == [None] * 3
            assert len(set(seen) - {None}) == (0 if looks else 2)
            await store.aclose()


async def test_a_client_of_your_own_is_fenced_too(server):
    client = Redis(port=server.port)
    store = RedisStore(client, timeout=10.0)
    before = await store.incarnation(KEY)
    assert before is not None
    await asyncio.to_thread(_restart, server)
    with pytest.raises(Superseded):
        await _use(store, "first", before)
    await store.aclose()
    await client.aclose()
