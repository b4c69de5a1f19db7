"""One app in several event loops, in turn as in tests and notebooks, and at the same time."""

import asyncio
import gc
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import uvloop
from redis.asyncio import Redis

from dpop_asgi import RedisStore
from dpop_asgi.testing import Client
from tests.support.fault_proxy import ProxyThread
from tests.support.loops import WAYS, ask, begin_many, no_complaints, nobody_is_connected, run_in, statuses_of
from tests.support.processes import ROOT, STRICT
from tests.support.service import Caller, Service
from tests.support.serving import IssuerServer

TURNS = 5


@pytest.mark.parametrize("run", WAYS)
def test_loops_in_turn_agree_on_nonces_and_used_proofs_and_leave_nothing_open(redis_server, service, alice, run):
    async def first():
        request = alice.request(await service.learn_nonce(alice))
        return request, await statuses_of(service, [request])

    with no_complaints():
        used, statuses = run(first())
        assert statuses == [200]
        for _ in range(TURNS):
            nonce = run(service.learn_nonce(alice))
            new = alice.request(nonce)
            assert run(statuses_of(service, [new, used])) == [200, 401]
            used = new
        nobody_is_connected(redis_server)


@pytest.mark.parametrize("run", WAYS)
def test_keys_that_the_issuer_rotates_are_fetched_in_whichever_loop_needs_them(redis_server, run):
    with no_complaints(), IssuerServer() as server:
        service = Service(server.issuer, RedisStore(redis_server.url, timeout=10.0))
        for _ in range(3):
            server.issuer.rotate()
            service.restart()
            caller = Caller("alice", Client(), server.issuer)
            assert [run(ask(service, caller)) for _ in range(2)] == [200, 200]


@pytest.mark.parametrize("run", WAYS)
def test_a_loop_that_ends_during_the_self_check_leaves_nothing_of_it_behind(redis_server, run):
    """The check of new connections went on without its loop, now and then: a task that was destroyed, open sockets."""

    async def main():
        await store.put_if_absent("key", "value", ttl=60.0)
        proxy.tell(lambda told: setattr(told, "silent", True))
        [mine] = store._per_loop.values()
        check = asyncio.create_task(mine.route.why_unfenced())
        for _ in range(50):
            await asyncio.sleep(0)
        return check.done()

    with ProxyThread(redis_server.port) as proxy, no_complaints():
        store = RedisStore(proxy.url, timeout=10.0)
        assert run(main()) is False


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_loop_that_ends_in_the_middle_of_requests_leaves_the_next_one_unharmed(
    redis_server, issuer_server, alice, new_loop
):
    issuer = issuer_server.issuer
    service = Service(issuer, RedisStore(redis_server.url, timeout=10.0), jwks=issuer.jwks)
    run, unfinished = run_in(new_loop), 0
    with no_complaints():
        for turns in range(15):
            begun = run(begin_many(service, alice, turns=turns))
            unfinished += sum(task.cancelled() for task in begun)
            assert run(ask(service, alice)) == 200
        nobody_is_connected(redis_server)
    assert unfinished >= 50


# When a loop ends while anyio is about to connect, anyio leaves a coroutine behind.
@pytest.mark.filterwarnings("ignore:coroutine 'connect_tcp.:RuntimeWarning")
@pytest.mark.parametrize("turns", [0, 1, 2, 5, 10, 20])
def test_a_loop_that_ends_while_keys_are_fetched_leaves_the_next_one_to_fetch_them(service, alice, turns):
    assert all(task.cancelled() for task in asyncio.run(begin_many(service, alice, turns=turns)))
    assert [asyncio.run(ask(service, alice)) for _ in range(2)] == [200, 200]
    gc.collect()


PROGRAM = """
import asyncio, sys
import uvloop
from dpop_asgi import RedisStore
from dpop_asgi.testing import Client, Issuer
from tests.support.service import Caller, Service

def run_in_one_runner(main):
    with asyncio.Runner() as runner:
        return runner.run(main)

async def ask():
    return (await service.ask(alice.request(await service.learn_nonce(alice)))).status

way, url = sys.argv[1:]
run = {"asyncio.run": asyncio.run, "uvloop.run": uvloop.run, "Runner": run_in_one_runner}[way]
issuer = Issuer("https://id.example.com", audience="https://api.example.com")
alice = Caller("alice", Client(), issuer)
service = Service(issuer, RedisStore(url, timeout=10.0), jwks=issuer.jwks)
print([run(ask()) for _ in range(3)])
"""


@pytest.mark.parametrize("way", ["asyncio.run", "uvloop.run", "Runner"])
def test_a_program_that_closes_nothing_ends_without_a_word(redis_server, way):
    command = [sys.executable, *STRICT, "-c", PROGRAM, way, redis_server.url]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.stdout, done.stderr) == ("[200, 200, 200]\n", "")


@pytest.mark.parametrize("closes", [True, False], ids=["closed by us", "closed by its owner"])
@pytest.mark.parametrize("run", WAYS)
def test_a_client_of_the_users_is_never_closed(redis_server, issuer_server, alice, run, closes):
    async def in_one_loop():
        async with Redis.from_url(redis_server.url, single_connection_client=closes) as client:
            service = Service(issuer_server.issuer, RedisStore(client, timeout=10.0))
            if not closes:
                return await ask(service, alice)
            before, status = await client.client_id(), await ask(service, alice)
            await service.authenticator.aclose()
            assert await client.client_id() == before
            return status

    with no_complaints():
        assert [run(in_one_loop()) for _ in range(3)] == [200, 200, 200]
        nobody_is_connected(redis_server)


# At the same time: in threads, or while another stands still


async def all_of(tasks):
    return await asyncio.gather(*tasks)


@pytest.mark.parametrize("turns", [1, 3, 10, 20, 40])
def test_a_loop_that_stands_still_in_the_middle_of_requests_keeps_nobody_waiting(redis_server, service, alice, turns):
    """As in a notebook, between two cells."""
    with no_complaints(), asyncio.Runner() as paused:
        begun = paused.run(begin_many(service, alice, turns=turns))
        assert [asyncio.run(ask(service, alice)) for _ in range(2)] == [200, 200]
        assert paused.run(ask(service, alice)) == 200
        assert {answer.status for answer in paused.run(all_of(begun))} == {200}


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
