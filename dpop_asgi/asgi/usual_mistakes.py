"""Rejections that are usually a mistake in the server's configuration: their log line is a warning now and then."""

import time
from collections import Counter
from collections.abc import Callable
from urllib.parse import urlsplit

from dpop_asgi.core.htu import is_loopback
from dpop_asgi.errors import Reason, Refusal

# Clients can cause these rejections as well: for each reason, they can add a line a minute to the log of warnings.
_WARN_EVERY_SECONDS = 60.0

_CLOCK = "compare the clocks: this machine's, and the client's"
MISTAKES: dict[Reason, str] = {
    Reason.HOST_NOT_ALLOWED: "set public_url to what clients call, or list the host in allowed_hosts",
    Reason.TARGET_MISMATCH: "public_url must be what clients call",
    Reason.ISSUED_TOO_EARLY: _CLOCK,
    Reason.ISSUED_IN_FUTURE: _CLOCK,
    Reason.TOKEN_ISSUER: "issuer must be what the tokens have in iss, to the letter",
    Reason.TOKEN_AUDIENCE: "audience must be what the tokens have in aud, to the letter",
    Reason.TOKEN_TYPE: "if these are access tokens, list their typ in types",
}


class UsualMistakes:
    """Says what to look at: at the first rejection for a reason, and then once a minute while there are more.

    Args:
        clock: seconds that only go forward.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._not_before: dict[Reason, float] = {}
        self._others: Counter[Reason] = Counter()

    def advice_on(self, refusal: Refusal) -> str:
        """The end of a warning about one of the `MISTAKES`; empty if it was said in the last minute."""
        reason, now = refusal.reason, self._clock()
        if now < self._not_before.get(reason, now):
            self._others[reason] += 1
            return ""
        self._not_before[reason] = now + _WARN_EVERY_SECONDS
        others = self._others.pop(reason, 0)
        counted = f" ({others} more since the last warning)" if others else ""
        advice = MISTAKES[reason]
        if reason is Reason.TARGET_MISMATCH:
            advice = f"{advice}: {_difference(refusal.facts.get('expected'), refusal.facts.get('received'))}"
        return f"{counted}. If all requests are rejected like this: {advice}. See docs/errors.md#{reason.value}"


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
