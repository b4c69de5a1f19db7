"""Holds every answer against what it may be: given what was sent, which nonce it had, and what was broken then."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from tests.soak import faults
from tests.soak.timeline import Timeline, Window
from tests.support.exchanges import (
    ACCEPTED,
    CHALLENGED,
    INTERRUPTED,
    KEY_UNKNOWN,
    LOST,
    NOT_CONNECTED,
    REPLAYED,
    SILENCE,
    UNAVAILABLE,
    Attempt,
    Exchange,
    KnownNonce,
    Outcome,
)

# Redis is looked for five times a second, so within this time after it is back everything is as before.
RECOVERY = 1.0

# A worker notices with the next proof that it marks as used; a busy machine may keep requests from one for so long.
_UNNOTICED = 10.0

# An issuer that was away is asked again once in a second.
_ISSUER_RECOVERY = 1.5

# An unknown key is looked for every ten seconds at most.
KEY_COOLDOWN = 10.5

# So long after its start a worker may not have been asked anything yet, and then has neither nonces nor keys.
_COLD = 10.0

# Connections that are being closed while the process ends.
_CLOSING = 0.5

# What was broken so long ago is told beside what is wrong.
_LATELY = 5.0

# No fault of ours: see `pulse`. After it Redis is looked for once more.
MACHINE_STALLED = "machine stalled"
_NEXT_LOOK = 0.25

# From then on there is another incarnation of Redis. Where nothing but the data was lost, old nonces may go on.
_FAILOVER = frozenset({faults.REDIS_FAILED_OVER, faults.REDIS_HANDED_OVER})
_SUPERSEDES = _FAILOVER | {faults.REDIS_KILLED, faults.REDIS_RESTARTED_EMPTY}
NEW_ERA = _SUPERSEDES | {faults.REDIS_EMPTIED}

STORE = _SUPERSEDES | {faults.REDIS_FROZEN, faults.NETWORK_SILENT}
_SERVER = frozenset({faults.SERVER_RESTARTED, faults.SERVER_KILLED, faults.WORKERS_REPLACED, faults.WORKER_KILLED})
_ISSUER = frozenset({faults.ISSUER_AWAY})
_STALLED = frozenset({MACHINE_STALLED})

_MISSED = {NOT_CONNECTED, LOST, SILENCE}

Wrong = Literal["accepted twice", "lost", "unexplained"]


def clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at)) + f".{int(at % 1 * 1000):03}"


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that the model does not allow."""

    at: float
    wrong: Wrong
    server: str
    kind: str
    got: str
    expected: str

    def __str__(self) -> str:
        where = f"{self.kind}, server {self.server}" if self.server else self.kind
        return f"{clock(self.at)} {self.wrong}: {where}: got {self.got}; expected {self.expected}"


class Judge:
    """Judges by the timeline of what was broken.

    Args:
        timeline: what was broken when.
        allows: how long something that is promised in so many seconds may take on a machine that is this busy.
    """

    def __init__(self, timeline: Timeline, allows: Callable[[float], float] = lambda seconds: seconds) -> None:
        self._timeline = timeline
        self._allows = allows

    def violations(self, exchange: Exchange) -> Iterator[Violation]:
        accepted = [attempt for attempt in exchange.attempts if attempt.outcome == ACCEPTED]
        for again in sorted(accepted, key=lambda attempt: attempt.answered_at)[1:]:
            got = f"{self._told(again)} once more"
            yield Violation(again.answered_at, "accepted twice", again.server, exchange.kind, got, str(REPLAYED))
        for attempt in exchange.attempts:
            if (expected := self._expected_instead(exchange, attempt)) is not None:
                wrong: Wrong = "lost" if attempt.outcome in _MISSED else "unexplained"
                got = self._told(attempt)
                yield Violation(attempt.answered_at, wrong, attempt.server, exchange.kind, got, expected)

    def _told(self, attempt: Attempt) -> str:
        return f"{attempt.flaw or attempt.outcome} after {attempt.seconds:.3f} s ({self._lately(attempt)})"

    def _lately(self, attempt: Attempt) -> str:
        every = frozenset(window.fault for window in self._timeline.since(attempt.asked_at - _LATELY))
        ago = {window: attempt.asked_at - window.ended for window in self._windows(every, attempt, after=_LATELY)}
        found = [f"{gap:.3f} s after {w.fault}" if gap > 0 else f"during {w.fault}" for w, gap in ago.items()]
        return ", ".join(found) or "nothing was broken"

    def _expected_instead(self, exchange: Exchange, attempt: Attempt) -> str | None:
        """Of an attempt that is not as it may be."""
        if attempt.flaw is not None:
            return "an answer without this flaw"
        if attempt.outcome in _MISSED:
            # While its server ends there may be none.
            return None if any(self._windows(_SERVER, attempt, after=_CLOSING)) else "an answer: the server was up"
        expected = [*self._expected(exchange, attempt), INTERRUPTED]
        if attempt.outcome in expected or (attempt.outcome == UNAVAILABLE and self._may_be_503(exchange, attempt)):
            return None
        return " or ".join(map(str, expected))

    def _expected(self, exchange: Exchange, attempt: Attempt) -> list[Outcome]:
        if exchange.must_be_challenged(attempt):
            return [CHALLENGED]
        expected = [exchange.wanted]
        if exchange.may_be_spent(attempt) or self._may_be_recorded_in_vain(exchange, attempt):
            expected.append(REPLAYED)
        if exchange.asks_keys and attempt.asked_at < exchange.key_published_at + KEY_COOLDOWN:
            expected.append(KEY_UNKNOWN)
        if self._may_be_challenged(exchange, attempt):
            expected.append(CHALLENGED)
        if self._must_not_be_accepted(exchange, attempt):
            expected.remove(ACCEPTED)
        return expected

    def _may_be_challenged(self, exchange: Exchange, attempt: Attempt) -> bool:
        """Until all workers have noticed a new era, they hand out nonces of the old one too."""
        superseded = exchange.asks_nonce and any(self._eras_since(exchange.nonce, attempt))
        return superseded or exchange.may_be_challenged(attempt)

    def _may_be_recorded_in_vain(self, exchange: Exchange, attempt: Attempt) -> bool:
        """Whether a copy was recorded, but challenged, as a new era was noticed by then (`Superseded`)."""
        return any(self._eras_since(exchange.nonce, attempt)) and any(
            other.outcome == CHALLENGED and other.asked_at < attempt.answered_at
            for other in exchange.attempts
            if other is not attempt
        )

    def _must_not_be_accepted(self, exchange: Exchange, attempt: Attempt) -> bool:
        nonce = exchange.nonce
        return (
            exchange.wanted == ACCEPTED
            and nonce is not None
            and any(
                window.fault in _SUPERSEDES
                and nonce.told_at < window.began
                and window.ended + self._allows(RECOVERY) < attempt.asked_at
                for window in self._eras_since(nonce, attempt)
            )
        )

    def _eras_since(self, nonce: KnownNonce | None, attempt: Attempt) -> Iterator[Window]:
        """What may have ended the era in which the nonce was agreed, before the response."""
        if nonce is not None:
            for window in self._timeline.since(nonce.asked_at - _UNNOTICED):
                if window.fault in NEW_ERA and window.began <= attempt.answered_at:
                    yield window

    def _may_be_503(self, exchange: Exchange, attempt: Attempt) -> bool:
        """Only what is accepted needs the store, only a new key the issuer; a cold server needs both for everything.

        A nonce that a server does not know needs the store too: another server may know it, from an era that has just
        begun. So does any challenge, while the server has no nonce of that era.
        A server that is just starting may be too busy for the deadline of the store.
        """
        server = attempt.server
        needs_store = exchange.wanted == CHALLENGED or (
            exchange.asks_nonce
            and exchange.nonce is not None
            and (exchange.wanted == ACCEPTED or self._may_be_challenged(exchange, attempt))
        )
        needs_issuer = exchange.asks_keys and self._may_be_a_new_key(exchange, attempt)
        return (
            any(
                needs_store or self._was_cold(server, window) or self._was_new_to(server, window)
                for window in self._windows(STORE, attempt, after=self._allows(RECOVERY))
            )
            or any(
                needs_issuer or (exchange.asks_keys and self._was_cold(server, window))
                for window in self._windows(_ISSUER, attempt, after=self._allows(_ISSUER_RECOVERY))
            )
            or any(self._windows(_STALLED, attempt, after=_NEXT_LOOK))
            or any(self._windows(_SERVER, attempt, after=self._allows(RECOVERY)))
        )

    def _may_be_a_new_key(self, exchange: Exchange, attempt: Attempt) -> bool:
        """To the server: a key for which it had to wait, and then the issuer was away."""
        known_from = exchange.key_published_at + KEY_COOLDOWN
        for window in self._timeline.since(exchange.key_published_at):
            if window.fault in _ISSUER and window.began < known_from:
                known_from = max(known_from, window.ended + self._allows(_ISSUER_RECOVERY))
        return exchange.wanted == KEY_UNKNOWN or attempt.asked_at < known_from

    def _was_cold(self, server: str, during: Window) -> bool:
        return any(self._timeline.find(_SERVER, server, during.began, during.ended, after=_COLD))

    def _was_new_to(self, server: str, during: Window) -> bool:
        """Whether another era had just begun, of which the server may not have had a nonce yet."""
        began = self._timeline.find(NEW_ERA, server, during.began, during.ended, after=_UNNOTICED)
        return any(window is not during for window in began)

    def _windows(self, kinds: frozenset[str], attempt: Attempt, *, after: float) -> Iterator[Window]:
        return self._timeline.find(kinds, attempt.server, attempt.asked_at, attempt.answered_at, after=after)
