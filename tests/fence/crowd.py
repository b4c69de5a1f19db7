"""Clients that follow nonces as RFC 9449 §8 asks, and an attacker who sends everything that passed once more."""

import asyncio
import itertools
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Self

from dpop_asgi.testing import Client, Issuer
from tests.support.connections import AnswerLost, Connections, NotConnected
from tests.support.exchanges import (
    ACCEPTED,
    CHALLENGED,
    LOST,
    NOT_CONNECTED,
    UNAVAILABLE,
    Attempt,
    Exchange,
    read_outcome,
)
from tests.support.wire import Response, request_bytes

PUBLIC_URL = "https://api.example.com"
_TARGET = "/resource"
_GLANCE = request_bytes("GET", "/public", [("Host", "127.0.0.1")])

# How often each worker is asked, by the way, for what is open to everybody.
GLANCE_SECONDS = 0.05

# At the end, copies of proofs on their way to one worker at the same time.
_COPIES_AT_ONCE = 4

# After these, a proof may have been used.
_WORTH_A_COPY = {ACCEPTED, UNAVAILABLE, NOT_CONNECTED, LOST}


class _Follower:
    """Sends the newest nonce that any response brought, and after a challenge tries once more; `uses` are its own."""

    def __init__(self, crowd: "Crowd", issuer: Issuer) -> None:
        self._crowd = crowd
        self._client = Client()
        self._token = issuer.access_token(self._client)
        self._nonce: str | None = None
        self.uses: list[Attempt] = []

    async def ask(self, port: int) -> None:
        """One request of the application."""
        for _ in range(2):
            fields = self._client.headers("GET", PUBLIC_URL + _TARGET, self._token, nonce=self._nonce)
            request = request_bytes("GET", _TARGET, [("Host", "127.0.0.1"), *fields.items()])
            exchange = Exchange("proof", request, thumbprint=self._client.thumbprint)
            response = await self._crowd.use(exchange, port)
            self._nonce = response.one("dpop-nonce") or self._nonce
            use = exchange.attempts[0]
            self.uses.append(use)
            self._crowd.note(exchange)
            if use.outcome != CHALLENGED:
                break


class Crowd:
    """Clients, each with one request at a time, and an attacker, at workers on loopback with one public URL.

    Args:
        ports: of the workers, each by itself.
        issuer: of all tokens.
        clients: how many.
        pause: seconds on average between the requests of a client.
        replays: copies of used proofs per second.

    Attributes:
        sent: every proof, with its uses; the first is its client's.
        used: those that an attacker would try again: accepted, or 503 and perhaps marked as used.
        glances: at what is open to everybody: slower while the machine is busy with others. Each counts until the next
            one is due, as the machine may stand still between two of them, too.
    """

    def __init__(
        self, ports: Sequence[int], *, issuer: Issuer, clients: int = 6, pause: float = 0.05, replays: float = 200.0
    ) -> None:
        self._ports = list(ports)
        self._pause = pause
        self._replay_pause = 1 / replays
        self._connections = {port: Connections(port) for port in self._ports}
        self.followers = [_Follower(self, issuer) for _ in range(clients)]
        self.begin()

    def begin(self) -> None:
        """A new ledger."""
        self.sent: list[Exchange] = []
        self.used: list[Exchange] = []
        self.glances: list[Attempt] = []
        for follower in self.followers:
            follower.uses = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for connections in self._connections.values():
            connections.close()

    async def warm_up(self) -> None:
        """Until every client has been accepted by every worker: the challenges of the start are over then."""
        for follower, port in itertools.product(self.followers, self._ports):
            await follower.ask(port)
            while follower.uses[-1].outcome != ACCEPTED:
                await asyncio.sleep(0.05)
                await follower.ask(port)
        self.begin()

    async def go_on(self, *, until: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as tasks:
            for follower in self.followers:
                tasks.create_task(self._follow(follower, until))
            for port in self._ports:
                tasks.create_task(self._glance(port, until))
            tasks.create_task(self._replay(tasks, until))

    async def _follow(self, follower: _Follower, until: asyncio.Event) -> None:
        while not until.is_set():
            await follower.ask(random.choice(self._ports))
            await asyncio.sleep(random.uniform(0.5, 1.5) * self._pause)

    async def _glance(self, port: int, until: asyncio.Event) -> None:
        while not until.is_set():
            await self.use(glance := Exchange("glance", _GLANCE), port)
            await asyncio.sleep(GLANCE_SECONDS)
            self.glances.append(replace(glance.attempts[0], answered_at=time.monotonic() - GLANCE_SECONDS))

    async def _replay(self, tasks: asyncio.TaskGroup, until: asyncio.Event) -> None:
        """Everything that passed, one after the other and over again, each time to another worker."""
        for turn in itertools.count():
            if until.is_set():
                return
            if self.used:
                tasks.create_task(self.use(self.used[turn % len(self.used)], random.choice(self._ports)))
            await asyncio.sleep(self._replay_pause)

    def note(self, exchange: Exchange) -> None:
        """A proof that its client has used."""
        self.sent.append(exchange)
        if exchange.attempts[0].outcome in _WORTH_A_COPY:
            self.used.append(exchange)

    def all_are_accepted(self, since: float) -> bool:
        """Whether each client was accepted with a request that it has sent after that."""
        return all(
            any(use.outcome == ACCEPTED and use.asked_at > since for use in each.uses) for each in self.followers
        )

    async def send_everything_again(self) -> None:
        """Each proof that may have been used, to each worker."""
        async with asyncio.TaskGroup() as tasks:
            for port in self._ports:
                rest = iter(self.used)
                for _ in range(_COPIES_AT_ONCE):
                    tasks.create_task(self._send_all(rest, port))

    async def _send_all(self, rest: Iterator[Exchange], port: int) -> None:
        for exchange in rest:
            await self.use(exchange, port)

    async def use(self, exchange: Exchange, port: int) -> Response:
        asked_at, response = time.monotonic(), Response(0)
        try:
            response = await self._connections[port].exchange(exchange.request)
            outcome = read_outcome(response)
        except NotConnected:
            outcome = NOT_CONNECTED
        except AnswerLost:
            outcome = LOST
        exchange.attempts.append(Attempt(str(port), asked_at, time.monotonic(), outcome))
        return response
