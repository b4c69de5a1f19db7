"""The issuer is away or hangs: what callers of a real server see."""

import asyncio

import pytest

from dpop_asgi.testing import Issuer
from tests.support.busy import Watch
from tests.support.connections import Http
from tests.support.fault_proxy import Cut, FaultProxy
from tests.support.issuer_scene import PATIENCE, assert_unavailable
from tests.support.load import SteadyClient
from tests.support.processes import AUDIENCE, ResourceServer
from tests.support.serving import IssuerServer

DEFAULT_TIMEOUT = 3.0
# Nobody waits for longer than the time-out; the rest is for the work of twenty callers.
TIMEOUT, WORK = 0.5, 1.0
FRESH = 300.0
DAY = 86_400.0
LASTING = {"claims": {"exp": 4_000_000_000}}


async def test_the_issuer_is_down_and_its_keys_are_known(warm):
    before = warm.token(**LASTING)
    assert await warm.passes(before)
    warm.network.door = "closed"
    for _ in range(5):
        warm.clock.advance(FRESH)
        assert await warm.passes(before, *warm.tokens(5))


async def test_the_issuer_is_unavailable_for_longer_than_max_stale_seconds(scene):
    token = scene.token(**LASTING)
    assert await scene.passes(token)
    scene.network.door = "closed"
    scene.clock.advance(FRESH + DAY - 1)
    assert await scene.passes(token, scene.token())
    scene.clock.advance(1.0)
    assert_unavailable(*await scene.asks([token, scene.token()]))
    scene.heal()
    scene.clock.advance(1.0)
    assert await scene.passes(token)


@pytest.mark.parametrize(
    "door",
    [pytest.param("closed", id="refused"), pytest.param("reset", id="reset"), pytest.param("backlog", id="gone")],
)
async def test_the_issuer_is_down_at_cold_start(scene, door):
    scene.network.door = door
    scene.wait_no_longer_than(TIMEOUT)
    assert_unavailable(*await scene.asks(scene.tokens(20)), *await scene.asks(scene.tokens(20)))
    assert scene.network.connections <= 1
    scene.heal()
    scene.clock.advance(1.0)
    assert await scene.passes(*scene.tokens(5))


async def test_the_issuer_is_down_at_cold_start_of_a_server_as_users_start_it():
    issuer_server = IssuerServer()
    with ResourceServer(issuer_server.issuer) as server:
        async with Http() as http:
            caller = SteadyClient(http, server.url, issuer=issuer_server.issuer)
            assert (await caller.ask()).is_challenge
            assert_unavailable(await caller.ask())
            with issuer_server:
                async with asyncio.timeout(PATIENCE):
                    while (answer := await caller.ask()).status != 200:
                        assert_unavailable(answer)
                        await asyncio.sleep(0.1)


async def test_the_issuer_hangs_and_nobody_waits_for_it_while_its_keys_are_known(warm):
    warm.network.silent = True
    warm.clock.advance(FRESH)
    for _ in range(5):
        assert await warm.passes(*warm.tokens(10))
        warm.clock.advance(1.0)
    assert not warm.source.fetching.task.done()
    assert warm.network.connections == 2


@pytest.mark.parametrize(
    ("where", "fault"),
    [
        pytest.param("requests", {"silent": True}, id="black-hole"),
        pytest.param("replies", {"cut": Cut(300, "hang")}, id="in-its-answer"),
        pytest.param("replies", {"pace": 0.05}, id="slow-trickle"),
    ],
)
async def test_the_issuer_hangs(scene, where, fault):
    for name, value in fault.items():
        setattr(getattr(scene.network, where), name, value)
    scene.wait_no_longer_than(TIMEOUT)
    with Watch() as machine:
        answers = await scene.asks(scene.tokens(20))
    assert_unavailable(*answers)
    assert max(answer.seconds for answer in answers) < machine.allows(TIMEOUT + WORK)
    assert scene.network.connections == 1
    scene.heal()
    scene.clock.advance(1.0)
    assert await scene.passes(scene.token())


async def test_the_issuer_hangs_and_callers_of_a_server_wait_three_seconds_at_most(own_issuer_server):
    async with FaultProxy(own_issuer_server.port) as network, Http() as http:
        network.silent = True
        issuer = Issuer(f"http://127.0.0.1:{network.port}", audience=AUDIENCE)
        with ResourceServer(issuer) as server:
            callers = [SteadyClient(http, server.url, issuer=issuer) for _ in range(10)]
            await asyncio.gather(*(caller.ask() for caller in callers))
            with Watch() as machine:
                answers = await asyncio.gather(*(caller.ask() for caller in callers))
    assert_unavailable(*answers)
    assert max(answer.seconds for answer in answers) < machine.allows(DEFAULT_TIMEOUT + WORK)
    assert network.connections == 1
