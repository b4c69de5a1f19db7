"""The rotating window of server nonces (RFC 9449 §8, §9).

Time is cut into slots. The nonce of a slot is a random value on which all workers agree by the store's one verb:
whoever asks first writes it, everybody else reads the same. Each process keeps the window in memory, so that checking
a nonce asks nobody, and agrees on the slots ahead long before they begin, so that rotation refuses nobody.
"""

import asyncio
import logging
import math
import re
import secrets
from dataclasses import dataclass

from dpop_asgi.core.caller import AcceptedNonce
from dpop_asgi.core.options import require
from dpop_asgi.core.ports import Clock, Store
from dpop_asgi.errors import Reason, StoreError, UseNonce

logger: logging.Logger = logging.getLogger("dpop_asgi")

# 128 bits cannot be guessed (RFC 9449 §8: unpredictable), and base64url stays inside NQCHAR.
_NONCE_BYTES = 16
_MAX_NONCE_LENGTH = 64
_NQCHAR = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+")

# From here on a slot has too little life left for a slow client: the next nonce is handed out.
_LATE_IN_SLOT = 0.8

# Each slot is a call to the store when a window is fetched: more than this is a slip of the hand.
_MOST_SLOTS = 1000

# While the store is away the window lives from memory; asking more often than this would only add load.
_RETRY_SECONDS = 0.25


@dataclass(frozen=True, kw_only=True, slots=True)
class NoncePolicy:
    """How nonces rotate. A nonce lives between `(grace + 0.2)` and `(grace + 1.2)` periods from when it is handed out.

    Attributes:
        period: seconds per slot.
        grace: past slots whose nonces are still accepted.
        lookahead: slots agreed ahead; for about so many periods rotation goes on while the store is away.

    Raises:
        ValueError: naming the option that is wrong.
    """

    period: float = 60.0
    grace: int = 1
    lookahead: int = 5

    def __post_init__(self) -> None:
        """Refuse a window that could not work."""
        fits = type(self.period) in {int, float} and 0 < self.period < math.inf
        require("period", fits, "a number of seconds above 0")
        for option, least in (("grace", 0), ("lookahead", 1)):
            value = getattr(self, option)
            fits = type(value) is int and least <= value <= _MOST_SLOTS
            require(option, fits, f"a whole number from {least} to {_MOST_SLOTS}")


def _why_unknown(nonce: object) -> Reason:
    if nonce is None:
        return Reason.NONCE_MISSING
    if type(nonce) is not str or len(nonce) > _MAX_NONCE_LENGTH or _NQCHAR.fullmatch(nonce) is None:
        return Reason.NONCE_MALFORMED
    return Reason.NONCE_UNKNOWN


class NonceWindow:
    """The nonces that this server accepts and hands out.

    Args:
        store: where workers agree; services on one origin share one and the same namespace,
            since clients keep one nonce per origin.
        policy: how nonces rotate.
        namespace: prefix of the keys.
        clock: seconds since the epoch.
    """

    def __init__(self, store: Store, policy: NoncePolicy, *, namespace: str, clock: Clock) -> None:
        self._store = store
        self._policy = policy
        self._prefix = f"{namespace}:nonce:v1:{policy.period:g}:"
        self._clock = clock
        self._nonces: dict[int, str] = {}
        self._slots: dict[str, int] = {}
        self._complete_for: int | None = None
        self._refresh: asyncio.Task[None] | None = None
        self._refresh_not_before = -math.inf
        self._store_failed = False

    def _slot(self, now: float) -> int:
        return math.floor(now / self._policy.period)

    def offered(self, now: float) -> str | None:
        """The nonce to hand out now, `None` when it is not in memory (`ready` fetches it)."""
        slots = now / self._policy.period
        slot = math.floor(slots)
        return self._nonces.get(slot if slots - slot < _LATE_IN_SLOT else slot + 1)

    def newer(self, nonce: str, now: float) -> str | None:
        """The nonce to hand out now, unless it is `nonce`, or `nonce` is of a later slot."""
        offered = self.offered(now)
        if offered is None or offered == nonce or self._slots.get(nonce, -1) > self._slots[offered]:
            return None
        return offered

    def is_ready(self, now: float) -> bool:
        """Whether the window of `now` is in memory, with all its slots ahead: `ready` would do nothing."""
        return math.floor(now / self._policy.period) == self._complete_for

    def accept(self, nonce: object, now: float) -> AcceptedNonce:
        """RFC 9449 §4.3 item 10, once the window is `ready`.

        Raises:
            UseNonce: whatever is wrong; only the reason differs.
        """
        # In place and not by `_slot` and `_end`, as in `is_ready`: every request comes by here.
        period, grace = self._policy.period, self._policy.grace
        if type(nonce) is not str or (slot := self._slots.get(nonce)) is None:
            raise UseNonce(_why_unknown(nonce))
        current = math.floor(now / period)
        if slot > current + 1:
            raise UseNonce(Reason.NONCE_UNKNOWN)
        if slot < current - grace:
            raise UseNonce(Reason.NONCE_EXPIRED, slots_ago=current - slot)
        return AcceptedNonce(nonce, (slot + 1 + grace) * period, now - slot * period)

    def _end(self, slot: int) -> float:
        return (slot + 1 + self._policy.grace) * self._policy.period

    async def ready(self, now: float) -> None:
        """Have the window of `now` in memory; asks the store only when it is not, or runs low.

        Raises:
            StoreError: the window is not in memory and the store does not answer.
        """
        slot = self._slot(now)
        if slot == self._complete_for:
            return
        if self._usable(slot):
            if now >= self._refresh_not_before:
                self._single_flight(slot)
            return
        # Again, when the refresh under way was for another slot. Shielded: a client that goes away must not take
        # the others' window with it.
        while not self._usable(slot):
            try:
                await asyncio.shield(self._single_flight(slot))
            except StoreError:
                # Of the slots ahead some may be missing; for now these are enough.
                if not self._usable(slot):
                    raise

    def _usable(self, slot: int) -> bool:
        return all(needed in self._nonces for needed in range(slot - self._policy.grace, slot + 2))

    def _single_flight(self, slot: int) -> asyncio.Task[None]:
        task = self._refresh
        if task is None or task.done() or task.get_loop() is not asyncio.get_running_loop():
            task = self._refresh = asyncio.get_running_loop().create_task(self._fetch(slot))
            task.add_done_callback(self._note)
        return task

    async def _fetch(self, slot: int) -> None:
        # The known slots too: a store that lost them (a restart, a failover) is told again, and workers that differ
        # since then agree again. What was handed out before stays good beside what stands there now.
        wanted = range(slot - self._policy.grace, slot + self._policy.lookahead + 1)
        failures = await asyncio.gather(*map(self._agree, wanted), return_exceptions=True)
        # Of a slot that was complete some may be forgotten now, and the clock may go back to it.
        self._complete_for = None
        self._forget(wanted.start - self._policy.lookahead)
        for failure in filter(None, failures):
            raise failure
        self._complete_for = slot

    async def _agree(self, slot: int) -> None:
        # One period longer than any worker accepts it, so that no clock that is a little behind finds it gone.
        ttl = self._end(slot) + self._policy.period - self._clock()
        candidate = self._nonces.get(slot) or secrets.token_urlsafe(_NONCE_BYTES)
        nonce = await self._store.put_if_absent(f"{self._prefix}{slot}", candidate, ttl=max(ttl, self._policy.period))
        if len(nonce) > _MAX_NONCE_LENGTH or _NQCHAR.fullmatch(nonce) is None:
            msg = f"what stands under a key {self._prefix}* is no nonce: does another program use this namespace?"
            raise StoreError(msg)
        # Not returned: an event loop that is debugged logs what its tasks return.
        self._nonces[slot] = nonce
        self._slots[nonce] = slot

    def _forget(self, before: int) -> None:
        """Old slots are kept a little longer, to tell an expired nonce from an unknown one."""
        self._nonces = {slot: nonce for slot, nonce in self._nonces.items() if slot >= before}
        self._slots = {nonce: slot for nonce, slot in self._slots.items() if slot >= before}

    def _note(self, task: asyncio.Task[None]) -> None:
        """Log once per change, and retrieve the exception: a refresh off the request's path has no other reader."""
        error = None if task.cancelled() else task.exception()
        self._refresh_not_before = self._clock() + _RETRY_SECONDS if error or task.cancelled() else -math.inf
        if error and not self._store_failed:
            logger.warning("nonces: the store does not answer, going on from memory: %s", error)
        elif self._store_failed and not error:
            logger.warning("nonces: the store answers again")
        self._store_failed = error is not None
