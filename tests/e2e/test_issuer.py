"""The issuer is down, hangs, changes its keys or talks nonsense: what callers of a real server see.

A protected app and an issuer are on real sockets, with a network between them that can fail, and a clock to move.
"""

import asyncio
import time
from dataclasses import dataclass

import httpx2
import pytest

from dpop_asgi import Authenticator, DPoPMiddleware, JWTVerifier, MemoryStore
from dpop_asgi.testing import Issuer
from tests.support.api import App
from tests.support.busy import Watch
from tests.support.connections import Http
from tests.support.distant_issuer import PATIENCE, Distant
from tests.support.fault_proxy import FaultProxy
from tests.support.load import Answer, SteadyClient
from tests.support.processes import AUDIENCE, ResourceServer
from tests.support.serving import IssuerServer, Served
from tests.support.website import Page, Website

DEFAULT_TIMEOUT = 3.0
# Nobody waits for longer than the time-out; the rest is for the work of ten callers.
WORK = 1.0
FRESH = 300.0
DAY = 86_400.0
LASTING = {"claims": {"exp": 4_000_000_000}}


@dataclass
class Scene(Distant):
    """With the app at `url`, and a connection to it."""

    url: str
    http: Http

    async def ask(self, token):
        """With a nonce of now."""
        nonce = (await self.http.get(self.url)).headers["dpop-nonce"]
        fields = self.client.headers("GET", self.url, token, nonce=nonce)
        start = time.monotonic()
        response = await self.http.get(self.url, headers=fields)
        return Answer(start, time.monotonic(), response.status_code, response.headers, nonce)

    async def ask_with(self, count):
        """As many tokens, all at once."""
        return await asyncio.gather(*(self.ask(self.token()) for _ in range(count)))

    async def passes(self, *tokens):
        return {(await self.ask(token)).status for token in tokens or [self.token()]} == {200}

    async def refusal(self, token):
        """A refresh runs beside the requests: ask until one sees what came of it."""
        async with asyncio.timeout(PATIENCE):
            while (answer := await self.ask(token)).status == 200:
                pass
        return answer


@pytest.fixture
async def scene(own_issuer_server, clock, client):
    async with FaultProxy(own_issuer_server.port) as proxy, Http() as http:
        issuer = own_issuer_server.issuer_behind(proxy.port, clock)
        verify = JWTVerifier(issuer=issuer.url, audience=issuer.audience, timeout=PATIENCE, clock=clock)
        authenticator = Authenticator(verify_token=verify, store=MemoryStore(clock=clock), clock=clock)
        with Served(DPoPMiddleware(App(headers=[("content-length", "2")]), authenticator=authenticator)) as served:
            yield Scene(issuer, proxy, verify, clock, client, f"{served.url}/r", http)


@pytest.fixture
async def warm(scene):
    """Its keys are known, and were looked up a minute ago."""
    assert await scene.passes()
    scene.clock.advance(60.0)
    return scene


def assert_unavailable(*answers):
    for answer in answers:
        assert answer.status == httpx2.codes.SERVICE_UNAVAILABLE
        assert answer.headers["retry-after"] == "1"
        assert not {"www-authenticate", "dpop-nonce"} & answer.headers.keys()


async def test_the_issuer_is_down_and_its_keys_are_known(warm):
    before = warm.token(**LASTING)
    warm.proxy.door = "closed"
    for _ in range(5):
        assert await warm.passes(before, warm.token())
        warm.clock.advance(FRESH)


async def test_the_issuer_is_unavailable_for_longer_than_max_stale_seconds(scene):
    token = scene.token(**LASTING)
    assert await scene.passes(token)
    scene.proxy.door = "closed"
    scene.clock.advance(FRESH + DAY - 1)
    assert await scene.passes(token, scene.token())
    scene.clock.advance(1.0)
    assert_unavailable(await scene.ask(token), await scene.ask(scene.token()))
    scene.heal()
    scene.clock.advance(1.0)
    assert await scene.passes(token)


async def test_the_issuer_is_down_at_cold_start():
    """Of a server as users start it; every way to be down is in tests/tokens/test_issuer_faults.py."""
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


async def test_the_issuer_hangs(own_issuer_server):
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


async def test_the_issuer_rotates_its_keys(warm):
    """A new key is in use at once, or ten seconds after the one before it."""
    before = warm.token()
    for _ in range(3):
        warm.issuer.rotate()
        assert {answer.status for answer in await warm.ask_with(20)} == {200}
        assert await warm.passes(before)
        warm.clock.advance(10.0)
    assert warm.issuer.fetches == 4
    for _ in range(2):
        warm.issuer.rotate()
        answers = await warm.ask_with(5)
    assert {answer.status for answer in answers} == {401}
    warm.clock.advance(10.0)
    assert await warm.passes()


async def test_the_issuer_withdraws_a_key(warm):
    """It is found out when keys are too old, or by the first token of the next key."""
    withdrawn = warm.token(**LASTING)
    assert await warm.passes(withdrawn)
    warm.issuer.rotate(keep_old=False)
    warm.clock.advance(FRESH)
    refused = await warm.refusal(withdrawn)
    assert refused.status == 401
    assert 'error="invalid_token"' in refused.headers["www-authenticate"]
    withdrawn = warm.token(**LASTING)
    assert await warm.passes(withdrawn)
    warm.clock.advance(10.0)
    warm.issuer.rotate(keep_old=False)
    assert await warm.passes()
    assert (await warm.ask(withdrawn)).status == 401


@pytest.mark.parametrize("page", [Page(b"<html>It works!</html>"), Page({}, 500)], ids=["a-page", "status-500"])
async def test_the_issuer_serves_garbage(scene, page):
    """What all counts as garbage is what tests/tokens/test_hostile_answers.py says."""
    with Website() as website:
        scene.proxy.lead_to(website.port)
        website.pages["/.well-known/oauth-authorization-server"] = Page(scene.issuer.metadata)
        website.pages["/jwks"] = page
        assert_unavailable(await scene.ask(scene.token()))
        website.pages["/jwks"] = Page(scene.issuer.jwks)
        scene.clock.advance(1.0)
        known = scene.token(**LASTING)
        assert await scene.passes(known)
        website.pages["/jwks"] = page
        for _ in range(2):
            scene.clock.advance(FRESH)
            assert await scene.passes(known, scene.token())
