"""What every store promises: one verb, atomic, safe to repeat."""

import asyncio

import pytest
from redis.asyncio import Redis

from dpop_asgi import MemoryStore, RedisStore
from tests.support.busy import patient


def _own_client(redis_server, **options):
    return Redis.from_url(redis_server.url, **options)


STORES = [
    pytest.param(lambda clock, *_: MemoryStore(clock=clock), id="memory"),
    pytest.param(lambda _, server, __: RedisStore(server.url, timeout=10.0), id="redis-url"),
    pytest.param(lambda _, __, socket: RedisStore(f"unix://{socket}?db=0", timeout=10.0), id="unix-url"),
    pytest.param(lambda _, server, __: RedisStore(_own_client(server), timeout=10.0), id="own-client"),
    pytest.param(
        lambda _, server, __: RedisStore(_own_client(server, decode_responses=True), timeout=10.0),
        id="own-client-that-decodes",
    ),
    pytest.param(
        lambda _, server, __: RedisStore(_own_client(server, protocol=2), timeout=10.0), id="own-client-with-resp2"
    ),
]


@pytest.fixture(params=STORES)
async def store(request, clock, redis_server, socket_path):
    store = request.param(clock, redis_server, socket_path)
    yield store
    await store.aclose()
    if isinstance(getattr(store, "_redis", None), Redis):
        await store._redis.aclose()


async def _pass_time(store, clock, seconds):
    """A clock can be moved, a server's cannot. In memory entries go together that end within an eighth of a second."""
    if isinstance(store, MemoryStore):
        clock.advance(seconds + 0.125)
    else:
        await asyncio.sleep(seconds + 0.05)


async def test_the_first_value_stands_for_everybody(store):
    answers = [await store.put_if_absent("key", value, ttl=60.0) for value in ("first", "first", "second", "third")]
    assert answers == ["first"] * 4
    assert await store.put_if_absent("other", "mine", ttl=60.0) == "mine"


async def test_of_200_concurrent_callers_all_get_the_value_of_one(store):
    values = [f"value-{number}" for number in range(200)]
    standing = await asyncio.gather(*(store.put_if_absent("key", value, ttl=60.0) for value in values))
    assert set(standing) == {standing[0]}
    assert standing[0] in values


async def test_asking_again_does_not_prolong_the_time(store, clock):
    short = patient(2.0)
    for key in map("key-{}".format, range(10)):
        await store.put_if_absent(key, "first", ttl=short)
        # Where the machine stood still for so long in between, this was no second call within the time.
        if await store.put_if_absent(key, "second", ttl=60.0) == "first":
            break
    await _pass_time(store, clock, short)
    assert await store.put_if_absent(key, "third", ttl=60.0) == "third"


@pytest.mark.parametrize("value", [pytest.param("v" * 64, id="longest"), pytest.param("~!#$%&", id="punctuation")])
async def test_a_value_comes_back_unchanged(store, value):
    await store.put_if_absent("k" * 200, value, ttl=60.0)
    assert await store.put_if_absent("k" * 200, "other", ttl=60.0) == value


@pytest.mark.parametrize("before", ["", "before"], ids=["nothing", "something"])
async def test_a_value_can_be_replaced_whatever_was_there_and_has_its_own_time(store, clock, before):
    assert await store.read("key") == ""
    if before:
        await store.replace("key", before, ttl=0.3)
    value = "v" * 60_000
    await store.replace("key", value, ttl=60.0)
    await store.replace("other", "long", ttl=60.0)
    await store.replace("other", "short", ttl=0.3)
    await _pass_time(store, clock, 0.3)
    assert [await store.read(key) for key in ("key", "other")] == [value, ""]
    assert await store.put_if_absent("key", "mine", ttl=60.0) == value


async def test_a_store_can_be_used_again_after_it_was_closed(store):
    await store.put_if_absent("key", "first", ttl=60.0)
    await store.aclose()
    assert await store.put_if_absent("key", "second", ttl=60.0) == "first"
