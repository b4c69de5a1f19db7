"""Short slots and four workers: what rotation costs each kind of client."""

import asyncio
from dataclasses import dataclass
from itertools import pairwise

import pytest

from tests.support.busy import patient
from tests.support.connections import Http
from tests.support.load import SteadyClient, all_go_on
from tests.support.processes import RedisServer, ResourceServer, patient_with

PERIODS, GRACE = 8, 1
# A nonce is handed out as the current one until a fifth of its slot is left, and then as the next one. So from when
# it is handed out it lives between (grace + 0.2) and (grace + 1.2) periods.
SHORTEST_LIFE, LONGEST_LIFE = GRACE + 0.2, GRACE + 1.2
# Five requests within the shortest life, so that a hiccup of the machine loses none.
PAUSE = SHORTEST_LIFE / 5


@dataclass
class Observed:
    """What clients of each kind saw at the same time: one of its kind, one, and fifty. `period` is in seconds."""

    period: float
    reader: SteadyClient
    learner: SteadyClient
    crowd: list[SteadyClient]


async def _observe(url, issuer, period):
    async with Http() as http:
        reader = SteadyClient(http, url, issuer=issuer)
        learner = SteadyClient(http, url, issuer=issuer, learns_from_all=False)
        crowd = [SteadyClient(http, url, issuer=issuer) for _ in range(50)]
        await all_go_on([reader, learner, *crowd], seconds=PERIODS * period, pause=PAUSE * period)
    return Observed(period, reader, learner, crowd)


@pytest.fixture(scope="module")
def observed(redis_binary, issuer_server):
    period = patient(1.0)
    with RedisServer(redis_binary) as redis:
        settings = {**patient_with(redis.url), "nonce_period": period, "nonce_grace": GRACE}
        with ResourceServer(issuer_server.issuer, workers=4, **settings) as server:
            return asyncio.run(_observe(server.url, issuer_server.issuer, period))


def _rotations_followed(client):
    return len({answer.nonce_sent for answer in client.answers if answer.status == 200}) - 1


@pytest.mark.requirement("R-8-05", "R-8-06", "R-9-07")
def test_a_client_that_reads_every_answer_is_challenged_once_in_its_life(observed):
    client = observed.reader
    assert [answer.status for answer in client.answers] == [401] + [200] * (len(client.answers) - 1)
    assert client.answers[0].is_challenge
    assert _rotations_followed(client) >= PERIODS - 2


@pytest.mark.requirement("R-8-05")
def test_a_client_that_learns_from_challenges_alone_sees_at_most_one_per_window(observed):
    client = observed.learner
    challenges = client.challenges
    assert {answer.status for answer in client.answers if answer not in challenges} == {200}
    for earlier, later in pairwise(challenges):
        assert later.answered_at - earlier.asked_at >= SHORTEST_LIFE * observed.period
    # A challenge comes with the first request after the nonce has died, so one pause and a half later at most.
    assert len(challenges) >= PERIODS // (LONGEST_LIFE + 1.5 * PAUSE)


@pytest.mark.requirement("R-8-06", "R-9-07")
def test_fifty_clients_see_no_challenge_but_their_first(observed):
    for client in observed.crowd:
        assert [answer.status for answer in client.answers] == [401] + [200] * (len(client.answers) - 1)
        assert _rotations_followed(client) >= PERIODS - 2
