"""One app in several event loops at the same time: in threads, or while another stands still."""

import asyncio
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import uvloop

from dpop_asgi import RedisStore
from tests.support.complaints import no_complaints
from tests.support.loops import answers_to, ask, begin_many, nobody_is_connected, statuses_of


@pytest.mark.parametrize("turns", [1, 3, 10, 20, 40])
def test_a_loop_that_stands_still_in_the_middle_of_requests_keeps_nobody_waiting(redis_server, service, alice, turns):
    """As in a notebook, between two cells."""
    with no_complaints(), asyncio.Runner() as paused:
        begun = paused.run(begin_many(service, alice, turns=turns))
        assert [asyncio.run(ask(service, alice)) for _ in range(2)] == [200, 200]
        assert paused.run(ask(service, alice)) == 200
        assert {answer.status for answer in paused.run(answers_to(begun))} == {200}


def _at_once(*jobs):
    """Run each in an event loop and a thread of its own; all begin together."""
    start = threading.Barrier(len(jobs))

    def begin(new_loop, job):
        with asyncio.Runner(loop_factory=new_loop) as runner:
            start.wait()
            return runner.run(job())

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(begin, *zip(*jobs, strict=True)))


def test_two_loops_in_two_threads_at_once_agree_on_every_proof(redis_server, service, alice):
    nonce = asyncio.run(service.learn_nonce(alice))
    requests = [alice.request(nonce) for _ in range(300)]
    service.restart()

    async def in_one_loop():
        own = [alice.request(await service.learn_nonce(alice)) for _ in range(100)]
        return await statuses_of(service, requests), await statuses_of(service, own)

    with no_complaints():
        (one, own), (two, others_own) = _at_once(
            (asyncio.new_event_loop, in_one_loop), (uvloop.new_event_loop, in_one_loop)
        )
        nobody_is_connected(redis_server)
    assert all({a, b} == {200, 401} for a, b in zip(one, two, strict=True))
    assert own == others_own == [200] * 100


@pytest.fixture
def threads_take_turns_often():
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("threads_take_turns_often")
def test_eight_threads_that_are_the_first_to_ask_open_one_connection_each(redis_server):
    async def put():
        return await asyncio.gather(*(store.put_if_absent("key", "mine", ttl=60.0) for _ in range(3)))

    with redis_server.client() as connection, no_complaints():
        for _ in range(50):
            store = RedisStore(redis_server.url, timeout=10.0)
            before = connection.info("stats")["total_connections_received"]
            assert _at_once(*[(asyncio.new_event_loop, put)] * 8) == [["mine"] * 3] * 8
            assert connection.info("stats")["total_connections_received"] - before == 8
