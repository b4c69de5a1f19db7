"""Two servers of two workers each behind one public address, one Redis: what one of them knows, all of them know."""

import asyncio
from collections import Counter

import pytest

from dpop_asgi.testing import Client
from tests.support.connections import Http

PUBLIC_URL = "https://api.example.com"
HTU = f"{PUBLIC_URL}/resource"
COPIES = 200


class _Caller:
    """A client that says which server it talks to."""

    def __init__(self, http, issuer):
        self._http = http
        self._client = Client()
        self._token = issuer.access_token(self._client)

    def headers(self, nonce=None):
        return self._client.headers("GET", HTU, self._token, nonce=nonce)

    async def ask(self, server, headers):
        return await self._http.get(f"{server.url}/resource", headers=headers)

    async def learn_nonce(self, server):
        answer = await self.ask(server, self.headers())
        assert answer.status_code == 401
        return answer.headers["dpop-nonce"]


@pytest.fixture
async def caller(issuer_server):
    async with Http() as http:
        yield _Caller(http, issuer_server.issuer)


def _statuses(answers):
    return Counter(answer.status_code for answer in answers)


@pytest.mark.requirement("R-9-07", "R-11.1-03")
async def test_a_nonce_from_one_server_works_at_once_on_the_other(fleet, caller):
    nonce = await caller.learn_nonce(fleet[0])
    answers = await asyncio.gather(*(caller.ask(fleet[1], caller.headers(nonce)) for _ in range(50)))
    assert _statuses(answers) == {200: 50}


@pytest.mark.requirement("R-11.1-04")
@pytest.mark.parametrize("turn", range(5), ids="turn {}".format)
async def test_a_proof_sent_two_hundred_times_at_once_to_both_servers_passes_once(fleet, caller, turn):
    headers = caller.headers(await caller.learn_nonce(fleet[0]))
    answers = await asyncio.gather(*(caller.ask(fleet[copy % 2], headers) for copy in range(COPIES)))
    assert _statuses(answers) == {200: 1, 401: COPIES - 1}
    challenges = {answer.headers["www-authenticate"] for answer in answers if answer.status_code == 401}
    assert [challenge.split(",")[0] for challenge in challenges] == ['DPoP error="invalid_dpop_proof"']


@pytest.mark.requirement("R-9-07", "R-11.1-04")
async def test_nonces_and_used_proofs_outlive_a_restart_of_every_server(fleet, caller):
    nonce = await caller.learn_nonce(fleet[0])
    spent = caller.headers(nonce)
    before = await caller.ask(fleet[0], spent)
    for server in fleet:
        server.stop()
    for server in fleet:
        server.start()
    replayed = await asyncio.gather(*(caller.ask(server, spent) for server in fleet))
    fresh = await asyncio.gather(*(caller.ask(server, caller.headers(nonce)) for server in fleet * 10))
    assert before.status_code == 200
    assert _statuses(replayed) == {401: 2}
    assert _statuses(fresh) == {200: 20}
