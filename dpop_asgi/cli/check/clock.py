"""How far the clocks of the issuer and the store are from ours."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from dpop_asgi.cli.check.finding import Finding, error, ok, warning

# The leeway of `JWTVerifier` for a token's `exp` and `nbf`, and the difference at which the self-check warns.
_TOLERATED_SECONDS = 5.0

# As in stores/redis/health.py.
_STORE_SECONDS = 10.0

_CHANGE = "Synchronize the clocks (NTP)."


class Ahead(NamedTuple):
    """By how many seconds a clock is ahead of ours: at least, and at most."""

    least: float
    most: float


def clock_findings(issuer: Iterable[Ahead], store: Iterable[Ahead], *, max_future: float) -> Iterator[Finding]:
    """Whether the clocks are close enough.

    Args:
        issuer: how far the issuer's clock is ahead.
        store: how far the clock of each server of the store is ahead.
        max_future: seconds that a proof may be ahead. A host that is so far off is as wrong for clients.
    """
    by_issuer, by_store = _certain(issuer), max((_certain([each]) or 0.0 for each in store), key=abs, default=None)
    yield from _finding("issuer", by_issuer, max(max_future, _TOLERATED_SECONDS))
    yield from _finding("store", by_store, min(max(max_future, _TOLERATED_SECONDS), _STORE_SECONDS))


def _certain(measured: Iterable[Ahead]) -> float | None:
    """The smallest difference, in either direction, that agrees with what was measured; `None` if nothing was."""
    every = list(measured)
    if not every:
        return None
    least, most = max(ahead.least for ahead in every), min(ahead.most for ahead in every)
    return max(least, 0.0) if least > 0 else min(most, 0.0)


def _finding(whose: str, ahead: float | None, fatal: float) -> Iterator[Finding]:
    if ahead is None:
        return
    name = f"clock_of_{whose}"
    if abs(ahead) <= _TOLERATED_SECONDS:
        yield ok("clock", name, f"The {whose}'s clock agrees with this host's.")
        return
    what = f"The clock of this host is {abs(ahead):.0f} s {'behind' if ahead > 0 else 'ahead of'} the {whose}'s."
    if abs(ahead) > fatal:
        yield error("clock", f"{name}_differs", f"{what} Valid requests can be rejected.", change=_CHANGE)
    else:
        yield warning("clock", f"{name}_differs", what, change=_CHANGE)
