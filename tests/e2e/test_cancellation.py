"""Clients that go away at any point: of those who stay nobody loses a reply or gets another's."""

import asyncio
import gc
from functools import partial
from random import Random

import pytest
import uvloop

from dpop_asgi import RedisStore
from dpop_asgi.testing import Client
from tests.support.fault_proxy import FaultProxy
from tests.support.processes import wait_until
from tests.support.service import Caller, Service

WAVES, AT_ONCE, COPIES = 12, 250, 50
LOOPS = [
    pytest.param(asyncio.new_event_loop, id="asyncio"),
    pytest.param(uvloop.new_event_loop, id="uvloop"),
]


# Far beyond what a busy machine needs: whatever takes so long hangs.
HANGS_AFTER = 30.0
CANCELLED = object()


class Chaos:
    """Cancels by dice, and listens to what the event loop complains about."""

    def __init__(self, dice):
        self._dice = dice
        self.complaints = []

    async def all_of(self, actions):
        """Run them at once, and cancel half of them within forty turns of the loop: what each gave, or `CANCELLED`."""
        asyncio.get_running_loop().set_exception_handler(lambda _, context: self.complaints.append(context))
        tasks = [asyncio.create_task(action()) for action in actions]
        chosen = [task for task in tasks if self._dice.random() < 0.5]
        cancellers = [asyncio.create_task(_cancel(task, self._dice.randrange(40))) for task in chosen]
        async with asyncio.timeout(HANGS_AFTER):
            in_time = await asyncio.gather(*cancellers)
            await asyncio.gather(*tasks, return_exceptions=True)
        assert [task.cancelled() for task in chosen] == in_time, "somebody swallowed a cancellation"
        return [CANCELLED if task.cancelled() else task.result() for task in tasks]

    async def check_nothing_is_left(self):
        """No task, and no complaint of the event loop about one."""
        async with asyncio.timeout(HANGS_AFTER):
            while others := asyncio.all_tasks() - {asyncio.current_task()}:
                await asyncio.wait(others)
        gc.collect()
        await asyncio.sleep(0)
        assert self.complaints == []


async def _cancel(task, turns):
    """Whether there still was something to cancel."""
    for _ in range(turns):
        await asyncio.sleep(0)
    return task.cancel()


@pytest.fixture
def callers(issuer_server):
    clients = [Client() for _ in range(5)]
    return [Caller(f"subject-{number}", clients[number % 5], issuer_server.issuer) for number in range(50)]


def _answers_by_request(asked, answers):
    """What was answered to each request and its copies; whoever was accepted is told who they are."""
    found = {id(scope): [] for _, scope in asked}
    for (caller, scope), answer in zip(asked, answers, strict=True):
        found[id(scope)].append(answer if answer is CANCELLED else answer.status)
        assert (
            answer is CANCELLED
            or answer.status == 401
            or (answer.status, answer.body) == (200, caller.subject.encode())
        )
    return found


def _check_first_uses(found):
    """Of a request and its copies one is accepted; none only where some were cancelled. Gives those that may be new."""
    for statuses in found.values():
        assert statuses.count(200) == 1 or (CANCELLED in statuses and 200 not in statuses), statuses
    return {request for request, statuses in found.items() if 200 not in statuses}


async def _wave(service, chaos, callers, dice):
    """New requests and copies of some, half of them cancelled; then again those that may pass, and some others."""
    nonce = await service.authenticator.challenge_nonce()
    if dice.random() < 0.5:
        service.restart()
    asked = [(caller, caller.request(nonce)) for caller in dice.choices(callers, k=AT_ONCE - COPIES)]
    asked += dice.choices(asked, k=COPIES)
    dice.shuffle(asked)
    found = _answers_by_request(asked, await chaos.all_of([partial(service.ask, scope) for _, scope in asked]))
    unspent = _check_first_uses(found)
    scopes = {id(scope): scope for _, scope in asked}
    chosen = unspent | set(dice.choices(list(scopes), k=COPIES))
    again = dict(zip(chosen, await asyncio.gather(*(service.ask(scopes[one]) for one in chosen)), strict=True))
    assert {request for request, answer in again.items() if answer.status == 200} <= unspent


@pytest.mark.parametrize("new_loop", LOOPS)
def test_of_thousands_of_requests_cancelled_at_random_those_that_stay_get_their_own_answer(
    redis_server, issuer_server, callers, new_loop, seed
):
    async def all_waves():
        dice = Random(seed)
        store, chaos = RedisStore(redis_server.url, timeout=10.0), Chaos(dice)
        service = Service(issuer_server.issuer, store)
        for _ in range(WAVES):
            await _wave(service, chaos, callers, dice)
        await chaos.check_nothing_is_left()
        await store.aclose()
        await chaos.check_nothing_is_left()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(all_waves())


async def test_a_request_that_is_cancelled_before_redis_hears_of_it_passes_later(service, alice):
    request = alice.request(await service.learn_nonce(alice))
    asked = asyncio.create_task(service.ask(request))
    await asyncio.sleep(0)
    asked.cancel()
    await asyncio.wait([asked])
    assert [(await service.ask(request)).status for _ in range(2)] == [200, 401]


async def test_a_request_that_is_cancelled_when_redis_remembers_it_is_used_up(redis_server, issuer_server, alice):
    async with FaultProxy(redis_server.port) as proxy:
        store = RedisStore(proxy.url, timeout=60.0)
        service = Service(issuer_server.issuer, store)
        request = alice.request(await service.learn_nonce(alice))
        proxy.replies.silent = True
        asked = asyncio.create_task(service.ask(request))
        with redis_server.client() as connection:
            await asyncio.to_thread(wait_until, lambda: connection.keys("dpop:jti:*"), "Redis is not asked")
        assert asked.cancel()
        await asyncio.wait([asked])
        proxy.heal()
        proxy.reset_connections()
        assert (await service.ask(request)).status == 401
        await store.aclose()
