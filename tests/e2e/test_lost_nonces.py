"""Redis comes back without what it knew: the servers tell it again, and agree again."""

import contextlib

import pytest

from tests.support.load import SteadyClient, all_go_on, connections, wait_for_workers
from tests.support.processes import AUDIENCE, ResourceServer

PERIOD = 1


@pytest.fixture
def servers(redis_server, issuer_server):
    settings = {"public_url": AUDIENCE, "store": redis_server.url, "nonce_period": PERIOD}
    pair = [ResourceServer(issuer_server.issuer, **settings) for _ in range(2)]
    with contextlib.ExitStack() as running:
        for server in pair:
            running.enter_context(server)
        yield pair


@pytest.mark.requirement("R-9-07")
async def test_servers_agree_again_within_a_period_of_redis_losing_everything(redis_server, servers, issuer_server):
    old, restarted = servers
    wait_for_workers(redis_server, 2, old, restarted)
    with redis_server.client() as connection:
        connection.flushall()
    restarted.stop()
    restarted.start()
    async with connections() as http:
        origins = [old.url, restarted.url]
        clients = [SteadyClient(http, *origins, issuer=issuer_server.issuer, public_url=AUDIENCE) for _ in range(10)]
        await all_go_on(clients, seconds=PERIOD * 1.5, pause=PERIOD / 10)
        for client in clients:
            client.answers.clear()
        await all_go_on(clients, seconds=PERIOD * 3, pause=PERIOD / 10)
    statuses = [{answer.status for answer in client.answers} for client in clients]
    assert statuses == [{200}] * len(clients)
