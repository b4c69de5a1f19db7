"""What goes over the wire: one command per call, one round trip per batch."""

import asyncio

import pytest
from redis import Redis as SyncRedis
from redis.asyncio import Redis

from dpop_asgi import RedisStore, StoreError


async def _put_many(store, count):
    return await asyncio.gather(*(store.put_if_absent(f"key-{number}", "mine", ttl=60.0) for number in range(count)))


def _reads(connection):
    """How many times the server read from a socket: a round trip is at least one."""
    return connection.info("stats")["total_reads_processed"]


async def test_200_concurrent_calls_take_a_handful_of_round_trips(redis_server, redis_store):
    await redis_store.put_if_absent("warm-up", "mine", ttl=60.0)
    with redis_server.client() as connection:
        before = _reads(connection)
        await _put_many(redis_store, 200)
        assert _reads(connection) - before <= 20


async def test_200_concurrent_calls_use_one_connection(redis_server, redis_store):
    with redis_server.client() as connection:
        before = connection.info("stats")["total_connections_received"]
        await _put_many(redis_store, 200)
        assert connection.info("stats")["total_connections_received"] - before == 1


async def test_every_caller_of_a_batch_gets_the_reply_about_its_own_key(redis_store):
    await asyncio.gather(*(redis_store.put_if_absent(f"key-{n}", f"first-{n}", ttl=60.0) for n in range(0, 100, 2)))
    answers = await asyncio.gather(*(redis_store.put_if_absent(f"key-{n}", f"own-{n}", ttl=60.0) for n in range(100)))
    assert answers == [f"own-{n}" if n % 2 else f"first-{n}" for n in range(100)]


async def test_a_call_is_one_set_command_and_nothing_else(redis_server, redis_store):
    await redis_store.put_if_absent("warm-up", "mine", ttl=60.0)
    with redis_server.client() as connection:
        connection.config_resetstat()
        await redis_store.put_if_absent("key", "mine", ttl=60.0)
        await redis_store.put_if_absent("key", "other", ttl=60.0)
        calls = {name: stats["calls"] for name, stats in connection.info("commandstats").items()}
    assert calls == {"cmdstat_set": 2, "cmdstat_config|resetstat": 1}


@pytest.mark.parametrize(
    ("ttl", "milliseconds"), [pytest.param(1.5, 1500, id="exact"), pytest.param(1.0001, 1001, id="rounded-up")]
)
async def test_the_command_is_the_one_that_is_promised(redis_server, redis_store, ttl, milliseconds):
    with redis_server.client() as connection, connection.monitor() as monitor:
        await redis_store.put_if_absent("dpop:key", "mine", ttl=ttl)
        words = ""
        while not words.startswith("SET"):
            words = monitor.next_command()["command"]
    assert words == f"SET dpop:key mine NX GET PX {milliseconds}"


async def test_connecting_needs_no_more_than_a_first_call_may_send(redis_server):
    with redis_server.client() as connection:
        connection.config_resetstat()
        store = RedisStore(redis_server.url, timeout=10.0)
        await store.put_if_absent("key", "mine", ttl=60.0)
        commands = set(connection.info("commandstats"))
        await store.aclose()
    expected = {"set", "info", "hello", "client|tracking", "client|setinfo", "client", "config|resetstat"}
    assert commands <= {f"cmdstat_{name}" for name in expected}


async def test_a_waiter_that_is_cancelled_does_not_cancel_the_others(redis_store):
    calls = [asyncio.create_task(redis_store.put_if_absent(f"key-{n}", f"own-{n}", ttl=60.0)) for n in range(10)]
    await asyncio.sleep(0)
    calls[0].cancel()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert answers[1:] == [f"own-{n}" for n in range(1, 10)]


async def test_calls_that_were_all_cancelled_in_time_send_nothing(redis_server, redis_store):
    await redis_store.put_if_absent("warm-up", "mine", ttl=60.0)
    calls = [asyncio.create_task(redis_store.put_if_absent(f"key-{n}", "mine", ttl=60.0)) for n in range(10)]
    await asyncio.sleep(0)
    for call in calls:
        call.cancel()
    await asyncio.wait(calls)
    with redis_server.client() as connection:
        assert connection.keys() == ["warm-up"]


async def test_a_waiter_that_is_cancelled_while_the_reply_is_awaited_does_not_mix_up_replies(proxied_store, proxy):
    await proxied_store.put_if_absent("warm-up", "mine", ttl=60.0)
    proxy.silent = True
    lost = asyncio.create_task(proxied_store.put_if_absent("lost", "lost", ttl=60.0))
    await asyncio.sleep(0.05)
    lost.cancel()
    await asyncio.wait([lost])
    proxy.silent = False
    while True:
        try:
            assert await proxied_store.put_if_absent("next", "next", ttl=60.0) == "next"
        except StoreError:
            continue
        break


async def test_calls_that_could_not_be_served_in_time_are_rejected_at_once(proxied_store, proxy):
    proxy.silent = True
    calls = (proxied_store.put_if_absent(f"key-{n}", "mine", ttl=60.0) for n in range(10_003))
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(answer, StoreError) for answer in answers)
    assert len([answer for answer in answers if "are waiting already" in str(answer)]) == 3


@pytest.mark.parametrize("timeout", [pytest.param(value, id=str(value)) for value in (0, -1.0, float("inf"), "1")])
def test_an_invalid_deadline_is_rejected_at_construction_time(timeout):
    with pytest.raises(ValueError, match=r"^timeout: "):
        RedisStore("redis://127.0.0.1", timeout=timeout)


def test_a_fence_is_on_or_off():
    """N23: `off` would be on."""
    with pytest.raises(ValueError, match=r"^fence: "):
        RedisStore("redis://127.0.0.1", fence="off")


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("http://127.0.0.1", id="other-scheme"),
        pytest.param("127.0.0.1:6379", id="no-scheme"),
        pytest.param("", id="empty"),
        pytest.param("redis://127.0.0.1:port", id="port-is-a-word"),
        pytest.param("redis://127.0.0.1/0?socket_timeout=soon", id="option-is-a-word"),
        pytest.param("redis://:hunter2@127.0.0.1:99999", id="port-too-large"),
        pytest.param("redis://:hunter2@127.0.0.1/orders", id="database-is-a-word"),
        pytest.param("redis://:hunter2@127.0.0.1/0?sockettimeout=1", id="unknown-option"),
    ],
)
def test_an_invalid_address_is_rejected_at_construction_time(url):
    with pytest.raises(ValueError, match=r"^redis: ") as refused:
        RedisStore(url)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("client", [SyncRedis(), None, 5, object()], ids=["sync-client", "none", "number", "object"])
def test_anything_but_an_async_client_is_rejected_at_construction_time(client):
    with pytest.raises(ValueError, match=r"^redis: "):
        RedisStore(client)


def test_a_store_can_be_made_where_no_event_loop_runs():
    RedisStore("redis://127.0.0.1:6379/0")
    RedisStore(Redis(), timeout=1.0)
