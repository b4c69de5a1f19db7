"""Rejections that an operator should see: their log line is a warning, a few times a minute.

A wrong setting causes some of them, and a stolen token or request others.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import urlsplit

from dpop_asgi.core.htu import is_loopback
from dpop_asgi.errors import Reason, Refusal

_MINUTE = 60.0

# Clients can cause all of these rejections, so the warnings about each reason are limited: a client can't flood a log
# of warnings. About a setting one says everything. Each attack has a client and a peer of its own.
_MISTAKES_A_MINUTE = 1
_ATTACKS_A_MINUTE = 10

_CLOCK = "compare the clocks: this machine's, and the client's"
_MISTAKES: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.HOST_NOT_ALLOWED: "set public_url to what clients call (or list the host in allowed_hosts of"
        " DPoPMiddleware)",
        Reason.TARGET_MISMATCH: "public_url must be what clients call",
        Reason.ISSUED_TOO_EARLY: _CLOCK,
        Reason.ISSUED_IN_FUTURE: _CLOCK,
        Reason.TOKEN_ISSUER: "issuer must be what the tokens have in iss, to the letter",
        Reason.TOKEN_AUDIENCE: "audience must be what the tokens have in aud, to the letter",
        Reason.TOKEN_TYPE: "if these are access tokens, list their typ in types",
    }
)
# All need a valid token, except at a token endpoint, where anyone can repeat a proof. A client that uses another key,
# or repeats requests unchanged, causes the same.
_ATTACKS: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.PROOF_REPLAYED: "A client or a proxy repeats requests, or someone else sends captured ones",
        Reason.BINDING_MISMATCH: "A client has changed its key, or someone else sends its token",
        Reason.BOUND_TOKEN_AS_BEARER: "A client sends its bound token as Bearer, or someone else does",
    }
)
NOTEWORTHY = _MISTAKES.keys() | _ATTACKS.keys()


@dataclass(slots=True)
class _Minute:
    """The warnings about one reason since a minute began, and the rejections that were none."""

    ends: float
    warnings: int = 0
    others: int = 0


class LogWarnings:
    """Says which rejections are warnings, and what to look at.

    Args:
        clock: seconds that only go forward.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._minutes: dict[Reason, _Minute] = {}

    def about(self, refusal: Refusal) -> str:
        """The end of the log line of a `NOTEWORTHY` rejection, if it is a warning; otherwise empty."""
        reason, now = refusal.reason, self._clock()
        minute = self._minutes.get(reason)
        others = 0
        if minute is None or now >= minute.ends:
            others = 0 if minute is None else minute.others
            self._minutes[reason] = minute = _Minute(now + _MINUTE)
        if minute.warnings >= (_MISTAKES_A_MINUTE if reason in _MISTAKES else _ATTACKS_A_MINUTE):
            minute.others += 1
            return ""
        minute.warnings += 1
        counted = f" ({others} more since the last warning)" if others else ""
        return f"{counted}. {_advice_on(refusal)}. See docs/errors.md#{reason.value}"


def _advice_on(refusal: Refusal) -> str:
    attack = _ATTACKS.get(refusal.reason)
    if attack is not None:
        return attack
    advice = f"If all requests are rejected like this: {_MISTAKES[refusal.reason]}"
    if refusal.reason is Reason.TARGET_MISMATCH:
        advice = f"{advice}: {_difference(refusal.facts.get('expected'), refusal.facts.get('received'))}"
    return advice


def _difference(expected: object, received: object) -> str:
    """In which part a proof's `htu` is not the URI of the request, and what that usually means."""
    try:
        ours, theirs = urlsplit(str(expected)), urlsplit(str(received))
    except ValueError:
        return "the htu is no URI"
    if ours.scheme != theirs.scheme:
        return "the schemes differ, as behind a proxy that ends TLS"
    if ours.netloc != theirs.netloc:
        return _of_hosts(ours.hostname or "", theirs.hostname or "")
    if theirs.path.endswith(ours.path):
        return "the path lacks a prefix, which a proxy may strip"
    if ours.path.endswith(theirs.path):
        return "the path has a prefix that clients don't send"
    return "the paths differ"


def _of_hosts(ours: str, theirs: str) -> str:
    if ours == theirs:
        return "the ports differ"
    if is_loopback(ours) and is_loopback(theirs):
        return "localhost and 127.0.0.1 are different hosts: sign the one that is called"
    return "the hosts differ"
