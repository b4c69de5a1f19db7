"""Requests at a steady rate whatever is answered, each proof sent twice, and a ledger of what came of it."""

import asyncio
import heapq
import random
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Self
from urllib.parse import urlsplit

from dpop_asgi.testing import Client, Issuer
from tests.support.connections import Connections
from tests.support.processes import ResourceServer
from tests.support.wire import Response

# How often each server is asked, by the way, for what is open to everybody.
_GLANCE_SECONDS = 0.02

# Where each master of a cluster has nonces of its own, some of so many clients have one of every master.
_CLIENTS = 12

# Half of the second uses follow at once, the other half after a pause of up to so many seconds.
_LONGEST_PAUSE = 4.0


@dataclass(frozen=True, slots=True)
class Use:
    """One use of a proof at one of the servers, and its answer; times are `time.monotonic`'s."""

    port: int
    asked_at: float
    answered_at: float
    status: int

    @property
    def seconds(self) -> float:
        return self.answered_at - self.asked_at


class _Follower:
    """A client that remembers the newest nonce that any response to it brought."""

    def __init__(self, issuer: Issuer) -> None:
        self._client = Client()
        self._token = issuer.access_token(self._client)
        self._nonce: str | None = None

    def fields(self, target: str) -> dict[str, str]:
        """Of a request with a new proof."""
        return self._client.headers("GET", target, self._token, nonce=self._nonce)

    def learn(self, response: Response) -> None:
        self._nonce = response.one("dpop-nonce") or self._nonce


@dataclass(slots=True)
class Sheet:
    """A proof, as the request that carries it, its client, and its uses."""

    request: bytes
    client: _Follower
    uses: list[Use] = field(default_factory=list)

    @property
    def accepted(self) -> list[Use]:
        return sorted((use for use in self.uses if use.status == 200), key=lambda use: use.asked_at)


class Barrage:
    """Asks servers on loopback for `/resource` with proofs of several clients, each time one of them.

    It also looks at how long they take for what is open to everybody: longer while the machine is busy with others.

    Args:
        servers: that have one and the same public URL.
        public_url: what the proofs are made for.
        issuer: of the clients' tokens.
        rate: requests per second.
    """

    def __init__(self, *servers: ResourceServer, public_url: str, issuer: Issuer, rate: int = 500) -> None:
        self.sheets: list[Sheet] = []
        self.glances: list[Use] = []
        self._ports = [server.port for server in servers]
        self._host = urlsplit(public_url).netloc
        self._target = f"{public_url}/resource"
        self._pause = 1 / rate
        self._clients = [_Follower(issuer) for _ in range(_CLIENTS)]
        self._connections = {port: Connections(port) for port in self._ports}
        self._repeats: list[tuple[int, int, Sheet]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for connections in self._connections.values():
            connections.close()

    def _request(self, path: str, fields: Mapping[str, str] = MappingProxyType({})) -> bytes:
        lines = [f"GET {path} HTTP/1.1", f"Host: {self._host}", *(f"{name}: {fields[name]}" for name in fields)]
        return "\r\n".join([*lines, "", ""]).encode()

    async def go_on(self, *, until: asyncio.Event) -> None:
        """Send new proofs, and each of them a second time at once or later, at the rate, until the event."""
        turn, begin = 0, time.monotonic()
        async with asyncio.TaskGroup() as uses:
            for port in self._ports:
                uses.create_task(self._glance(port, until))
            while not until.is_set():
                uses.create_task(self.use(self._next(turn)))
                turn += 1
                await asyncio.sleep(begin + turn * self._pause - time.monotonic())

    async def _glance(self, port: int, until: asyncio.Event) -> None:
        request = self._request("/public")
        while not until.is_set():
            self.glances.append((await self._ask(port, request))[0])
            await asyncio.sleep(_GLANCE_SECONDS)

    def _next(self, turn: int) -> Sheet:
        """A repetition that is due, or else a new proof."""
        if self._repeats and self._repeats[0][0] <= turn:
            return heapq.heappop(self._repeats)[2]
        client = self._clients[turn % _CLIENTS]
        sheet = Sheet(self._request("/resource", client.fields(self._target)), client)
        self.sheets.append(sheet)
        pause = random.choice([0.0, random.uniform(0, _LONGEST_PAUSE)])
        heapq.heappush(self._repeats, (turn + 1 + int(pause / self._pause), turn, sheet))
        return sheet

    async def send_again(self, sheets: Iterable[Sheet]) -> None:
        """Every one of these once more, at twice the rate."""
        async with asyncio.TaskGroup() as uses:
            for sheet in sheets:
                uses.create_task(self.use(sheet))
                await asyncio.sleep(self._pause / 2)

    async def use(self, sheet: Sheet) -> None:
        use, response = await self._ask(random.choice(self._ports), sheet.request)
        sheet.uses.append(use)
        sheet.client.learn(response)

    async def _ask(self, port: int, request: bytes) -> tuple[Use, Response]:
        asked_at = time.monotonic()
        response = await self._connections[port].exchange(request)
        return Use(port, asked_at, time.monotonic(), response.status), response

    def forget(self) -> None:
        """Begin a new ledger."""
        self.sheets, self.glances, self._repeats = [], [], []
