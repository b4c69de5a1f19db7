"""The rows of the table of failures in docs/redis.md that are about Redis: each breaks the real thing."""

import asyncio
import signal
import time

import pytest

from tests.support.busy import patient
from tests.support.processes import RedisServer, wait_until


def _is_restarted(world):
    world.redis.stop(signal.SIGKILL)
    return asyncio.to_thread(world.redis.start)


async def test_redis_is_killed(world):
    regular, newcomer = await world.regular(), world.newcomer()
    world.redis.stop(signal.SIGKILL)
    for _ in range(10):
        await world.unavailable(regular)
    await world.challenged(newcomer)
    await world.unavailable(newcomer)
    await asyncio.to_thread(world.redis.start)
    assert await world.accepted_again(regular, challenged=True)


async def test_redis_hangs(world):
    regular, newcomer = await world.regular(), world.newcomer()
    world.proxy.silent = True
    for _ in range(10):
        await world.unavailable(regular)
    await world.challenged(newcomer)
    await world.unavailable(newcomer)
    world.proxy.heal()
    assert await world.accepted_again(regular)


async def test_redis_hangs_under_a_thousand_requests_at_once(world):
    crowd = [await world.regular() for _ in range(10)]
    connections_before = world.proxy.connections
    world.proxy.silent = True
    begin = time.monotonic()
    answers = await asyncio.gather(*(client.ask() for client in crowd * 100))
    assert {answer.status for answer in answers} == {503}
    # Three until the circuit breaker opens, and then a probe five times a second at most.
    assert world.proxy.connections - connections_before <= 3 + (time.monotonic() - begin) / 0.2
    world.proxy.heal()
    assert await world.accepted_again(crowd[0])


async def test_the_network_to_redis_is_slow(world):
    regular = await world.regular()
    world.proxy.replies.delay = 0.1
    assert (await world.prompt(regular)).status == 200
    world.proxy.replies.delay = 5.0 * world.times
    await world.unavailable(regular)


async def test_the_connection_to_redis_is_reset(world):
    regular = await world.regular()
    for _ in range(5):
        world.proxy.reset_connections()
        assert (await world.prompt(regular)).status == 200
    world.proxy.reset_at = b":jti:"
    assert (await world.prompt(regular)).status == 200


async def test_redis_disappears_without_closing_the_connection(world):
    """No FIN and no RST: a host that lost its power, or a firewall that forgot the connection."""
    regular = await world.regular()
    world.proxy.forget_connections()
    await world.unavailable(regular)
    assert await world.accepted_again(regular)


async def test_a_reply_from_redis_is_lost(world):
    regular = await world.regular()
    world.proxy.lose_reply_to = b":jti:"
    proof = regular.signed()
    assert await world.statuses(proof, proof) == [200, 401]
    assert world.proxy.replies_lost == 1


async def _is_not_accepted_again(world, regular, happen):
    """Not even when the first request after it is the old proof."""
    proof = regular.signed()
    assert await world.statuses(proof) == [200]
    await happen()
    assert await world.status(proof) == 401
    assert await world.accepted_again(regular, challenged=True)
    assert await world.statuses(proof) == [401]
    assert (await world.prompt(regular)).status == 200, "one challenge was enough"


async def test_redis_restarts_with_its_data(a_world):
    async with a_world(redis=("--appendonly", "yes", "--appendfsync", "always")) as world:
        await _is_not_accepted_again(world, await world.regular(), lambda: _is_restarted(world))


async def test_redis_restarts_without_its_data(world):
    await _is_not_accepted_again(world, await world.regular(), lambda: _is_restarted(world))


async def test_redis_restarts_with_old_data(world):
    regular = await world.regular()
    with world.redis.client() as connection:
        connection.save()
    await _is_not_accepted_again(world, regular, lambda: _is_restarted(world))


async def test_redis_is_emptied(world):
    with world.redis.client() as connection:
        await _is_not_accepted_again(world, await world.regular(), lambda: asyncio.to_thread(connection.flushall))


async def test_redis_does_not_report_its_identity(a_world):
    async with a_world(redis=("--user", "default", "on", "nopass", "~*", "&*", "+@all", "-info")) as world:
        regular = await world.regular()
        await _is_restarted(world)
        assert await world.accepted_again(regular)
        assert "fence" in world.server.log


async def test_redis_is_loading_its_data(a_world):
    kept = ("--appendonly", "yes", "--enable-debug-command", "yes", "--key-load-delay", "0")
    async with a_world(redis=kept) as world:
        regular = await world.regular()
        with world.redis.client() as connection:
            connection.execute_command("DEBUG", "POPULATE", "20000")
            connection.bgrewriteaof()
            wait_until(lambda: not connection.info("persistence")["aof_rewrite_in_progress"], "no end of rewriting")
        world.redis.stop(signal.SIGKILL)
        world.redis.arguments += ("--key-load-delay", "300", "--loading-process-events-interval-bytes", "1024")
        await asyncio.to_thread(world.redis.start)
        for _ in range(5):
            await world.unavailable(regular)
        assert "still loading its data" in world.server.log
        await world.accepted_again(regular, challenged=True)


async def test_redis_is_full(world):
    regular = await world.regular()
    with world.redis.client() as connection:
        connection.config_set("maxmemory", "1")
        await world.unavailable(regular)
        await world.challenged(world.newcomer())
        connection.config_set("maxmemory", "0")
    assert await world.accepted_again(regular)


async def test_redis_becomes_a_read_only_replica(world, redis_binary):
    regular = await world.regular()
    with RedisServer(redis_binary) as master, world.redis.client() as connection:
        connection.replicaof("127.0.0.1", master.port)
        for _ in range(5):
            await world.unavailable(regular)
        connection.replicaof("no", "one")
        assert await world.accepted_again(regular, challenged=True)


@pytest.mark.requirement("R-9-08")
async def test_redis_is_unavailable_for_longer_than_the_look_ahead(a_world):
    period = patient(1.0)
    # With a longer life of those that are known: nonces must not die on their way to a client.
    async with a_world(nonce_period=period, nonce_lookahead=1, nonce_grace=3) as world:
        regular = await world.regular()
        world.redis.stop(signal.SIGKILL)
        await asyncio.sleep(period * 4)
        await world.unavailable(regular)
        await world.unavailable(world.newcomer())
        await asyncio.to_thread(world.redis.start)
        await world.accepted_again(world.newcomer(), challenged=True)


@pytest.mark.requirement("R-9-02", "R-9-07")
async def test_redis_is_unavailable_and_on_store_failure_is_accept(a_world):
    period = patient(2.0)
    async with a_world(on_store_failure="accept", nonce_period=period, nonce_lookahead=5) as world:
        regular = await world.regular()
        world.redis.stop(signal.SIGKILL)
        proof = regular.signed()
        assert await world.statuses(proof, proof) == [200, 200], "nothing remembers it"
        stranger = world.newcomer()
        stranger.nonce = "not-one-of-ours"
        await world.challenged(stranger)
        await asyncio.sleep(period * 2.2)
        assert await world.statuses(proof) == [401], "its nonce bounds it"
        await world.challenged(regular)
        assert (await world.prompt(regular)).status == 200, "nonces go on rotating"
        assert world.server.log.count("accepted without being recorded") <= 1


async def test_redis_rejects_the_password(a_world):
    async with a_world(redis=("--requirepass", "sesame")) as world:
        await world.unavailable(world.newcomer())
        # N14
        assert "all requests get 503: the Redis store rejects the user name or password" in world.server.log
        assert f"(127.0.0.1:{world.proxy.port}, user default)" in world.server.log
        assert "sesame" not in world.server.log
        with world.redis.client(password="sesame") as connection:
            connection.config_set("requirepass", "")
        await world.accepted_again(world.newcomer(), challenged=True)
