"""When Redis is gone, slow, restarted, or loses a reply."""

import asyncio

import pytest
import uvloop
from redis.asyncio import Redis

from dpop_asgi import RedisStore, StoreError
from dpop_asgi.replay import UsedProofs
from tests.support.fault_proxy import FaultProxy
from tests.support.processes import RedisServer


async def _answers(store):
    """Ask until the store answers; the breaker looks again by itself."""
    while True:
        try:
            return await store.put_if_absent("key", "mine", ttl=60.0)
        except StoreError:
            await asyncio.sleep(0.02)


async def _break(store, proxy):
    """Fail until calls are turned away without being tried."""
    proxy.silent = True
    message = ""
    while not message.endswith("is unavailable"):
        with pytest.raises(StoreError) as failed:
            await store.put_if_absent("key", "mine", ttl=60.0)
        message = str(failed.value)


def _first_use(spent):
    return spent.claim(key_thumbprint="t", target_uri="https://rs.example/r", jti="j", seconds_left=60.0)


async def test_a_connection_that_goes_silent_is_given_up_at_the_deadline(proxied_store, proxy):
    await proxied_store.put_if_absent("warm-up", "mine", ttl=60.0)
    proxy.silent = True
    async with asyncio.timeout(60.0):
        with pytest.raises(StoreError, match="did not respond"):
            await proxied_store.put_if_absent("key", "mine", ttl=60.0)


async def test_the_deadline_holds_for_a_client_that_would_retry_for_a_minute(proxy):
    client = Redis(port=proxy.port)
    store = RedisStore(client, timeout=0.1)
    proxy.silent = True
    async with asyncio.timeout(60.0):
        with pytest.raises(StoreError, match="did not respond"):
            await store.put_if_absent("key", "mine", ttl=60.0)
    await store.aclose()
    await client.aclose()


async def test_a_silent_server_that_answers_again_is_used_again(proxied_store, proxy):
    proxy.silent = True
    with pytest.raises(StoreError):
        await proxied_store.put_if_absent("key", "mine", ttl=60.0)
    proxy.silent = False
    assert await _answers(proxied_store) == "mine"


@pytest.mark.requirement("R-11.1-04")
async def test_a_first_use_whose_reply_was_lost_is_still_the_first(redis_server, proxy):
    store = RedisStore(proxy.url, timeout=10.0)
    await store.put_if_absent("warm-up", "mine", ttl=60.0)
    spent = UsedProofs(store, namespace="dpop")
    proxy.lose_reply_to = b"dpop:jti:"
    assert await _first_use(spent)
    assert proxy.replies_lost == 1
    with redis_server.client() as connection:
        assert len(connection.keys("dpop:jti:*")) == 1
    assert not await _first_use(spent)
    await store.aclose()


@pytest.mark.requirement("R-11.1-04")
async def test_a_first_use_whose_reply_was_lost_is_the_first_for_a_client_of_ones_own_too(proxy):
    client = Redis(port=proxy.port)
    spent = UsedProofs(RedisStore(client, timeout=10.0), namespace="dpop")
    proxy.lose_reply_to = b"dpop:jti:"
    assert [await _first_use(spent), await _first_use(spent)] == [True, False]
    assert proxy.replies_lost == 1
    await client.aclose()


async def test_a_lost_reply_to_a_batch_loses_nobody_his_first_use(proxy):
    store = RedisStore(proxy.url, timeout=10.0)
    proxy.lose_reply_to = b"key-7"
    answers = await asyncio.gather(*(store.put_if_absent(f"key-{n}", f"own-{n}", ttl=60.0) for n in range(20)))
    assert answers == [f"own-{n}" for n in range(20)]
    assert proxy.replies_lost == 1
    await store.aclose()


async def test_a_server_that_was_restarted_is_used_again_without_a_new_store(redis_binary, caplog):
    with RedisServer(redis_binary) as server:
        store = RedisStore(server.url, timeout=1.0)
        await store.put_if_absent("key", "before", ttl=60.0)
        server.stop()
        for _ in range(5):
            with pytest.raises(StoreError):
                await store.put_if_absent("key", "during", ttl=60.0)
        server.start()
        assert await _answers(store) == "mine"
        await store.aclose()
    assert [record.levelname for record in caplog.records if record.name == "dpop_asgi"] == ["ERROR", "WARNING"]


async def test_a_server_that_was_restarted_between_two_calls_fails_none(redis_binary):
    with RedisServer(redis_binary) as server:
        store = RedisStore(server.url, timeout=5.0)
        await store.put_if_absent("key", "before", ttl=60.0)
        server.stop()
        server.start()
        assert await store.put_if_absent("key", "after", ttl=60.0) == "after"
        await store.aclose()


async def test_while_the_breaker_is_open_nobody_asks_the_server(proxied_store, proxy, breaker_clock):
    await _break(proxied_store, proxy)
    connections = proxy.connections
    with pytest.raises(StoreError, match="is unavailable"):
        await proxied_store.put_if_absent("key", "mine", ttl=60.0)
    assert proxy.connections == connections


async def test_one_call_at_a_time_looks_whether_the_server_has_recovered(proxied_store, proxy, breaker_clock):
    await _break(proxied_store, proxy)
    breaker_clock.advance(1.0)
    calls = (proxied_store.put_if_absent("key", "mine", ttl=60.0) for _ in range(50))
    messages = [str(error) for error in await asyncio.gather(*calls, return_exceptions=True)]
    assert len([message for message in messages if message.endswith("is unavailable")]) == 49


async def test_a_probe_that_is_answered_lets_everybody_through(proxied_store, proxy, breaker_clock, caplog):
    await _break(proxied_store, proxy)
    proxy.silent = False
    breaker_clock.advance(1.0)
    assert await proxied_store.put_if_absent("key", "mine", ttl=60.0) == "mine"
    calls = (proxied_store.put_if_absent("key", "other", ttl=60.0) for _ in range(50))
    assert await asyncio.gather(*calls) == ["mine"] * 50
    assert [record.levelname for record in caplog.records if record.name == "dpop_asgi"] == ["ERROR", "WARNING"]


@pytest.mark.parametrize("notices", [pytest.param(True, id="noticed"), pytest.param(False, id="not-yet-noticed")])
@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_call_after_the_idle_connection_was_reset_passes(redis_server, new_loop, notices):
    """uvloop, on which `uvicorn[standard]` runs, tells of dead connections by other exceptions than asyncio's loop."""

    async def call_after_a_reset():
        async with FaultProxy(redis_server.port) as proxy:
            store = RedisStore(proxy.url, timeout=10.0)
            await store.put_if_absent("first", "mine", ttl=60)
            proxy.reset_connections()
            # Whether the loop has seen the reset before the next call or not.
            await asyncio.sleep(0.1 if notices else 0)
            stands = await store.put_if_absent("second", "mine", ttl=60)
            await store.aclose()
            return stands

    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(call_after_a_reset()) == "mine"
