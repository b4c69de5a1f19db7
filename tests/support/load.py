"""Clients that go on asking: each signs its requests, follows nonces and remembers every answer."""

import asyncio
import random
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx2

from dpop_asgi.testing import Client, Issuer
from tests.support.connections import Http, request_for
from tests.support.processes import RedisServer, ResourceServer, wait_until
from tests.support.wire import exchange

# Far beyond any promise: a request that takes so long hangs, and fails the test that waits for it.
HANGS_AFTER = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, and when it was asked for and given, by `time.monotonic`."""

    asked_at: float
    answered_at: float
    status: int
    headers: httpx2.Headers
    nonce_sent: str | None

    @property
    def seconds(self) -> float:
        return self.answered_at - self.asked_at

    @property
    def nonce(self) -> str | None:
        return self.headers.get("dpop-nonce")

    @property
    def is_challenge(self) -> bool:
        challenge = self.headers.get("www-authenticate", "")
        return self.status == httpx2.codes.UNAUTHORIZED and challenge.startswith('DPoP error="use_dpop_nonce"')


class SteadyClient:
    """A client with a key, a token and the newest nonce that it was told.

    Args:
        http: what it asks by.
        origins: where it asks, each time one of them.
        issuer: of its token.
        public_url: what it takes them for, when they are behind one address.
        learns_from_all: whether it reads `DPoP-Nonce` from every answer, or from challenges alone.
    """

    def __init__(
        self,
        http: Http,
        *origins: str,
        issuer: Issuer,
        public_url: str | None = None,
        learns_from_all: bool = True,
    ) -> None:
        self.http = http
        self._origins = origins
        self.client = Client()
        self.token = issuer.access_token(self.client)
        self._public_url = public_url
        self._learns_from_all = learns_from_all
        self.nonce: str | None = None
        self.answers: list[Answer] = []

    def signed(self, origin: str | None = None, **changes: Any) -> dict[str, str]:
        """The fields of a request, with the newest nonce unless it is changed."""
        uri = f"{self._public_url or origin or self._origins[0]}/resource"
        return self.client.headers("GET", uri, self.token, **{"nonce": self.nonce, **changes})

    async def ask(self, fields: Mapping[str, str] | None = None) -> Answer:
        """A request with a new proof, or with these fields."""
        origin, nonce = random.choice(self._origins), self.nonce
        headers = self.signed(origin) if fields is None else fields
        asked_at = time.monotonic()
        response = await self.http.get(f"{origin}/resource", headers=headers)
        answer = Answer(asked_at, time.monotonic(), response.status_code, response.headers, nonce)
        self.answers.append(answer)
        if answer.nonce and (self._learns_from_all or answer.is_challenge):
            self.nonce = answer.nonce
        return answer

    @property
    def challenges(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.is_challenge]


async def each_asks(clients: Iterable[SteadyClient], *, times: int) -> None:
    """All at once, however busy the machine is: a new client is challenged, and then accepted."""
    for _ in range(times):
        await asyncio.gather(*(client.ask() for client in clients))


def _be_accepted(server: ResourceServer) -> None:
    """As a new client: a challenge, and a proof that a worker marks as used."""
    client, nonce = Client(), None
    token = server.issuer.access_token(client)
    for _ in range(2):
        fields = client.headers("GET", f"{server.public_url}/resource", token, nonce=nonce)
        nonce = exchange(server.port, request_for("/resource", server.port, fields)).one("dpop-nonce")


def wait_for_workers(redis: RedisServer, count: int, *servers: ResourceServer) -> None:
    """Ask until `count` workers have fetched their nonces. One that looks at Redis by itself does not count."""
    seen: set[str] = set()

    def all_have_nonces() -> bool:
        # At the same time, and many: on a busy machine one worker alone would take those that follow one another.
        with ThreadPoolExecutor(4 * count) as askers:
            for answered in [askers.submit(_be_accepted, server) for server in servers * 10]:
                answered.result()
        # The last command of a connection is now and then its question who Redis is.
        with redis.client() as connection:
            seen.update(client["addr"] for client in connection.client_list() if client["cmd"] == "set")
        return len(seen) >= count

    wait_until(all_have_nonces, "a worker got no request")
