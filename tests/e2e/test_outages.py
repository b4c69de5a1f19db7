"""Redis is killed, or hangs, and comes back, while clients go on asking."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import pytest

from tests.support.busy import Watch, patient
from tests.support.connections import Http
from tests.support.load import Answer, SteadyClient, all_go_on, each_asks, wait_for_workers
from tests.support.processes import RedisServer, ResourceServer

# The window lasts for (lookahead - 1) periods at least without Redis: longer than it is away here.
PERIOD, LOOKAHEAD, PERIODS_AWAY = 2.0, 5, 2
SECONDS_BEFORE, SECONDS_AFTER = 1.0, 2.0
# Redis is looked for five times a second, so within this time after it is back everything is as before.
RECOVERY = 1.0
PAUSE = 0.4
TIMEOUT = 0.25
# For every answer, whatever happens to Redis: twice the deadline of a call to it, and as much for fifty clients.
PROMISED = 4 * TIMEOUT


def _kill(redis: RedisServer) -> Callable[[], object]:
    redis.stop(signal.SIGKILL)
    return redis.start


def _freeze(redis: RedisServer) -> Callable[[], object]:
    """It still takes connections and bytes, but answers nothing."""
    with redis.client() as connection:
        process = connection.info("server")["process_id"]
    os.kill(process, signal.SIGSTOP)
    return lambda: os.kill(process, signal.SIGCONT)


@dataclass
class Observed:
    """Every answer of a server that refuses and of one that accepts while Redis is away, and when that was.

    Attributes:
        times: how much longer than usual everything is given, as the machine is busy.
        machine: how busy it was meanwhile.
    """

    times: float
    machine: Watch
    refusing: list[SteadyClient]
    accepting: list[SteadyClient]
    newcomers: list[SteadyClient] = field(default_factory=list)
    away_from: float = 0.0
    away_until: float = 0.0
    back_at: float = 0.0

    @property
    def answers(self) -> list[Answer]:
        return [answer for client in self.refusing + self.accepting + self.newcomers for answer in client.answers]

    def was_away(self, answer: Answer) -> bool:
        return answer.asked_at > self.away_from and answer.answered_at < self.away_until

    def was_back(self, answer: Answer) -> bool:
        return answer.asked_at > self.back_at + RECOVERY * self.times


async def _break(redis, breaks, observed, seconds):
    await asyncio.sleep(SECONDS_BEFORE)
    repair = await asyncio.to_thread(breaks, redis)
    observed.away_from = time.monotonic()
    await asyncio.sleep(seconds)
    observed.away_until = time.monotonic()
    await asyncio.to_thread(repair)
    observed.back_at = time.monotonic()


async def _arrive(make, newcomers, *, seconds):
    """One client after the other without a nonce: it is told one, and uses it."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        newcomers.append(make())
        await newcomers[-1].ask()
        await newcomers[-1].ask()
        await asyncio.sleep(0.1)


async def _observe(redis, breaks, refusing, accepting, issuer, period, machine):
    times, away = period / PERIOD, period * PERIODS_AWAY
    seconds = SECONDS_BEFORE + away + (RECOVERY + SECONDS_AFTER) * times
    async with Http() as http:
        observed = Observed(
            times,
            machine,
            [SteadyClient(http, refusing.url, issuer=issuer) for _ in range(40)],
            [SteadyClient(http, accepting.url, issuer=issuer) for _ in range(10)],
        )
        steady = observed.refusing + observed.accepting
        # Connections, keys of the issuer and nonces are there before the watch begins: a challenge, and 200.
        await each_asks(steady, times=2)
        for client in steady:
            client.answers.clear()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_break(redis, breaks, observed, away))
            tasks.create_task(all_go_on(steady, seconds=seconds, pause=PAUSE * times))
            arriving = partial(SteadyClient, http, refusing.url, issuer=issuer)
            tasks.create_task(_arrive(arriving, observed.newcomers, seconds=seconds))
    return observed


@pytest.fixture(scope="module", params=[pytest.param(_kill, id="killed"), pytest.param(_freeze, id="frozen")])
def observed(request, redis_binary, issuer_server):
    issuer, period = issuer_server.issuer, patient(PERIOD)
    nonces = {"nonce_period": period, "nonce_lookahead": LOOKAHEAD}
    with RedisServer(redis_binary) as redis, Watch() as machine:
        usual = {"store": redis.url, "store_timeout": TIMEOUT * period / PERIOD, **nonces}
        refusing = ResourceServer(issuer, workers=2, **usual)
        accepting = ResourceServer(issuer, on_store_failure="accept", **usual)
        with refusing, accepting:
            wait_for_workers(redis, 3, refusing, accepting)
            return asyncio.run(_observe(redis, request.param, refusing, accepting, issuer, period, machine))


def test_every_request_is_answered_soon_before_during_and_after_an_outage(observed):
    assert {answer.status for answer in observed.answers} == {200, 401, 503}
    assert max(answer.seconds for answer in observed.answers) < observed.machine.allows(PROMISED * observed.times)


@pytest.mark.requirement("R-9-08")
def test_no_request_passes_unremembered_during_an_outage(observed):
    answers = [answer for client in observed.refusing for answer in client.answers if observed.was_away(answer)]
    assert {answer.status for answer in answers if not answer.is_challenge} == {503}


@pytest.mark.requirement("R-9-08")
def test_the_answer_to_an_outage_says_when_to_come_back_and_nothing_about_credentials(observed):
    unavailable = [answer for answer in observed.answers if answer.status == 503]
    assert {answer.headers["retry-after"] for answer in unavailable} == {"1"}
    assert not any({"www-authenticate", "dpop-nonce"} & answer.headers.keys() for answer in unavailable)


@pytest.mark.requirement("R-9-02", "R-9-07", "R-9-08")
def test_challenges_hand_out_usable_and_rotating_nonces_during_an_outage(observed):
    newcomers = [client for client in observed.newcomers if observed.was_away(client.answers[0])]
    assert all(client.answers[0].is_challenge for client in newcomers)
    assert {client.answers[1].status for client in newcomers if observed.was_away(client.answers[1])} == {503}
    assert len({client.answers[0].nonce for client in newcomers}) >= PERIODS_AWAY


def test_every_request_is_accepted_again_without_a_restart_when_redis_has_recovered(observed):
    answers = [answer for client in observed.refusing for answer in client.answers if observed.was_back(answer)]
    assert {answer.status for answer in answers} == {200}
    newcomers = [client for client in observed.newcomers if observed.was_back(client.answers[0])]
    assert {tuple(answer.status for answer in client.answers) for client in newcomers} == {(401, 200)}


def test_a_server_that_accepts_meanwhile_answers_every_request_during_an_outage(observed):
    for client in observed.accepting:
        challenges = [answer for answer in client.answers if answer.is_challenge]
        assert {answer.status for answer in client.answers if answer not in challenges} == {200}
        # A Redis that was restarted is another incarnation: its nonces are new.
        assert len(challenges) <= 3
        assert not any(observed.was_away(answer) for answer in challenges)
    assert any(observed.was_away(answer) for client in observed.accepting for answer in client.answers)
