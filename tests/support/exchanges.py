"""What was sent and what came back, as facts to be judged."""

import json
import math
import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dpop_asgi import Reason
from tests.support.wire import Response

_ERROR = re.compile(r'DPoP error="(\w+)"')
# The faults of a nonce are answered alike: the table of reasons has them as one.
_REASONS = {reason.description: reason for reason in Reason if not reason.startswith("nonce_")}


class Outcome(NamedTuple):
    """What a client sees, as the ledger counts it, and the reason behind a refusal."""

    label: str
    reason: Reason | None = None

    def __str__(self) -> str:
        return f"{self.label} ({self.reason.value})" if self.reason else self.label


ACCEPTED = Outcome("200")
CHALLENGED = Outcome("401 use_dpop_nonce")
UNAVAILABLE = Outcome("503")
NOT_CONNECTED = Outcome("no connection")
LOST = Outcome("answer lost")
SILENCE = Outcome("no answer")
INTERRUPTED = Outcome("soak interrupted")

# The server may have done its work, or some of it, although nobody was told.
MAY_HAVE_SPENT = {ACCEPTED, UNAVAILABLE, LOST, SILENCE, INTERRUPTED}


def bad_proof(reason: Reason) -> Outcome:
    return Outcome("401 invalid_dpop_proof", reason)


def bad_token(reason: Reason) -> Outcome:
    return Outcome("401 invalid_token", reason)


REPLAYED = bad_proof(Reason.PROOF_REPLAYED)
KEY_UNKNOWN = bad_token(Reason.TOKEN_KEY_UNKNOWN)


@dataclass(frozen=True, slots=True)
class KnownNonce:
    """A nonce, until when it is certainly accepted, and from when it certainly is not.

    Attributes:
        asked_at: when the request was sent whose response brought it; `told_at` is when that came.
    """

    value: str
    live_until: float
    dead_from: float
    asked_at: float = 0.0
    told_at: float = 0.0


@dataclass(frozen=True, slots=True)
class NonceCalendar:
    """The one formula: a nonce is handed out from the last fifth of the slot before its own, accepted for one after."""

    period: float
    grace: int = 1

    def known(self, value: str, asked_at: float, answered_at: float) -> KnownNonce:
        """A nonce that an answer brought."""
        return KnownNonce(value, self._end(asked_at), self._end(answered_at), asked_at, answered_at)

    def _end(self, handed_out_at: float) -> float:
        slot = math.floor(handed_out_at / self.period + 0.2)
        return (slot + 1 + self.grace) * self.period

    @property
    def longest_life(self) -> float:
        return (self.grace + 1.2) * self.period


@dataclass(frozen=True, slots=True)
class Attempt:
    """A request that was sent to one server. `flaw` is what no answer may have."""

    server: str
    asked_at: float
    answered_at: float
    outcome: Outcome
    flaw: str | None = None

    @property
    def seconds(self) -> float:
        return self.answered_at - self.asked_at


@dataclass(slots=True)
class Exchange:
    """One request, sent once or several times.

    Attributes:
        kind: for the ledger.
        request: the very bytes.
        wanted: the answer to it the first time, while its nonce is good and nothing is broken.
        thumbprint: of the client's key.
        nonce: the proof's; `None` when it has none.
        asks_nonce: whether the decision gets so far.
        asks_keys: whether it gets to the issuer's keys.
        key_published_at: when the key that signed the token was.
    """

    kind: str
    request: bytes
    wanted: Outcome = ACCEPTED
    thumbprint: str = ""
    nonce: KnownNonce | None = None
    asks_nonce: bool = True
    asks_keys: bool = True
    key_published_at: float = 0.0
    attempts: list[Attempt] = field(default_factory=list)

    def may_be_challenged(self, attempt: Attempt) -> bool:
        return self.asks_nonce and (self.nonce is None or attempt.answered_at >= self.nonce.live_until)

    def must_be_challenged(self, attempt: Attempt) -> bool:
        return self.asks_nonce and (self.nonce is None or attempt.asked_at >= self.nonce.dead_from)

    def may_be_spent(self, attempt: Attempt) -> bool:
        """Whether another copy came before this one's answer and may have been accepted."""
        return self.wanted == ACCEPTED and any(
            other.outcome in MAY_HAVE_SPENT and other.asked_at < attempt.answered_at
            for other in self.attempts
            if other is not attempt
        )


def read_outcome(response: Response) -> Outcome:
    if response.status == 200:
        return ACCEPTED
    if response.status == 503:
        return UNAVAILABLE
    content = _object(response)
    if response.status == 401:
        error = _ERROR.match(response.one("www-authenticate") or "")
        label = f"401 {error[1]}" if error else "401 without a code"
    else:
        label = " ".join(filter(None, (str(response.status), content.get("error"))))
    return Outcome(label, _REASONS.get(content.get("error_description", "")))


def find_flaw(response: Response, exchange: Exchange) -> str | None:
    """What is wrong with an answer whatever was asked."""
    nonces, challenges = response.all("dpop-nonce"), response.all("www-authenticate")
    flaws = {
        "more than one DPoP-Nonce": len(nonces) > 1,
        "a 401 without exactly one challenge": response.status == 401 and len(challenges) != 1,
        "a 401 without a nonce": response.status == 401 and not nonces,
        "a 503 with a challenge or a nonce": response.status == 503 and bool(nonces or challenges),
        "a 503 without Retry-After": response.status == 503 and response.one("retry-after") is None,
        "the answer to another client": response.status == 200 and _object(response).get("jkt") != exchange.thumbprint,
        "a challenge with the nonce that it refuses": _offers_what_it_refuses(response, exchange),
    }
    return next((flaw for flaw, found in flaws.items() if found), None)


def _offers_what_it_refuses(response: Response, exchange: Exchange) -> bool:
    sent = None if exchange.nonce is None or exchange.wanted != ACCEPTED else exchange.nonce.value
    return read_outcome(response) == CHALLENGED and response.one("dpop-nonce") == sent


def _object(response: Response) -> dict[str, Any]:
    try:
        content = json.loads(response.body)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
