"""Causes in the times of the proof."""

from datetime import UTC, datetime

from dpop_asgi.cli.explain.case import Case
from dpop_asgi.cli.explain.causes.kinds import Advice, Causes, always
from dpop_asgi.cli.explain.findings import Check
from dpop_asgi.errors import Reason

# More than any time in seconds within the next thousand years, less than today's in milliseconds.
_TOO_LARGE_FOR_SECONDS = 1e11
_UNITS = {1e12: "milliseconds", 1e15: "microseconds", 1e18: "nanoseconds"}
_HALF_HOUR, _HOUR, _DAY = 1800, 3600, 86_400
_FURTHEST_ZONE = 14 * _HOUR
_PER_REQUEST = "Make a new proof for every request, when it is sent."


def duration(seconds: float) -> str:
    """A length of time in its largest fitting unit."""
    seconds = abs(seconds)
    for unit, size in (("days", _DAY), ("h", _HOUR), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def date(seconds: float) -> str:
    """A time in UTC."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return ""


def _iat(case: Case) -> float:
    iat = (case.claims or {}).get("iat")
    return float(iat) if isinstance(iat, (int, float)) else case.now


def _other_unit(case: Case, _check: Check) -> Advice | None:
    iat = _iat(case)
    if iat < _TOO_LARGE_FOR_SECONDS:
        return None
    unit = min(_UNITS, key=lambda size: abs(iat / size - case.now / 1e9))
    return Advice(f"iat is in {_UNITS[unit]}.", "Make it seconds since 1970, such as Math.floor(Date.now() / 1000).")


def _no_time(case: Case, _check: Check) -> Advice | None:
    if not 0 <= _iat(case) < 1_000_000_000:  # noqa: PLR2004 - 2001, before there were such tokens
        return None
    return Advice(f"iat is {date(_iat(case))}: a clock that was never set, or not a time at all.", "Set the clock.")


def _time_zone(case: Case, _check: Check) -> Advice | None:
    """Off by whole half hours, give or take the age that a proof may have."""
    off = _iat(case) - case.now
    zones = round(off / _HALF_HOUR)
    late = zones * _HALF_HOUR - off
    if zones == 0 or abs(off) > _FURTHEST_ZONE or not -1 <= late <= 10:  # noqa: PLR2004 - seconds on the way
        return None
    return Advice(
        f"iat is off by {zones / 2:+g} h, as precisely as a time zone: local time was taken for UTC.",
        "Take the time from a function that returns seconds since 1970 in UTC.",
    )


def _kept(case: Case, _check: Check) -> Advice:
    age = duration(case.now - _iat(case))
    return Advice(
        f"The proof is {age} old: it was kept and used again, was queued, or the client's clock is slow.",
        f"{_PER_REQUEST} If that is so, set the client's clock (NTP).",
    )


def _ahead(case: Case, _check: Check) -> Advice:
    ahead = duration(_iat(case) - case.now)
    return Advice(
        f"iat is {ahead} ahead: the client's clock is fast, or the server's is slow.", "Synchronise both clocks (NTP)."
    )


CAUSES: Causes = {
    Reason.ISSUED_TOO_EARLY: (_no_time, _time_zone, _kept),
    Reason.ISSUED_IN_FUTURE: (_other_unit, _time_zone, _ahead),
    Reason.PROOF_EXPIRED: (
        always("The proof has an exp, which proofs don't need, and it has passed.", f"Leave exp out. {_PER_REQUEST}"),
    ),
    Reason.PROOF_NOT_YET_VALID: (
        always("The proof has an nbf, which proofs don't need, and it is in the future.", "Leave nbf out."),
    ),
}
