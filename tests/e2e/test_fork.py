"""Workers that a process manager forks from a process that has imported the app, or has used it even."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter

import pytest

from dpop_asgi.testing import Client
from tests.e2e.forking import CHILDREN
from tests.support.managers import Manager, answered_by
from tests.support.processes import ROOT, STRICT, wait_until

HTU = "https://api.example.com/resource"

MANAGERS = [
    pytest.param(("gunicorn", True), id="gunicorn, preloaded and used"),
    pytest.param(("gunicorn-asgi", True), id="gunicorn with its own worker, preloaded and used"),
    pytest.param(("uvicorn", False), id="uvicorn"),
]


@pytest.fixture(scope="module", params=MANAGERS)
def _manager(request, redis, issuer_server):
    name, used = request.param
    with redis.client() as connection:
        connection.flushall()
    with Manager(name, issuer_server.issuer, used=used, store=redis.url, store_timeout=10) as manager:
        yield manager


@pytest.fixture
def manager(_manager):
    """N20: whichever test comes first, and whichever has ended it."""
    if not _manager.running():
        _manager.start()
    return _manager


@pytest.fixture
def signed(issuer_server):
    """Makes the fields of a request by one client."""
    client = Client()
    token = issuer_server.issuer.access_token(client)
    return lambda nonce: client.headers("GET", HTU, token, nonce=nonce)


def _statuses(answers):
    return Counter(answer.status_code for answer in answers)


async def test_all_workers_agree_on_nonces_and_used_proofs_and_so_does_one_that_replaces_another(manager, signed):
    challenges = await manager.ask_everybody(lambda: signed(None))
    assert _statuses(challenges) == {401: len(challenges)}
    nonces = {challenge.headers["dpop-nonce"] for challenge in challenges}
    for nonce in [*nonces] * 5:
        request = signed(nonce)
        answers = await manager.ask_everybody(lambda request=request: request)
        assert _statuses(answers) == {200: 1, 401: len(answers) - 1}
    killed = answered_by(answers[0])
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: not _exists(killed), "the worker does not end")
    answers = await manager.ask_everybody(lambda: request)
    assert killed not in {answered_by(answer) for answer in answers}
    assert _statuses(answers) == {401: len(answers)}
    for nonce in nonces:
        new = await manager.ask_everybody(lambda nonce=nonce: signed(nonce))
        assert _statuses(new) == {200: len(new)}


def _exists(process):
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, 0)
        return True
    return False


async def test_all_ends_without_an_error(manager, redis, signed):
    await manager.ask_everybody(lambda: signed(None))
    manager.stop()
    assert not re.search("Traceback|Exception|unclosed|was destroyed|was never", manager.log), manager.log
    with redis.client() as connection:
        wait_until(lambda: len(connection.client_list()) == 1, "a connection was left open")


STATES = [
    pytest.param("imported", id="after the import"),
    pytest.param("used", id="after its use"),
    pytest.param("open", id="within its event loop"),
]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("state", STATES)
def test_processes_forked_by_hand_agree_and_throw_their_own_dice(redis_server, state, loop):
    command = [sys.executable, *STRICT, "-m", "tests.e2e.forking", state, loop, redis_server.url]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert [line for line in done.stderr.splitlines() if not line.startswith("rejected: proof_replayed ")] == []
    said = json.loads(done.stdout)
    assert len(set(said["nonces"])) == 1
    assert said["fresh"] == [[200] * 20] * CHILDREN
    assert said["replayed"] == [[200, *[401] * (CHILDREN - 1)]] * 5
    assert set(said["parent"]) <= {200}
    assert said["exit codes"] == [0] * CHILDREN
    values = [value for values in said["values"] for value in values]
    assert len(values) > 20 * CHILDREN
    assert len(set(values)) == len(values)
