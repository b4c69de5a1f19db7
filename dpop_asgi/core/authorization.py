"""What a route needs besides a valid token: scopes (RFC 6750 §3.1) and step-up (RFC 9470)."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from dpop_asgi.core.options import require
from dpop_asgi.errors import InsufficientAuthentication, InsufficientScope, names

_NUMBER = frozenset({int, float})


@dataclass(frozen=True, slots=True, init=False)
class Requirement:
    """What a request needs besides a valid token. `a & b` needs both.

    Args:
        scopes: the scopes that the token must have, all of them.
        acr_values: the authentication contexts of which one must be the token's `acr`, the preferred one first.
        max_age: seconds that may have passed since the user signed in, the token's `auth_time`.
        bearer: whether an unbound token under Bearer is enough, where `mode` is `mixed`. It never loosens `mode`.

    Attributes:
        scopes: see above.
        acr_values: see above.
        max_age: see above.
        bearer: see above.

    Raises:
        ValueError: If an option is invalid; the message names it.
    """

    scopes: tuple[str, ...]
    acr_values: tuple[str, ...]
    max_age: int | None
    bearer: bool

    def __init__(
        self,
        scopes: str | Iterable[str] = (),
        acr_values: str | Iterable[str] = (),
        max_age: int | None = None,
        bearer: bool = True,  # noqa: FBT001, FBT002 - the fourth of four, and named wherever it is used
    ) -> None:
        require(
            "max_age", max_age is None or (type(max_age) is int and max_age > 0), "a whole number of seconds above 0"
        )
        require("bearer", type(bearer) is bool, "True or False")
        for name, value in (
            ("scopes", tuple(dict.fromkeys(names("scopes", scopes)))),
            ("acr_values", tuple(dict.fromkeys(names("acr_values", acr_values)))),
            ("max_age", max_age),
            ("bearer", bearer),
        ):
            object.__setattr__(self, name, value)

    def __and__(self, other: Self) -> "Requirement":
        """What both need.

        Raises:
            ValueError: If no authentication context would be enough for both.
        """
        acr_values = self.acr_values or other.acr_values
        if self.acr_values and other.acr_values:
            acr_values = tuple(value for value in self.acr_values if value in other.acr_values)
            require("acr_values", acr_values, f"something in common: {self.acr_values} and {other.acr_values}")
        ages = [age for age in (self.max_age, other.max_age) if age is not None]
        return Requirement(
            (*self.scopes, *other.scopes), acr_values, min(ages, default=None), self.bearer and other.bearer
        )


ANY_CALLER = Requirement()


def authorize(needed: Requirement, scopes: frozenset[str], claims: Mapping[str, Any], now: float) -> None:
    """Check that a valid token is enough. A challenge names all that is needed, not only what is lacking.

    Args:
        needed: what the request needs.
        scopes: those that the token has.
        claims: of the token: `acr`, a string, and `auth_time`, seconds since the epoch, are compared as they are.
        now: seconds since the epoch.

    Raises:
        InsufficientAuthentication: If the user's authentication is too weak or too old (RFC 9470 §3).
        InsufficientScope: If nothing but a scope is lacking (RFC 6750 §3.1).
    """
    is_lacking = not scopes.issuperset(needed.scopes)
    if needed.acr_values or needed.max_age is not None:
        acr, auth_time = claims.get("acr"), claims.get("auth_time")
        is_strong = not needed.acr_values or (type(acr) is str and acr in needed.acr_values)
        if not is_strong or not _is_recent(auth_time, needed.max_age, now):
            raise InsufficientAuthentication(
                needed.acr_values,
                needed.max_age,
                needed.scopes if is_lacking else (),
                acr=acr,
                auth_time=auth_time,
                now=now,
            )
    if is_lacking:
        raise InsufficientScope(*needed.scopes)


def _is_recent(auth_time: object, max_age: int | None, now: float) -> bool:
    if max_age is None:
        return True
    return type(auth_time) in _NUMBER and math.isfinite(auth_time) and now - auth_time <= max_age  # type: ignore[arg-type, operator]  # a number
