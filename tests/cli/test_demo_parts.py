"""The parts of the demo: where its server is found, what is said when that ends, and when a nonce will have ended."""

import math
import os
import signal

import httpx2
import pytest

from dpop_asgi import MemoryStore
from dpop_asgi.cli.demo import conversation
from dpop_asgi.cli.demo.client import DemoClient
from dpop_asgi.cli.demo.conversation import NONCES, Conversation
from dpop_asgi.cli.demo.issuer import IssuerServer
from dpop_asgi.cli.demo.servers import CannotRun, ExampleServer, find_example
from dpop_asgi.errors import Reason, UseNonce
from dpop_asgi.nonces import NonceWindow
from tests.support.decisions import accepted_nonce
from tests.support.processes import free_port


@pytest.fixture
def issuer():
    with IssuerServer("https://api.example.com") as running:
        yield running.issuer
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(running.issuer.url)


@pytest.fixture
def server(issuer):
    settings = {"DPOP_ISSUER": issuer.url, "DPOP_AUDIENCE": issuer.audience, "DPOP_NONCE_PERIOD": "0"}
    with ExampleServer(settings) as server:
        yield server


def test_in_an_installed_package_the_example_is_found_inside(tmp_path):
    package = tmp_path / "dpop_asgi" / "cli" / "demo"
    package.mkdir(parents=True)
    (package / "resource_server.py").touch()
    assert find_example(tmp_path) == ("dpop_asgi.cli.demo.resource_server", tmp_path)


def test_an_installation_without_the_example_gets_the_folders_that_were_searched(tmp_path):
    with pytest.raises(CannotRun) as told:
        find_example(tmp_path)
    assert str(tmp_path / "examples") in str(told.value)
    assert "reinstall dpop-asgi" in str(told.value)


def test_a_server_that_does_not_start_leaves_its_last_words():
    with pytest.raises(CannotRun, match="DPOP_ISSUER: not set"), ExampleServer({}):
        pytest.fail("it runs")


def test_a_server_that_has_ended_is_told_from_one_that_does_not_answer(server):
    wire, url = DemoClient(server), server.url
    server.url = f"http://127.0.0.1:{free_port()}"
    for ask in (wire.get, wire.echo):
        with pytest.raises(CannotRun, match="There is no response to GET /ws"):
            ask("/ws", {})
    server.url = url
    os.kill(server.pid, signal.SIGKILL)
    os.waitid(os.P_PID, server.pid, os.WEXITED | os.WNOWAIT)
    for ask in (wire.get, wire.echo):
        with pytest.raises(CannotRun, match="The resource server exited with code -9"):
            ask("/ws", {})


def test_a_server_without_nonces_ends_the_conversation_with_a_reason(server, issuer):
    steps = Conversation(DemoClient(server), server.url, issuer, lambda *_: None).steps()
    assert [next(steps).agrees, next(steps).agrees] == [True, True]
    with pytest.raises(CannotRun, match="returned 401 without a nonce: authorization_missing"):
        list(steps)


# The arithmetic of nonces


@pytest.fixture
async def window(clock):
    """The real window that the arithmetic of the demo is about."""
    clock.now = NONCES.period * 1000
    window = NonceWindow(MemoryStore(clock=clock), NONCES, namespace="test", clock=clock)
    await window.ensure(clock.now)
    return window


async def offered_at(window, clock, phase):
    clock.now = NONCES.period * (1000 + phase)
    await window.ensure(clock.now)
    return window.to_issue(clock.now), conversation._slot_issued(clock.now)


@pytest.mark.parametrize("phase", [0.0, 0.1, 0.3, 0.5, 0.79, 0.81, 0.99])
async def test_the_demo_knows_how_long_the_nonce_is_good_that_it_was_handed(window, clock, phase):
    nonce, slot = await offered_at(window, clock, phase)
    middle, end = (slot + 0.5) * NONCES.period, NONCES.end(slot)
    await window.ensure(middle)
    assert window.to_issue(middle) == nonce
    assert (await accepted_nonce(window, nonce, math.nextafter(end, 0))).until == end
    with pytest.raises(UseNonce) as refused:
        await accepted_nonce(window, nonce, end)
    assert refused.value.reason is Reason.NONCE_EXPIRED
    # A rotated nonce is sent when it is old and still good.
    sent = (slot + 1 + conversation._INTO_SLOT) * NONCES.period
    assert (await accepted_nonce(window, nonce, sent)).age > NONCES.period
    assert window.to_issue(sent) != nonce
    assert end - sent > NONCES.period / 2, "time for a slow machine"


def test_an_attempt_that_took_too_long_is_made_again_and_the_last_one_shown_as_it_is():
    attempts = iter([(["too late"], 0.0), (["too late again"], 0.0), (["in time"], math.inf)])
    assert conversation._in_time(lambda: next(attempts)) == ["in time"]
    attempts = iter([([number], 0.0) for number in range(100)])
    assert conversation._in_time(lambda: next(attempts)) == [conversation._TRIES - 1]
