"""Clients, and every way in which one of them, or an attacker, uses a proof."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, NamedTuple

from dpop_asgi.testing import Client, Issuer
from tests.soak.fleet import PUBLIC_URL, Fleet
from tests.soak.judge import Judge
from tests.soak.ledger import Ledger
from tests.soak.options import Options
from tests.soak.timeline import Timeline
from tests.support.connections import AnswerLost, Connections, NotConnected
from tests.support.exchanges import (
    INTERRUPTED,
    LOST,
    NOT_CONNECTED,
    SILENCE,
    Attempt,
    Exchange,
    KnownNonce,
    NonceCalendar,
    find_flaw,
    read_outcome,
)
from tests.support.wire import Field, request_bytes

TARGET = "/resource"
HTU = PUBLIC_URL + TARGET

# A stall of this process is in the timeline by then.
NOTICED = 0.3


class Caller:
    """A client with its token and the newest nonce that it was told, by whichever server."""

    def __init__(self, name: str, issuer: Issuer, *, published_at: float = 0.0) -> None:
        self.name = name
        self.client = Client()
        self.nonce: KnownNonce | None = None
        self.renew(issuer, published_at=published_at)

    def renew(self, issuer: Issuer, *, published_at: float) -> None:
        """Another token, signed with the issuer's present key."""
        self.token = issuer.access_token(self.client)
        self.key_published_at = published_at

    def learn(self, nonce: KnownNonce) -> None:
        if self.nonce is None or nonce.told_at > self.nonce.told_at:
            self.nonce = nonce


class Traffic:
    """Sends exchanges, and has each judged when its last answer is there."""

    def __init__(
        self,
        options: Options,
        fleet: Fleet,
        timeline: Timeline,
        ledger: Ledger,
        dice: Random,
        allows: Callable[[float], float],
    ) -> None:
        self.issuer = fleet.issuer.issuer
        self.timeline = timeline
        self.dice = dice
        self.calendar = NonceCalendar(options.nonce_period)
        self.callers = [Caller(f"client {number}", self.issuer) for number in range(options.clients)]
        self.attacker = Caller("attacker", self.issuer)
        self.old_nonces: deque[KnownNonce] = deque(maxlen=20)
        self.ending = asyncio.Event()
        self._published_at = 0.0
        self._ledger = ledger
        self._judge = Judge(timeline, allows)
        self._connections = {name: Connections(server.port) for name, server in fleet.servers.items()}

    def renew_tokens(self, published_at: float) -> None:
        """The issuer signs with another key, which it published then."""
        self._published_at = published_at
        for caller in [*self.callers, self.attacker]:
            caller.renew(self.issuer, published_at=published_at)

    def newcomer(self) -> Caller:
        return Caller("newcomer", self.issuer, published_at=self._published_at)

    def request(self, caller: Caller, kind: str, fields: list[Field], **facts: Any) -> Exchange:
        """A request with these credentials."""
        request = request_bytes("GET", TARGET, [("Host", "127.0.0.1"), *fields])
        return Exchange(
            kind,
            request,
            thumbprint=caller.client.thumbprint,
            **{"nonce": caller.nonce, "key_published_at": caller.key_published_at, **facts},
        )

    def good(self, kind: str, caller: Caller | None = None) -> tuple[Caller, Exchange]:
        """A request with which nothing is wrong, but that its caller may have no nonce yet."""
        caller = caller or self.dice.choice(self.callers)
        nonce = None if caller.nonce is None else caller.nonce.value
        fields = caller.client.headers("GET", HTU, caller.token, nonce=nonce)
        return caller, self.request(caller, kind, list(fields.items()))

    async def introduce(self, caller: Caller, server: str) -> None:
        """A request that the ledger does not count; its nonce is one that was told to another client."""
        caller.nonce = self.attacker.nonce
        _, exchange = self.good("", caller)
        asked_at = time.time()
        answer = await self._connections[server].exchange(exchange.request)
        self._learn(self.attacker, answer.one("dpop-nonce"), asked_at)

    def any_order(self) -> list[str]:
        """The servers."""
        return self.dice.sample(sorted(self._connections), len(self._connections))

    async def pause(self, seconds: float, until: asyncio.Event | None = None) -> None:
        """Shorter when `until` happens; at the end of the soak everything that is still to be sent is sent at once."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await (until or self.ending).wait()

    async def send(self, caller: Caller, exchange: Exchange, server: str | None = None) -> Attempt:
        server = server or self.dice.choice(sorted(self._connections))
        asked_at = time.time()
        outcome, flaw = INTERRUPTED, None
        try:
            response = await self._connections[server].exchange(exchange.request)
            outcome, flaw = read_outcome(response), find_flaw(response, exchange)
            self._learn(caller, response.one("dpop-nonce") if flaw is None else None, asked_at)
        except NotConnected:
            outcome = NOT_CONNECTED
        except AnswerLost:
            outcome = LOST
        except TimeoutError:
            outcome = SILENCE
        finally:
            attempt = Attempt(server, asked_at, time.time(), outcome, flaw)
            exchange.attempts.append(attempt)
            self._ledger.count(caller.name, exchange, attempt)
        return attempt

    def _learn(self, caller: Caller, value: str | None, asked_at: float) -> None:
        if value is not None:
            nonce = self.calendar.known(value, asked_at, time.time())
            caller.learn(nonce)
            if not self.old_nonces or self.old_nonces[-1].value != value:
                self.old_nonces.append(nonce)

    async def carry_out(self, plan: "Plan") -> None:
        caller, exchange = plan.prepare(self)
        try:
            await plan.send(self, caller, exchange)
            # Judged a little later, when a stall of this process has been noticed too.
            await asyncio.sleep(NOTICED)
        finally:
            self._ledger.judge(exchange, self._judge)

    def end(self) -> None:
        """Send at once what is still to be sent."""
        self.ending.set()
        self.timeline.next_repair.set()

    def close(self) -> None:
        for connections in self._connections.values():
            connections.close()


class Plan(NamedTuple):
    """What is done with one request: how often, and of how many requests it consists."""

    weight: float
    requests: int
    prepare: Callable[[Traffic], tuple[Caller, Exchange]]
    send: Callable[[Traffic, Caller, Exchange], Awaitable[None]]
