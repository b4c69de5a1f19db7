"""A store on Redis from when it is made until it is closed."""

import asyncio
from collections import Counter

import pytest
from redis import Redis as SyncRedis
from redis.asyncio import Redis

from dpop_asgi import RedisStore, StoreUnavailable
from dpop_asgi.testing import Client, Issuer
from tests.support.loops import nobody_is_connected
from tests.support.processes import AUDIENCE
from tests.support.service import Caller, Service


@pytest.mark.parametrize(
    ("redis", "options", "named"),
    [
        *(
            pytest.param(url, {}, "redis", id=name)
            for name, url in {
                "other-scheme": "http://127.0.0.1",
                "no-scheme": "127.0.0.1:6379",
                "empty": "",
                "port-is-a-word": "redis://127.0.0.1:port",
                "option-is-a-word": "redis://127.0.0.1/0?socket_timeout=soon",
                "port-too-large": "redis://:hunter2@127.0.0.1:99999",
                "database-is-a-word": "redis://:hunter2@127.0.0.1/orders",
                "unknown-option": "redis://:hunter2@127.0.0.1/0?sockettimeout=1",
            }.items()
        ),
        pytest.param(SyncRedis(), {}, "redis", id="sync-client"),
        *(pytest.param(other, {}, "redis", id=repr(other)) for other in (None, 5, object)),
        *(pytest.param(Redis(), {"timeout": value}, "timeout", id=f"{value!r} s") for value in (0, -1.0, 1e999, "1")),
        pytest.param(Redis(), {"fence": "off"}, "fence", id="N23: off would be on"),
    ],
)
def test_a_wrong_option_is_named_when_the_store_is_made(redis, options, named):
    """Where no event loop runs, too."""
    with pytest.raises(ValueError, match=rf"^{named}: ") as refused:
        RedisStore(redis, **options)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("ttl", "milliseconds"), [pytest.param(1.5, 1500, id="exact"), pytest.param(1.0001, 1001, id="rounded-up")]
)
async def test_the_command_is_the_one_that_is_promised(redis_server, ttl, milliseconds):
    store = RedisStore(redis_server.url, timeout=10.0)
    with redis_server.client() as connection, connection.monitor() as monitor:
        await store.put_if_absent("dpop:key", "mine", ttl=ttl)
        words = ""
        while not words.startswith("SET"):
            words = monitor.next_command()["command"]
    assert words == f"SET dpop:key mine NX GET PX {milliseconds}"
    await store.aclose()


async def test_calls_under_way_fail_by_their_deadline_when_a_silent_store_is_closed(proxied_store, proxy):
    proxy.silent = True
    puts = (proxied_store.put_if_absent("key", "mine", ttl=60.0) for _ in range(1000))
    calls = asyncio.gather(*puts, return_exceptions=True)
    await asyncio.sleep(0)
    await proxied_store.aclose()
    assert {type(error) for error in await calls} == {StoreUnavailable}


async def test_who_shares_a_store_is_served_while_another_app_shuts_down(redis_server):
    """Z13"""
    issuer = Issuer("https://id.example.com", audience=AUDIENCE)
    alice, store = Caller("alice", Client(), issuer), RedisStore(redis_server.url, timeout=10.0)
    going, staying = (Service(issuer, store, jwks=issuer.jwks) for _ in range(2))
    nonce = await staying.learn_nonce(alice)
    asked = [asyncio.create_task(staying.ask(alice.request(nonce))) for _ in range(300)]
    await asyncio.sleep(0)
    await going.authenticator.aclose()
    assert Counter(answer.status for answer in await asyncio.gather(*asked)) == {200: 300}
    await store.aclose()
    await asyncio.to_thread(nobody_is_connected, redis_server)


async def test_a_client_that_the_user_closes_and_reopens_goes_on_working(redis_server):
    client = Redis.from_url(redis_server.url)
    store = RedisStore(client, timeout=10.0)
    await store.put_if_absent("key", "mine", ttl=60.0)
    await client.aclose()
    assert await store.put_if_absent("key", "other", ttl=60.0) == "mine"
    await client.aclose()
