"""Redis comes back without what it knew: the servers tell it again, and agree again."""

import contextlib

import pytest

from tests.support.busy import patient
from tests.support.load import SteadyClient, all_go_on, connections, wait_for_workers
from tests.support.processes import AUDIENCE, ResourceServer, patient_with


@pytest.fixture
def period():
    return patient(1.0)


@pytest.fixture
def servers(redis_server, issuer_server, period):
    settings = {"public_url": AUDIENCE, **patient_with(redis_server.url), "nonce_period": period}
    pair = [ResourceServer(issuer_server.issuer, **settings) for _ in range(2)]
    with contextlib.ExitStack() as running:
        for server in pair:
            running.enter_context(server)
        yield pair


@pytest.mark.requirement("R-9-07")
async def test_servers_agree_again_within_a_period_of_redis_losing_everything(
    redis_server, servers, issuer_server, period
):
    old, restarted = servers
    wait_for_workers(redis_server, 2, old, restarted)
    with redis_server.client() as connection:
        connection.flushall()
    restarted.stop()
    restarted.start()
    async with connections() as http:
        origins = [old.url, restarted.url]
        clients = [SteadyClient(http, *origins, issuer=issuer_server.issuer, public_url=AUDIENCE) for _ in range(10)]
        await all_go_on(clients, seconds=period * 1.5, pause=period / 10)
        for client in clients:
            client.answers.clear()
        await all_go_on(clients, seconds=period * 3, pause=period / 10)
    statuses = [{answer.status for answer in client.answers} for client in clients]
    assert statuses == [{200}] * len(clients)
