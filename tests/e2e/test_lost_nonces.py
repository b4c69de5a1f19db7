"""Redis comes back without what it knew: servers agree on new nonces, and accept the old ones no more."""

import asyncio
import contextlib

import pytest

from tests.support.connections import Http
from tests.support.load import SteadyClient, all_go_on, each_asks, wait_for_workers
from tests.support.processes import AUDIENCE, RedisServer, ResourceServer

PAUSE = 0.05


@pytest.fixture
def redis(redis_binary):
    with RedisServer(redis_binary) as server:
        yield server


@pytest.fixture
def servers(redis, issuer_server):
    pair = [ResourceServer(issuer_server.issuer, public_url=AUDIENCE, store=redis.url) for _ in range(2)]
    with contextlib.ExitStack() as running:
        for server in pair:
            running.enter_context(server)
        yield pair


def _lose_everything(redis):
    redis.stop()
    redis.start()


@pytest.mark.requirement("R-9-07")
async def test_servers_agree_on_new_nonces_when_redis_has_lost_everything(redis, servers, issuer_server):
    running, restarted = servers
    wait_for_workers(redis, 2, running, restarted)
    async with Http() as http:
        origins = [running.url, restarted.url]
        clients = [SteadyClient(http, *origins, issuer=issuer_server.issuer, public_url=AUDIENCE) for _ in range(10)]
        await each_asks(clients, times=2)
        before = {client.nonce for client in clients}
        await asyncio.to_thread(_lose_everything, redis)
        await asyncio.to_thread(restarted.stop)
        await asyncio.to_thread(restarted.start)
        await all_go_on(clients, seconds=1.5, pause=PAUSE)
        for client in clients:
            client.answers.clear()
        await each_asks(clients, times=5)
    assert [{answer.status for answer in client.answers} for client in clients] == [{200}] * len(clients)
    assert before & {client.nonce for client in clients} == set()
