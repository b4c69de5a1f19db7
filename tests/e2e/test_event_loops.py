"""One app in several event loops in turn, as in tests and notebooks."""

import asyncio
import gc
import subprocess
import sys

import pytest
import uvloop
from redis.asyncio import Redis
from starlette.testclient import TestClient

from dpop_asgi import RedisStore
from dpop_asgi.testing import Client
from tests.support.api import PUBLIC_URL
from tests.support.complaints import no_complaints
from tests.support.loops import WAYS, ask, begin_many, nobody_is_connected, run_in, statuses_of
from tests.support.processes import ROOT, STRICT
from tests.support.proxied_redis import ProxyThread
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


def test_a_loop_of_a_notebook_stays_open_from_cell_to_cell(redis_server, service, alice):
    with no_complaints():
        loop = asyncio.new_event_loop()
        for _ in range(TURNS):
            nonce = loop.run_until_complete(service.learn_nonce(alice))
            request = alice.request(nonce)
            assert loop.run_until_complete(statuses_of(service, [request])) == [200]
            assert loop.run_until_complete(statuses_of(service, [request])) == [401]
        loop.run_until_complete(service.authenticator.aclose())
        nobody_is_connected(redis_server)
        loop.close()


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


def test_a_test_client_that_makes_a_loop_for_each_request_is_served(redis_server, service, alice):
    """Starlette's does, outside of a `with`."""
    client = TestClient(service.app, base_url=PUBLIC_URL)
    statuses = []
    with no_complaints():
        nonce = client.get("/r", headers=_fields(alice.request())).headers["dpop-nonce"]
        for _ in range(TURNS):
            fields = _fields(alice.request(nonce))
            statuses += [client.get("/r", headers=fields).status_code for _ in range(2)]
        nobody_is_connected(redis_server)
    assert statuses == [200, 401] * TURNS


def _fields(scope):
    return {name.decode(): value.decode() for name, value in scope["headers"] if name != b"host"}


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


@pytest.mark.parametrize("run", WAYS)
def test_a_client_of_the_users_is_never_closed(redis_server, issuer_server, alice, run):
    async def in_one_loop():
        async with Redis.from_url(redis_server.url, single_connection_client=True) as client:
            before = await client.client_id()
            service = Service(issuer_server.issuer, RedisStore(client, timeout=10.0))
            status = await ask(service, alice)
            await service.authenticator.aclose()
            assert await client.client_id() == before
            return status

    with no_complaints():
        assert [run(in_one_loop()) for _ in range(3)] == [200, 200, 200]
        nobody_is_connected(redis_server)


@pytest.mark.parametrize("run", WAYS)
def test_a_loop_that_ends_after_the_users_client_was_closed_says_nothing(redis_server, issuer_server, alice, run):
    async def in_one_loop():
        async with Redis.from_url(redis_server.url) as client:
            return await ask(Service(issuer_server.issuer, RedisStore(client, timeout=10.0)), alice)

    with no_complaints():
        assert [run(in_one_loop()) for _ in range(3)] == [200, 200, 200]
        nobody_is_connected(redis_server)
