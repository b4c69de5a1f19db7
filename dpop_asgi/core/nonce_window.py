"""The arithmetic of rotating nonces (RFC 9449 §8, §9): which are accepted now, and which one is issued.

Time is cut into slots, and each slot has one nonce. Nothing here does I/O or reads a clock: how workers agree on the
nonces is in `dpop_asgi.nonces`.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from dpop_asgi.core.options import require
from dpop_asgi.errors import Reason, UseNonce

MAX_NONCE_LENGTH = 64
_NQCHAR = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+")

# After this fraction of a slot the next nonce is issued, so that slow clients don't get one that is about to expire.
_LATE_IN_SLOT = 0.8

# Each slot is a call to the store when a window is fetched. Larger values are almost certainly a mistake.
_MOST_SLOTS = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class NoncePolicy:
    """How nonces rotate. A nonce lives between `(grace + 0.2)` and `(grace + 1.2)` periods from when it is issued.

    Attributes:
        period: seconds per slot.
        grace: past slots whose nonces are still accepted.
        lookahead: slots agreed ahead; for about this many periods rotation goes on while the store is unavailable.

    Raises:
        ValueError: If an option is invalid; the message names it.
    """

    period: float = 60.0
    grace: int = 1
    lookahead: int = 5

    def __post_init__(self) -> None:
        """Reject a window that could not work."""
        fits = type(self.period) in {int, float} and 0 < self.period < math.inf
        require("period", fits, "a number of seconds above 0")
        for option, least in (("grace", 0), ("lookahead", 1)):
            value = getattr(self, option)
            fits = type(value) is int and least <= value <= _MOST_SLOTS
            require(option, fits, f"a whole number from {least} to {_MOST_SLOTS}")

    def slot(self, now: float) -> int:
        """The number of the slot that `now` is in."""
        return math.floor(now / self.period)

    def end(self, slot: int) -> float:
        """The last instant at which the nonce of `slot` is accepted, in seconds since the epoch."""
        return (slot + 1 + self.grace) * self.period


@dataclass(slots=True)
class AcceptedNonce:
    """A nonce that is valid now.

    Attributes:
        value: as the client sent it.
        until: the last instant at which it is accepted, in seconds since the epoch.
        age: seconds since its slot began.
        tag: the hash tag of the keys that go with it; empty unless the store is a cluster.
        incarnation: of the store, under which workers agreed on it; `None` without a fence.
        generation: see `dpop_asgi.core.revoked.Revoked`.
    """

    value: str = field(repr=False)
    until: float
    age: float
    tag: str = ""
    incarnation: str | None = None
    generation: str = ""

    @property
    def facts(self) -> dict[str, object]:
        """For the log of a rejection: the master that the client belongs to."""
        return {"tag": self.tag} if self.tag else {}


def is_nonce(value: object) -> bool:
    """Whether this can be the value of a `DPoP-Nonce` header (RFC 9449 §8.1: NQCHAR), of at most 64 characters."""
    return type(value) is str and len(value) <= MAX_NONCE_LENGTH and _NQCHAR.fullmatch(value) is not None


def key_prefix(namespace: str, kind: str, tag: str) -> str:
    """What all keys of a kind in the store begin with, for one hash tag; without one if `tag` is empty."""
    return f"{namespace}:{kind}{f'{{{tag}}}' if tag else ''}:"


def why_unknown(nonce: object) -> Reason:
    """The reason for a nonce that no slot has."""
    if nonce is None:
        return Reason.NONCE_MISSING
    return Reason.NONCE_UNKNOWN if is_nonce(nonce) else Reason.NONCE_MALFORMED


class SlotNonces:
    """The nonces that were agreed under one incarnation of the store, by slot.

    Args:
        policy: how they rotate.
        tag: see `AcceptedNonce`.
        incarnation: see `AcceptedNonce`.
        generation: see `AcceptedNonce`.

    Attributes:
        facts: for the log of a rejection: the master that the client belongs to.
        incarnation: see `AcceptedNonce`.
        generation: see `AcceptedNonce`.
        complete_for: the slot whose window, with all its slots ahead, is known.
    """

    def __init__(
        self, policy: NoncePolicy, *, tag: str = "", incarnation: str | None = None, generation: str = ""
    ) -> None:
        self._policy = policy
        self._tag = tag
        self.facts: dict[str, object] = {"tag": tag} if tag else {}
        self.incarnation: str | None = incarnation
        self.generation: str = generation
        self._nonces: dict[int, str] = {}
        self._slots: dict[str, int] = {}
        self.complete_for: int | None = None

    def __contains__(self, nonce: object) -> bool:
        return nonce in self._slots

    def __iter__(self) -> Iterator[str]:
        return iter(self._slots)

    def key(self, prefix: str, slot: int) -> str:
        """Where in the store workers agree on the nonce of `slot`."""
        parts = [f"{self._policy.period:g}", str(slot), self.incarnation, self.generation]
        version = "v1" if self.incarnation is None else "v2"
        return f"{prefix}{version}:{':'.join(part for part in parts if part)}"

    def get(self, slot: int) -> str | None:
        """The nonce of `slot`, if it is known."""
        return self._nonces.get(slot)

    def add(self, slot: int, nonce: str) -> None:
        """Add the nonce that was agreed for `slot`. One that was issued for it before stays valid."""
        self._nonces[slot] = nonce
        self._slots[nonce] = slot

    def forget(self, before: int) -> None:
        """Drop the slots before this one, and treat the window as incomplete until it is fetched again."""
        self.complete_for = None
        self._nonces = {slot: nonce for slot, nonce in self._nonces.items() if slot >= before}
        self._slots = {nonce: slot for nonce, slot in self._slots.items() if slot >= before}

    def is_usable(self, slot: int) -> bool:
        """Whether all nonces are known that can be accepted in `slot`; slots further ahead may be missing."""
        return all(needed in self._nonces for needed in range(slot - self._policy.grace, slot + 2))

    def to_issue(self, now: float) -> str | None:
        """The nonce to issue now; `None` when it is not known."""
        slots = now / self._policy.period
        slot = math.floor(slots)
        return self._nonces.get(slot if slots - slot < _LATE_IN_SLOT else slot + 1)

    def replacement_for(self, nonce: str, now: float) -> str | None:
        """The nonce to issue now, unless it is `nonce`, or `nonce` is of a later slot."""
        offered = self.to_issue(now)
        if offered is None or offered == nonce or self._slots.get(nonce, -1) > self._slots[offered]:
            return None
        return offered

    def accept(self, nonce: object, now: float) -> AcceptedNonce:
        """RFC 9449 §4.3 item 10.

        Raises:
            UseNonce: If the nonce is not one of the window; only the reason differs.
        """
        if type(nonce) is not str or (slot := self._slots.get(nonce)) is None:
            raise UseNonce(why_unknown(nonce), **self.facts)
        # Hot path: without calling `slot` and `end`.
        period, grace = self._policy.period, self._policy.grace
        current = math.floor(now / period)
        if slot > current + 1:
            raise UseNonce(Reason.NONCE_UNKNOWN, **self.facts)
        if slot < current - grace:
            raise UseNonce(Reason.NONCE_EXPIRED, slots_ago=current - slot, **self.facts)
        until, age = (slot + 1 + grace) * period, now - slot * period
        return AcceptedNonce(nonce, until, age, self._tag, self.incarnation, self.generation)
