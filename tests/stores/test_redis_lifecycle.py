"""Connections: opened when needed, in the loop that needs them, and closed by whoever opened them."""

import asyncio
from collections import Counter

import pytest
from redis.asyncio import Redis

from dpop_asgi import RedisStore, StoreUnavailable
from dpop_asgi.testing import Client, Issuer
from tests.support.processes import AUDIENCE
from tests.support.service import Caller, Service


@pytest.fixture
def issuer():
    return Issuer("https://id.example.com", audience=AUDIENCE)


@pytest.fixture
def alice(issuer):
    return Caller("alice", Client(), issuer)


async def _connections(redis_server, wanted):
    """Wait until the server counts this many besides our own."""
    with redis_server.client() as connection:
        async with asyncio.timeout(60.0):
            while len(connection.client_list()) - 1 != wanted:  # noqa: ASYNC110 - the server can only be asked
                await asyncio.sleep(0.01)


async def test_no_connection_is_made_before_it_is_needed(redis_server):
    store = RedisStore(redis_server.url)
    await _connections(redis_server, 0)
    await store.aclose()


async def test_closing_closes_the_connection_that_the_store_opened(redis_server):
    store = RedisStore(redis_server.url, timeout=10.0)
    await store.put_if_absent("key", "mine", ttl=60.0)
    await _connections(redis_server, 1)
    # Twice does no harm.
    for _ in range(2):
        await store.aclose()
    await _connections(redis_server, 0)


async def test_closing_leaves_the_users_client_open(redis_server):
    async with Redis.from_url(redis_server.url) as client:
        store = RedisStore(client, timeout=10.0)
        await store.put_if_absent("key", "mine", ttl=60.0)
        await store.aclose()
        await _connections(redis_server, 1)
        assert await client.get("key") == b"mine"


async def _calls_under_way(store, count):
    calls = [asyncio.create_task(store.put_if_absent(f"key-{n}", "mine", ttl=60.0)) for n in range(count)]
    await asyncio.sleep(0)
    return calls


async def test_calls_under_way_are_answered_before_the_store_is_closed(redis_server, redis_store):
    """Z13"""
    calls = await _calls_under_way(redis_store, 1000)
    await redis_store.aclose()
    assert [call.result() for call in calls] == ["mine"] * 1000
    await _connections(redis_server, 0)


async def test_calls_under_way_fail_by_their_deadline_when_a_silent_store_is_closed(proxied_store, proxy):
    proxy.silent = True
    calls = await _calls_under_way(proxied_store, 1000)
    await proxied_store.aclose()
    assert {type(call.exception()) for call in calls} == {StoreUnavailable}


async def test_who_shares_a_store_is_served_while_another_app_shuts_down(redis_server, issuer, alice):
    """Z13"""
    store = RedisStore(redis_server.url, timeout=10.0)
    going, staying = (Service(issuer, store, jwks=issuer.jwks) for _ in range(2))
    nonce = await staying.learn_nonce(alice)
    asked = [asyncio.create_task(staying.ask(alice.request(nonce))) for _ in range(300)]
    await asyncio.sleep(0)
    await going.authenticator.aclose()
    assert Counter(answer.status for answer in await asyncio.gather(*asked)) == {200: 300}
    await store.aclose()
    await _connections(redis_server, 0)


def test_event_loops_in_turn_share_one_store_which_forgets_those_that_are_closed(redis_server):
    store = RedisStore(redis_server.url, timeout=10.0)

    async def work(value):
        standing = await store.put_if_absent("key", value, ttl=60.0)
        await store.aclose()
        return standing

    assert [asyncio.run(work(value)) for value in ("first", "second", "third")] == ["first"] * 3
    assert store._per_loop == {}


async def test_a_client_that_the_user_closes_and_reopens_goes_on_working(redis_server):
    client = Redis.from_url(redis_server.url)
    store = RedisStore(client, timeout=10.0)
    await store.put_if_absent("key", "mine", ttl=60.0)
    await client.aclose()
    assert await store.put_if_absent("key", "other", ttl=60.0) == "mine"
    await client.aclose()


@pytest.mark.parametrize("wish", [pytest.param({}, id="url"), pytest.param({"timeout": 5.0}, id="url-and-timeout")])
def test_a_store_says_nothing_of_its_address_when_it_is_printed(wish):
    assert "hunter2" not in repr(RedisStore("redis://:hunter2@127.0.0.1:6379/0", **wish))
