"""The issuer is away: with its keys known nothing changes, without them the answer is 503."""

import asyncio
import contextlib
import socket

import pytest

from dpop_asgi.testing import Issuer
from tests.support.load import SteadyClient, connections
from tests.support.processes import AUDIENCE, IssuerServer, ResourceServer, wait_until


async def _ask(server, issuer, *, times=1):
    """The answers to so many clients at once, each of which has a nonce already."""
    async with connections() as http:
        clients = [SteadyClient(http, server.url, issuer=issuer) for _ in range(times)]
        challenge = await clients[0].ask()
        assert challenge.is_challenge
        for client in clients:
            client.nonce = challenge.nonce
        return await asyncio.gather(*(client.ask() for client in clients))


def _assert_unavailable(answer):
    assert answer.status == 503
    assert answer.headers["retry-after"] == "1"
    assert not {"www-authenticate", "dpop-nonce"} & answer.headers.keys()


async def test_an_issuer_that_starts_later_is_found_without_a_restart():
    issuer_server = IssuerServer()
    with ResourceServer(issuer_server.issuer) as server:
        for answer in await _ask(server, issuer_server.issuer, times=5):
            _assert_unavailable(answer)
        with issuer_server:
            await asyncio.to_thread(
                wait_until,
                lambda: asyncio.run(_ask(server, issuer_server.issuer))[0].status == 200,
                "still unavailable",
            )


@pytest.fixture
def silent_issuer():
    """It takes connections and never answers."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listening:
        yield Issuer(f"http://127.0.0.1:{listening.getsockname()[1]}", audience=AUDIENCE)


async def test_an_issuer_that_hangs_does_not_make_every_request_hang(silent_issuer):
    with ResourceServer(silent_issuer) as server:
        found_out = await _ask(server, silent_issuer, times=5)
        afterwards = await _ask(server, silent_issuer, times=20)
    for answer in [*found_out, *afterwards]:
        _assert_unavailable(answer)
    assert max(answer.seconds for answer in afterwards) < min(answer.seconds for answer in found_out) / 2


async def test_tokens_are_verified_with_the_known_keys_when_the_issuer_has_gone():
    issuer_server = IssuerServer()
    with ResourceServer(issuer_server.issuer) as server:
        with issuer_server:
            await _ask(server, issuer_server.issuer)
        answers = await _ask(server, issuer_server.issuer, times=5)
    assert [answer.status for answer in answers] == [200] * 5
