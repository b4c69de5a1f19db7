"""Two servers of two workers each behind one public address, one Redis: what one of them knows, all of them know.

A proof that arrives a second after an operator's command has ended is refused however busy the machine is: a worker
that has not looked at the store for half a second looks before it accepts anything.
"""

import asyncio
import itertools
import os
import subprocess
import sys
import time
from collections import Counter

import pytest

from tests.support.connections import Http
from tests.support.load import SteadyClient, each_asks

COPIES = 200
SECOND = 1.0


@pytest.fixture
async def clients(fleet, issuer_server):
    """Accepted on both servers."""
    urls = [server.url for server in fleet]
    async with Http() as http:
        options = {"issuer": issuer_server.issuer, "public_url": fleet[0].public_url, "learns_from_all": False}
        clients = [SteadyClient(http, *urls, **options) for _ in range(12)]
        await each_asks(clients, times=5)
        assert {tuple(answer.status for answer in client.answers) for client in clients} == {(401, 200, 200, 200, 200)}
        for client in clients:
            client.answers.clear()
        yield clients


async def _send(client, fleet, batch):
    """The answers of both servers in turn; more than enough for all workers."""
    urls = itertools.cycle(f"{server.url}/resource" for server in fleet)
    return await asyncio.gather(*(client.http.get(next(urls), headers=headers) for headers in batch))


def _statuses(answers):
    return Counter(answer.status_code for answer in answers)


@pytest.mark.requirement("R-9-07", "R-11.1-03", "R-11.1-04")
async def test_a_proof_sent_two_hundred_times_at_once_to_both_servers_passes_once(fleet, clients):
    for client in clients[:5]:
        answers = await _send(client, fleet, [client.signed()] * COPIES)
        assert _statuses(answers) == {200: 1, 401: COPIES - 1}
        challenges = {answer.headers["www-authenticate"] for answer in answers if answer.status_code == 401}
        assert [challenge.split(",")[0] for challenge in challenges] == ['DPoP error="invalid_dpop_proof"']


@pytest.mark.requirement("R-9-07", "R-11.1-04")
async def test_nonces_and_used_proofs_outlive_a_restart_of_every_server(fleet, clients):
    client, *_ = clients
    used = client.signed()
    before = await _send(client, fleet, [used])
    for server in fleet:
        server.stop()
    for server in fleet:
        server.start()
    # By new connections: the servers have closed the old ones.
    async with Http() as client.http:
        replayed = await _send(client, fleet, [used] * 2)
        fresh = await _send(client, fleet, [client.signed() for _ in range(20)])
    assert [_statuses(answers) for answers in (before, replayed, fresh)] == [{200: 1}, {401: 2}, {200: 20}]


# What an operator revokes by a command


async def _dpop_asgi(redis, *arguments):
    """Runs a command while the clients go on."""
    command = [sys.executable, "-m", "dpop_asgi.cli", *arguments]
    environment = {**os.environ, "DPOP_STORE": redis.url}
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return time.monotonic()


async def _go_on(clients, done):
    while not done.is_set():
        await each_asks(clients, times=1)
        await asyncio.sleep(0.02)


async def test_of_a_stolen_batch_nothing_is_accepted_and_each_client_is_challenged_once(fleet, redis, clients):
    busy, idle = clients[:6], clients[6:]
    stolen = [client.signed() for client in clients for _ in range(10)]
    done = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_go_on(busy, done))
        revoked_at = await _dpop_asgi(redis, "nonces", "revoke")
        await asyncio.sleep(SECOND)
        answers = await _send(idle[0], fleet, stolen)
        done.set()
    assert {answer.headers["www-authenticate"].split(",")[0] for answer in answers} == {'DPoP error="use_dpop_nonce"'}
    await each_asks(idle, times=10)
    for client in clients:
        (challenge,) = client.challenges
        old = challenge.nonce_sent
        assert {answer.status for answer in client.answers if answer is not challenge} == {200}
        assert not [
            answer
            for answer in client.answers
            if answer.status == 200 and answer.nonce_sent == old and answer.asked_at > revoked_at + SECOND
        ]


async def test_a_revoked_key_is_refused_by_all_workers_and_the_others_notice_nothing(fleet, redis, clients):
    victim, *others = clients
    thumbprint = victim.client.thumbprint
    done = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_go_on(others, done))
        await _dpop_asgi(redis, "revoke", "--key", thumbprint)
        await asyncio.sleep(SECOND)
        refused = await _send(victim, fleet, [victim.signed() for _ in range(40)])
        await _dpop_asgi(redis, "revoke", "--key", thumbprint, "--undo")
        await asyncio.sleep(SECOND)
        accepted = await _send(victim, fleet, [victim.signed() for _ in range(40)])
        done.set()
    assert {(answer.status_code, answer.json()["error"]) for answer in refused} == {(401, "invalid_token")}
    assert {answer.status_code for answer in accepted} == {200}
    assert {answer.status for client in others for answer in client.answers} == {200}
