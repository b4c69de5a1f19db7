"""A protected app and an issuer on real sockets with a network between them that can fail, and a clock to move."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2

from dpop_asgi import Authenticator, DPoPMiddleware, JWTVerifier, MemoryStore
from dpop_asgi.testing import Client, Issuer, ManualClock
from tests.support.api import App
from tests.support.connections import Http
from tests.support.fault_proxy import FaultProxy
from tests.support.serving import IssuerServer, Served

# The machine may be busy: while all is well there is no hurry.
PATIENCE = 30.0


@dataclass(frozen=True)
class Answer:
    status: int
    headers: httpx2.Headers
    seconds: float


@dataclass
class Scene:
    """A protected app under uvicorn, an issuer, the network between them, a client, and the clock of all."""

    url: str
    issuer: Issuer
    network: FaultProxy
    verify: JWTVerifier
    clock: ManualClock
    client: Client
    http: Http

    def token(self, **changes):
        return self.issuer.access_token(self.client, **changes)

    def tokens(self, number):
        return [self.token() for _ in range(number)]

    async def ask(self, token):
        """With a nonce of now."""
        nonce = (await self.http.get(self.url)).headers["dpop-nonce"]
        fields = self.client.headers("GET", self.url, token, nonce=nonce)
        start = time.monotonic()
        response = await self.http.get(self.url, headers=fields)
        return Answer(response.status_code, response.headers, time.monotonic() - start)

    async def asks(self, tokens):
        return await asyncio.gather(*map(self.ask, tokens))

    async def passes(self, *tokens):
        return {answer.status for answer in await self.asks(tokens)} == {200}

    async def refusal(self, token):
        """A refresh runs beside the requests: ask until one sees what came of it."""
        async with asyncio.timeout(PATIENCE):
            while (answer := await self.ask(token)).status == 200:
                pass
        return answer

    @property
    def source(self):
        return self.verify._sources[self.issuer.url]

    def wait_no_longer_than(self, seconds):
        self.source._timeout = seconds

    def heal(self):
        self.network.heal()
        self.wait_no_longer_than(PATIENCE)


@asynccontextmanager
async def staged(server: IssuerServer, clock: ManualClock, client: Client) -> AsyncIterator[Scene]:
    """A scene with the issuer of `server`, which has one new key."""
    async with FaultProxy(server.port) as network, Http() as http:
        issuer = server.issuer_behind(network.port, clock)
        verify = JWTVerifier(issuer=issuer.url, audience=issuer.audience, timeout=PATIENCE, clock=clock)
        authenticator = Authenticator(verify_token=verify, store=MemoryStore(clock=clock), clock=clock)
        with Served(DPoPMiddleware(App(headers=[("content-length", "2")]), authenticator=authenticator)) as served:
            yield Scene(f"{served.url}/r", issuer, network, verify, clock, client, http)


def assert_unavailable(*answers):
    for answer in answers:
        assert answer.status == 503
        assert answer.headers["retry-after"] == "1"
        assert not {"www-authenticate", "dpop-nonce"} & answer.headers.keys()
