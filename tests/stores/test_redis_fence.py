"""Which incarnation of a Redis server answers, and what counts as another one."""

import asyncio
import logging
import time

import pytest
from redis.asyncio import Redis

from dpop_asgi import RedisStore
from dpop_asgi.errors import Superseded
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
    pytest.param(_restart, id="restarted"),
    pytest.param(_promote, id="promoted"),
    pytest.param(lambda server: _flush(server, "FLUSHALL"), id="emptied"),
    pytest.param(lambda server: _flush(server, "FLUSHDB"), id="database emptied"),
]


@pytest.mark.parametrize("forget", FORGETTING)
async def test_a_server_that_may_have_forgotten_is_another_incarnation(server, store, forget):
    before = await store.incarnation(KEY)
    await _use(store, "first", before)
    await asyncio.to_thread(forget, server)
    after = await store.incarnation(KEY)
    assert after not in {before, None}
    with pytest.raises(Superseded) as superseded:
        await _use(store, "second", before)
    assert superseded.value.by == after
    assert await _use(store, "third", after) == "mine"


AT_ONCE = [pytest.param(_restart, id="restarted"), *FORGETTING[2:]]


@pytest.mark.parametrize("forget", AT_ONCE)
async def test_a_server_that_forgot_is_noticed_by_the_next_call(server, store, forget):
    before = await store.incarnation(KEY)
    await asyncio.to_thread(forget, server)
    with pytest.raises(Superseded) as superseded:
        await _use(store, "first", before)
    assert superseded.value.by == await store.incarnation(KEY)


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


async def test_without_a_fence_nobody_asks(server):
    store = RedisStore(server.url, timeout=10.0, fence=False)
    assert await store.incarnation(KEY) is None
    await store.put_if_absent("dpop:key", "mine", ttl=60.0)
    with server.client() as connection:
        assert "cmdstat_info" not in connection.info("commandstats")
    assert await store.findings(time.time) == []
    await store.aclose()


async def test_a_user_who_may_not_ask_has_no_fence_and_is_told_what_to_allow(server, caplog):
    with server.client() as connection:
        connection.execute_command("ACL", "SETUSER", "app", "on", ">sesame", "~dpop:*", "+set", "+ping")
    store = RedisStore(f"redis://app:sesame@127.0.0.1:{server.port}/0", timeout=10.0)
    with caplog.at_level(logging.WARNING):
        assert await store.incarnation(KEY) is None
        assert await store.put_if_absent("dpop:key", "mine", ttl=60.0) == "mine"
    (finding,) = await store.findings(time.time)
    assert "fence is off" in finding
    assert "+info" in finding
    assert [record.getMessage() for record in caplog.records] == [finding]
    await store.aclose()


@pytest.fixture
async def flapping(redis_binary):
    """Two servers behind one address: each new connection leads to the other one."""
    with RedisServer(redis_binary) as one, RedisServer(redis_binary) as two:
        async with FaultProxy(one.port, two.port) as proxy:
            yield proxy.url


async def test_connections_that_lead_to_several_servers_in_turn_are_found_by_the_self_check(flapping):
    store = RedisStore(flapping, timeout=10.0)
    (finding,) = await store.findings(time.time)
    assert "behind a proxy" in finding
    assert await store.incarnation(KEY) is None
    await store.aclose()


async def test_connections_that_lead_to_several_servers_in_turn_end_the_fence_after_a_few(flapping):
    store = RedisStore(flapping, timeout=10.0)
    seen = [await store.incarnation(KEY) for _ in range(12)]
    assert seen[-3:] == [None] * 3
    assert len({incarnation for incarnation in seen if incarnation}) == 2
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
