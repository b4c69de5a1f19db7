"""When Redis is gone, slow, restarted, or loses a reply."""

import asyncio

import pytest
import uvloop
from redis.asyncio import Redis

from dpop_asgi import RedisStore, StoreError
from dpop_asgi.replay import UsedProofs
from tests.support.fault_proxy import FaultProxy


async def _put(store, value="mine"):
    return await store.put_if_absent("key", value, ttl=60.0)


async def test_the_deadline_holds_for_a_client_that_would_retry_for_a_minute(proxy):
    client = Redis(port=proxy.port)
    store = RedisStore(client, timeout=0.1)
    proxy.silent = True
    async with asyncio.timeout(60.0):
        with pytest.raises(StoreError, match="did not respond"):
            await _put(store)
    await store.aclose()
    await client.aclose()


@pytest.mark.requirement("R-11.1-04")
@pytest.mark.parametrize("own", [False, True], ids=["url", "own-client"])
async def test_a_first_use_whose_reply_was_lost_is_still_the_first(redis_server, proxy, own):
    async with Redis(port=proxy.port) as client:
        store = RedisStore(client if own else proxy.url, timeout=10.0)
        await _put(store)
        proxy.lose_reply_to = b"dpop:jti:"
        use = {"key_thumbprint": "t", "target_uri": "https://rs.example/r", "jti": "j", "seconds_left": 60.0}
        assert [await UsedProofs(store, namespace="dpop").claim(**use) for _ in range(2)] == [True, False]
        await store.aclose()
    assert proxy.replies_lost == 1
    with redis_server.client() as connection:
        assert len(connection.keys("dpop:jti:*")) == 1


async def test_a_lost_reply_to_a_batch_loses_nobody_his_first_use(proxy):
    store = RedisStore(proxy.url, timeout=10.0)
    proxy.lose_reply_to = b"key-7"
    answers = await asyncio.gather(*(store.put_if_absent(f"key-{n}", f"own-{n}", ttl=60.0) for n in range(20)))
    assert answers == [f"own-{n}" for n in range(20)]
    assert proxy.replies_lost == 1
    await store.aclose()


async def test_a_server_that_is_unavailable_is_left_alone_but_for_one_call_that_looks(
    proxied_store, proxy, breaker_clock, caplog
):
    proxy.silent = True
    for _ in range(3):
        with pytest.raises(StoreError, match="did not respond"):
            await _put(proxied_store)
    connections = proxy.connections
    with pytest.raises(StoreError, match="is unavailable"):
        await _put(proxied_store)
    assert proxy.connections == connections

    breaker_clock.advance(1.0)
    errors = await asyncio.gather(*(_put(proxied_store) for _ in range(50)), return_exceptions=True)
    assert [str(error).endswith("is unavailable") for error in errors].count(True) == 49

    proxy.silent = False
    breaker_clock.advance(1.0)
    assert await _put(proxied_store) == "mine"
    assert await asyncio.gather(*(_put(proxied_store, "other") for _ in range(50))) == ["mine"] * 50
    assert [record.levelname for record in caplog.records if record.name == "dpop_asgi"] == ["ERROR", "WARNING"]


@pytest.mark.parametrize("notices", [pytest.param(True, id="noticed"), pytest.param(False, id="not-yet-noticed")])
@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_call_after_the_idle_connection_was_reset_passes(redis_server, new_loop, notices):
    """uvloop, on which `uvicorn[standard]` runs, tells of dead connections by other exceptions than asyncio's loop."""

    async def call_after_a_reset():
        async with FaultProxy(redis_server.port) as proxy:
            store = RedisStore(proxy.url, timeout=10.0)
            await _put(store)
            proxy.reset_connections()
            # Whether the loop has seen the reset before the next call or not.
            await asyncio.sleep(0.1 if notices else 0)
            stands = await _put(store, "other")
            await store.aclose()
            return stands

    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(call_after_a_reset()) == "mine"
