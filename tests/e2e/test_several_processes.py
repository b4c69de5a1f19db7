"""Two servers of two workers each behind one public address, one Redis: what one of them knows, all of them know."""

import asyncio
from collections import Counter

import pytest

from tests.support.connections import Http
from tests.support.load import SteadyClient

COPIES = 200


@pytest.fixture
async def caller(fleet, issuer_server):
    """Knows a nonce of the first server."""
    async with Http() as http:
        caller = SteadyClient(http, fleet[0].url, issuer=issuer_server.issuer, public_url=fleet[0].public_url)
        assert (await caller.ask()).is_challenge
        yield caller


async def _send(caller, *requests):
    """Each of these fields to its server, all at once."""
    sent = (caller.http.get(f"{server.url}/resource", headers=fields) for server, fields in requests)
    return await asyncio.gather(*sent)


def _statuses(answers):
    return Counter(answer.status_code for answer in answers)


@pytest.mark.requirement("R-9-07", "R-11.1-03")
async def test_a_nonce_from_one_server_works_at_once_on_the_other(fleet, caller):
    answers = await _send(caller, *((fleet[1], caller.signed()) for _ in range(50)))
    assert _statuses(answers) == {200: 50}


@pytest.mark.requirement("R-11.1-04")
@pytest.mark.parametrize("turn", range(5), ids="turn {}".format)
async def test_a_proof_sent_two_hundred_times_at_once_to_both_servers_passes_once(fleet, caller, turn):
    fields = caller.signed()
    answers = await _send(caller, *((fleet[copy % 2], fields) for copy in range(COPIES)))
    assert _statuses(answers) == {200: 1, 401: COPIES - 1}
    challenges = {answer.headers["www-authenticate"] for answer in answers if answer.status_code == 401}
    assert [challenge.split(",")[0] for challenge in challenges] == ['DPoP error="invalid_dpop_proof"']


@pytest.mark.requirement("R-9-07", "R-11.1-04")
async def test_nonces_and_used_proofs_outlive_a_restart_of_every_server(fleet, caller):
    used = caller.signed()
    before = await _send(caller, (fleet[0], used))
    for server in fleet:
        server.stop()
    for server in fleet:
        server.start()
    replayed = await _send(caller, *((server, used) for server in fleet))
    fresh = await _send(caller, *((server, caller.signed()) for server in fleet * 10))
    assert [_statuses(answers) for answers in (before, replayed, fresh)] == [{200: 1}, {401: 2}, {200: 20}]
