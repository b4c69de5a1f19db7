"""Clients that follow nonces as RFC 9449 §8 asks, and an attacker who sends everything that passed once more."""

import asyncio
import itertools
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self

from dpop_asgi.testing import Client, Issuer
from tests.support.connections import AnswerLost, Connections, NotConnected
from tests.support.wire import Response, request_bytes

PUBLIC_URL = "https://api.example.com"
_TARGET = "/resource"
_GLANCE = request_bytes("GET", "/public", [("Host", "127.0.0.1")])

# How often each worker is asked, by the way, for what is open to everybody.
GLANCE_SECONDS = 0.05

# At the end, copies of proofs on their way to one worker at the same time.
_COPIES_AT_ONCE = 4

# Stands for the status when the worker ended before its response, or was not there yet.
NO_RESPONSE = 0

# After these, a proof may have been used.
_WORTH_A_COPY = {200, 503, NO_RESPONSE}


@dataclass(frozen=True, slots=True)
class Use:
    """One use of a proof at one worker, and the response; times are `time.monotonic`'s."""

    port: int
    asked_at: float
    answered_at: float
    status: int
    is_challenge: bool = False

    @property
    def seconds(self) -> float:
        return self.answered_at - self.asked_at


@dataclass(slots=True)
class Sheet:
    """A proof, as the request that carries it, and its uses; the first is its client's."""

    request: bytes
    uses: list[Use] = field(default_factory=list)

    @property
    def accepted(self) -> list[Use]:
        return [use for use in self.uses if use.status == 200]


class _Follower:
    """Sends the newest nonce that any response brought, and after a challenge tries once more.

    Attributes:
        uses: of its own proofs, in order.
    """

    def __init__(self, crowd: "Crowd", issuer: Issuer) -> None:
        self._crowd = crowd
        self._client = Client()
        self._token = issuer.access_token(self._client)
        self._nonce: str | None = None
        self.uses: list[Use] = []

    async def ask(self, port: int) -> None:
        """One request of the application."""
        for _ in range(2):
            fields = self._client.headers("GET", PUBLIC_URL + _TARGET, self._token, nonce=self._nonce)
            sheet = Sheet(request_bytes("GET", _TARGET, [("Host", "127.0.0.1"), *fields.items()]))
            response = await self._crowd.use(sheet, port)
            self._nonce = response.one("dpop-nonce") or self._nonce
            self.uses.append(sheet.uses[0])
            self._crowd.note(sheet)
            if not sheet.uses[0].is_challenge:
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
        sheets: every proof.
        used: those that an attacker would try again: accepted, or 503 and perhaps marked as used.
        glances: at what is open to everybody: slower while the machine is busy with others.
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
        self.sheets: list[Sheet] = []
        self.used: list[Sheet] = []
        self.glances: list[Use] = []
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
            while follower.uses[-1].status != 200:
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
            self.glances.append((await self._exchange(port, _GLANCE))[0])
            await asyncio.sleep(GLANCE_SECONDS)

    async def _replay(self, tasks: asyncio.TaskGroup, until: asyncio.Event) -> None:
        """Everything that passed, one after the other and over again, each time to another worker."""
        for turn in itertools.count():
            if until.is_set():
                return
            if self.used:
                tasks.create_task(self.use(self.used[turn % len(self.used)], random.choice(self._ports)))
            await asyncio.sleep(self._replay_pause)

    def note(self, sheet: Sheet) -> None:
        """A proof that its client has used."""
        self.sheets.append(sheet)
        if sheet.uses[0].status in _WORTH_A_COPY:
            self.used.append(sheet)

    def all_are_accepted(self, since: float) -> bool:
        """Whether each client was accepted with a request that it has sent after that."""
        return all(any(use.status == 200 and use.asked_at > since for use in each.uses) for each in self.followers)

    async def send_everything_again(self) -> None:
        """Each proof that may have been used, to each worker."""
        async with asyncio.TaskGroup() as tasks:
            for port in self._ports:
                rest = iter(self.used)
                for _ in range(_COPIES_AT_ONCE):
                    tasks.create_task(self._send_all(rest, port))

    async def _send_all(self, rest: Iterator[Sheet], port: int) -> None:
        for sheet in rest:
            await self.use(sheet, port)

    async def use(self, sheet: Sheet, port: int) -> Response:
        use, response = await self._exchange(port, sheet.request)
        sheet.uses.append(use)
        return response

    async def _exchange(self, port: int, request: bytes) -> tuple[Use, Response]:
        asked_at = time.monotonic()
        try:
            response = await self._connections[port].exchange(request)
        except (NotConnected, AnswerLost):
            response = Response(NO_RESPONSE)
        challenge = response.status == 401 and "use_dpop_nonce" in (response.one("www-authenticate") or "")
        return Use(port, asked_at, time.monotonic(), response.status, challenge), response
