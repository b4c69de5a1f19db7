import os
import signal
import time

import pytest

from dpop_asgi.cli.demo.client import DemoClient
from dpop_asgi.cli.demo.conversation import Conversation
from dpop_asgi.cli.demo.issuer import IssuerServer
from dpop_asgi.cli.demo.servers import CannotRun, ExampleServer
from tests.support.processes import free_port


@pytest.fixture
def issuer():
    with IssuerServer("https://api.example.com") as running:
        yield running.issuer


@pytest.fixture
def server(issuer):
    with ExampleServer(
        {"DPOP_ISSUER": issuer.url, "DPOP_AUDIENCE": issuer.audience, "DPOP_NONCE_PERIOD": "0"}
    ) as server:
        yield server


@pytest.mark.parametrize("request_name", ["get", "echo"])
def test_an_answer_is_kept_as_it_was_on_the_wire(server, request_name):
    before = time.time()
    exchange = getattr(DemoClient(server), request_name)("/ws", {"Authorization": "DPoP abc"})
    assert exchange.request_line == "GET /ws"
    assert exchange.sent["Authorization"] == "DPoP abc"
    assert before <= exchange.sent_at <= time.time()
    assert (exchange.status, exchange.phrase) == (401, "Unauthorized")
    assert (exchange.error, exchange.reason) == ("invalid_dpop_proof", "proof_missing")
    assert exchange.milliseconds > 0


@pytest.mark.parametrize("request_name", ["get", "echo"])
def test_a_server_that_has_ended_is_told_from_one_that_does_not_answer(server, request_name):
    wire = DemoClient(server)
    server.url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(CannotRun, match="There is no response to GET /ws"):
        getattr(wire, request_name)("/ws", {})
    os.kill(server.pid, signal.SIGKILL)
    os.waitid(os.P_PID, server.pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(CannotRun, match="The resource server exited with code -9"):
        getattr(wire, request_name)("/ws", {})


def test_a_server_without_nonces_ends_the_conversation_with_a_reason(server, issuer):
    conversation = Conversation(DemoClient(server), server.url, issuer, lambda *_: None)
    steps = conversation.steps()
    assert [next(steps).agrees, next(steps).agrees] == [True, True]
    with pytest.raises(CannotRun, match="returned 401 without a nonce: authorization_missing"):
        list(steps)
