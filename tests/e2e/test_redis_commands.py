"""What a request costs in Redis, counted by Redis itself: one SET when it is accepted, nothing when it is refused."""

import asyncio
from collections import Counter

import pytest

from dpop_asgi.testing import Client
from tests.support.connections import Http
from tests.support.load import SteadyClient
from tests.support.processes import RedisServer, ResourceServer, patient_with


@pytest.fixture(scope="module")
def redis(redis_binary):
    with RedisServer(redis_binary) as server, server.client(single_connection_client=True) as connection:
        yield server, connection


@pytest.fixture(scope="module")
def server(redis, issuer_server):
    redis_server, _ = redis
    # Without a rotation in between: the nonces of a slot are agreed on by SET too.
    with ResourceServer(issuer_server.issuer, **patient_with(redis_server.url)) as running:
        yield running


@pytest.fixture
async def caller(server, issuer_server):
    """Challenged and accepted once: from then on Redis is connected and all nonces are known."""
    async with Http() as http:
        warm = SteadyClient(http, server.url, issuer=issuer_server.issuer)
        assert [(await warm.ask()).status for _ in range(2)] == [401, 200]
        yield warm


class _Commands(Counter):
    """The commands that Redis ran within `with`, as it tells them.

    Without what is asked by the second and not by the request: who Redis is, and what is revoked.
    """

    def __init__(self, connection):
        super().__init__()
        self._monitor, self._asking = connection.monitor(), connection

    def __enter__(self):
        self._monitor.__enter__()

    def __exit__(self, *_):
        self._asking.echo("over")
        while (command := self._monitor.next_command()["command"]) != "ECHO over":
            name, _, key = command.lower().partition(" ")
            self[name] += not (name == "info" or key.startswith("dpop:revoked:"))
        self._monitor.__exit__(None, None, None)
        self += Counter()


@pytest.fixture
def commands(redis):
    _, connection = redis
    return _Commands(connection)


async def test_accepted_requests_cost_one_set_each_also_at_the_same_time(caller, commands):
    with commands:
        answers = [await caller.ask() for _ in range(20)]
        answers += await asyncio.gather(*(caller.ask() for _ in range(50)))
    assert {answer.status for answer in answers} == {200}
    assert commands == {"set": 70}


@pytest.mark.requirement("R-11.1-04", "R-11.1-08")
@pytest.mark.parametrize(
    ("sent", "statuses", "cost"),
    [
        pytest.param(lambda c: c.signed(), [200, 401, 401], {"set": 3}, id="replayed"),
        pytest.param(lambda _: {}, [401] * 3, {}, id="no credentials"),
        pytest.param(lambda c: {"Authorization": f"DPoP {c.token} {c.token}"}, [400] * 3, {}, id="two tokens"),
        pytest.param(lambda c: {**c.signed(), "DPoP": "no.proof"}, [401] * 3, {}, id="malformed proof"),
        pytest.param(lambda c: c.signed(nonce="unknown"), [401] * 3, {}, id="unknown nonce"),
        pytest.param(lambda c: c.signed(signed_by=Client().key), [401] * 3, {}, id="signature"),
    ],
)
async def test_a_replay_costs_the_one_command_that_finds_it_out_and_other_faults_nothing(
    caller, commands, sent, statuses, cost
):
    """One of each kind; that no fault is looked up in the store is what test_authenticator_order says."""
    headers = sent(caller)
    with commands:
        answers = [await caller.ask(headers) for _ in range(3)]
    assert [answer.status for answer in answers] == statuses
    assert commands == cost
