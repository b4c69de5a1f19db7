"""The rows of the table of failures in docs/redis.md that are about processes, clients and clocks."""

import asyncio
import os
import signal
import socket
from pathlib import Path

from dpop_asgi import MemoryStore
from tests.support.api import Api, App, call, http_scope
from tests.support.connections import Http
from tests.support.load import SteadyClient, wait_for_workers
from tests.support.processes import ResourceServer, patient_with
from tests.support.wire import request_bytes


def _workers(server):
    """Process ids of the workers; multiprocessing has a helper process of its own beside them."""
    parent = server._process._popen.pid
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


async def test_a_worker_is_killed(redis_server, issuer_server):
    with ResourceServer(issuer_server.issuer, workers=2, **patient_with(redis_server.url)) as server:
        wait_for_workers(redis_server, 2, server)
        async with Http() as http:
            client = SteadyClient(http, server.url, issuer=issuer_server.issuer)
            assert [(await client.ask()).status for _ in range(2)] == [401, 200]
            proof, url = client.signed(), f"{server.url}/resource"
            assert (await http.get(url, headers=proof)).status_code == 200
        os.kill(_workers(server)[0], signal.SIGKILL)
        async with Http() as http:
            client.http = http
            assert {(await client.ask()).status for _ in range(10)} == {200}
            assert {(await http.get(url, headers=proof)).status_code for _ in range(10)} == {401}


async def test_a_client_disconnects_before_its_response(world):
    regular, before = await world.regular(), len(world.server.log)
    requests = [regular.signed() for _ in range(50)]
    for fields in requests:
        with socket.create_connection(("127.0.0.1", world.server.port)) as connection:
            connection.sendall(request_bytes("GET", "/resource", [("Host", world.server.url[7:]), *fields.items()]))
    assert {(await world.prompt(regular)).status for _ in range(10)} == {200}
    assert set(await world.statuses(*requests)) == {401}, "what reached the server is used"
    assert "ERROR" not in world.server.log[before:]


async def test_the_memory_store_is_full(issuer, client, clock):
    nonces, settings = 7, 1
    api = Api(App(), issuer, client, clock, store=MemoryStore(max_entries=nonces + settings + 1, clock=clock))
    used = await api.fields()
    statuses = [(await call(api.app, http_scope(headers=used.items()))).status for _ in range(2)]
    assert statuses == [200, 401]
    assert (await api.request()).status == 503
    assert (await call(api.app, http_scope(headers=used.items()))).status == 401, "nothing is forgotten for it"
    assert (await api.anonymous()).status == 401
    clock.advance(900.0)
    assert (await api.request()).status == 200


async def test_the_clocks_of_two_hosts_are_ten_seconds_apart(issuer, client, clock):
    store = MemoryStore(clock=clock)
    ahead = Api(App(), issuer, client, clock, store=store)
    behind = Api(App(), issuer, client, lambda: clock() - 10.0, store=store)
    assert (await behind.request(nonce=await ahead.authenticator.challenge_nonce())).status == 200
    assert (await ahead.request(nonce=await behind.authenticator.challenge_nonce())).status == 200
    used = await ahead.fields()
    assert (await call(ahead.app, http_scope(headers=used.items()))).status == 200
    for _ in range(400):
        clock.advance(1.0)
        assert (await call(behind.app, http_scope(headers=used.items()))).status == 401


async def test_a_host_sleeps_and_wakes_up(issuer, client, clock):
    api = Api(App(), issuer, client, clock)
    used = await api.fields()
    assert (await call(api.app, http_scope(headers=used.items()))).status == 200
    clock.advance(3600.0)
    assert (await call(api.app, http_scope(headers=used.items()))).status == 401
    challenged = await api.anonymous()
    assert (await api.request(nonce=challenged.one("dpop-nonce"), token=issuer.access_token(client))).status == 200


async def test_the_event_loop_is_blocked(world):
    """The reply is there when the loop looks again: it counts, though the deadline has passed."""
    regular = await world.regular()
    worker = world.server._process._popen.pid
    asked = asyncio.create_task(regular.ask())
    world.proxy.replies.delay = 0.05
    await asyncio.sleep(0.02)
    os.kill(worker, signal.SIGSTOP)
    await asyncio.sleep(0.5 * world.times)
    os.kill(worker, signal.SIGCONT)
    assert (await asked).status == 200
