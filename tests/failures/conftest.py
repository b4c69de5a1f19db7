"""A real server in front of a real Redis, with a proxy between them that misbehaves when told to."""

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2
import pytest

from tests.support.busy import Watch, patient
from tests.support.connections import Http
from tests.support.fault_proxy import FaultProxy
from tests.support.load import HANGS_AFTER, Answer, SteadyClient
from tests.support.processes import RedisServer, ResourceServer
from tests.support.serving import IssuerServer

# Of a call to Redis, unless it is told otherwise.
TIMEOUT = 0.25
# For every answer, whatever fails: twice the deadline of a call to Redis.
PROMISED = 2 * TIMEOUT
# From when the cause is gone until all is as before: five times a second somebody looks.
RECOVERY = 1.0


@dataclass
class World:
    """One of everything.

    Attributes:
        redis: behind `proxy`.
        server: asks Redis through `proxy`.
        http: what clients ask by.
        issuer: of all tokens.
        machine: looked at all the time.
        times: how much longer than usual the server waits for Redis, as the machine is busy.
    """

    redis: RedisServer
    proxy: FaultProxy
    server: ResourceServer
    http: Http
    issuer: IssuerServer
    machine: Watch
    times: float

    def allows(self, seconds: float) -> float:
        """What is promised in so many seconds may take so many here."""
        return self.machine.allows(seconds * self.times)

    async def repair(self) -> None:
        """Undo what a test did, and wait until requests are accepted."""
        self.proxy.heal()
        if not self.redis.is_running:
            await asyncio.to_thread(self.redis.start)
        client = self.newcomer()
        assert (await self.answered_again(client)).is_challenge
        assert (await self.answered_again(client)).status == httpx2.codes.OK

    def newcomer(self) -> SteadyClient:
        return SteadyClient(self.http, self.server.url, issuer=self.issuer.issuer)

    async def regular(self) -> SteadyClient:
        """A client that knows the nonce, and was accepted just now."""
        client = self.newcomer()
        assert [(await client.ask()).status for _ in range(2)] == [401, 200]
        return client

    async def accepted_again(self, client: SteadyClient, *, challenged: bool = False) -> bool:
        """Whether `client` is accepted soon; meanwhile it is told to come back, and then perhaps challenged once."""
        begin, answer = time.monotonic(), await self.answered_again(client)
        if challenged:
            assert answer.is_challenge
            answer = await self.prompt(client)
        assert answer.status == httpx2.codes.OK
        return time.monotonic() - begin < self.allows(RECOVERY)

    async def answered_again(self, client: SteadyClient) -> Answer:
        """The first answer to `client` that is not 503."""
        async with asyncio.timeout(HANGS_AFTER):
            while (answer := await self.prompt(client)).status == httpx2.codes.SERVICE_UNAVAILABLE:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return answer

    async def prompt(self, client: SteadyClient) -> Answer:
        """An answer within the time that is promised whatever fails."""
        answer = await client.ask()
        assert answer.seconds < self.allows(PROMISED)
        return answer

    async def unavailable(self, client: SteadyClient) -> None:
        """503, when to come back, and no word about credentials."""
        answer = await self.prompt(client)
        assert answer.status == httpx2.codes.SERVICE_UNAVAILABLE
        assert answer.headers["retry-after"] == "1"
        assert not {"www-authenticate", "dpop-nonce"} & answer.headers.keys()

    async def challenged(self, client: SteadyClient) -> None:
        answer = await self.prompt(client)
        assert answer.is_challenge

    async def status(self, request: dict[str, str]) -> int:
        """The first response to a request that was signed before that is not 503."""
        async with asyncio.timeout(10.0):
            while (found := await self.statuses(request)) == [httpx2.codes.SERVICE_UNAVAILABLE]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return found[0]

    async def statuses(self, *requests: dict[str, str]) -> list[int]:
        """The answers to requests that were signed before, one after the other."""
        url = f"{self.server.url}/resource"
        return [(await self.http.get(url, headers=request)).status_code for request in requests]


@pytest.fixture(scope="module")
def a_world(redis_binary, issuer_server):
    """Makes a world; settings are those of the resource server, and `redis` more arguments of `redis-server`."""

    @asynccontextmanager
    async def make(*, redis=(), **settings):
        times = patient(2.0)
        with RedisServer(redis_binary, *redis) as running, Watch() as machine:
            async with FaultProxy(running.port) as proxy, Http() as http:
                usual = {"store": proxy.url, "store_timeout": TIMEOUT * times}
                server = ResourceServer(issuer_server.issuer, **{**usual, **settings})
                try:
                    await asyncio.to_thread(server.start)
                    yield World(running, proxy, server, http, issuer_server, machine, times)
                finally:
                    await asyncio.to_thread(server.__exit__)

    return make


@pytest.fixture(scope="module")
async def _world(a_world):
    async with a_world() as world:
        yield world


@pytest.fixture
async def world(_world):
    """In which all is well, whatever was broken before."""
    await _world.repair()
    return _world
