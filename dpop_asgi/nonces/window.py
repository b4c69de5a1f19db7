"""The window of one hash tag: agreed with the other workers, and kept in memory."""

import asyncio
import logging
import math
import re
import secrets
import time
from collections import OrderedDict

from dpop_asgi.core.nonce_window import AcceptedNonce, NoncePolicy, SlotNonces, is_nonce
from dpop_asgi.core.ports import Clock, Fenced, Store
from dpop_asgi.errors import Reason, StoreError, Superseded, UseNonce
from dpop_asgi.outage_log import OutageLog
from dpop_asgi.single_flight import SingleFlight

logger: logging.Logger = logging.getLogger("dpop_asgi")

# 128 bits cannot be guessed (RFC 9449 §8: unpredictable), and base64url stays inside NQCHAR.
_NONCE_BYTES = 16
# With the first character of a hash tag before it.
_OURS = re.compile(r"[A-Za-z0-9_-]{22,23}")

# While the store is unavailable, nonces come from memory. Retrying more often would only add load.
_RETRY_SECONDS = 0.25
# Anyone can invent a nonce that looks valid: this limits how often it causes a look at the store.
_LOOK_SECONDS = 0.25

# An incarnation that returns (a master that was frozen) still has its nonces. More failovers than this within the life
# of a nonce are not worth remembering.
_KEPT_ERAS = 4
# A store that changes more often than this while nonces are agreed isn't usable.
_MOST_CHANGES = 4


class NonceWindow:
    """The nonces that this server accepts and issues, for one hash tag.

    Args:
        store: where workers agree; services on one origin share one and the same namespace,
            since clients keep one nonce per origin.
        policy: how nonces rotate.
        namespace: prefix of the keys.
        clock: seconds since the epoch.
        tag: hash tag of the keys, whose first character each nonce begins with; empty unless the store is a cluster.

    Attributes:
        is_failing: whether the store did not respond to the last call for this tag.
        is_doubted: whether another tag of the same master turned out to be on another incarnation.
        incarnation: of the store, whose nonces are valid now.
    """

    def __init__(self, store: Store, policy: NoncePolicy, *, namespace: str, clock: Clock, tag: str = "") -> None:
        self._store = store
        self._fence = store if isinstance(store, Fenced) else None
        self._policy = policy
        self._tag = tag
        self._keys = f"{namespace}:nonce{f'{{{tag}}}' if tag else ''}:"
        self._clock = clock
        self._era = SlotNonces(policy, tag=tag)
        self._eras: OrderedDict[str | None, SlotNonces] = OrderedDict()
        self._is_known = self._fence is None
        self._fetching = SingleFlight(self._fetch, self._note)
        self._refresh_not_before = -math.inf
        self._looking = SingleFlight(self._look_after)
        self._look_not_before = -math.inf
        self._outage_log = OutageLog(
            "nonces: the store is unavailable, nonces come from memory", "nonces: the store has recovered"
        )
        self.is_doubted: bool = False
        self.is_failing: bool = False

    def __contains__(self, nonce: object) -> bool:
        return nonce in self._era

    def has_superseded(self, nonce: object) -> bool:
        """Whether it was agreed under another incarnation of the store."""
        return any(nonce in era for era in self._eras.values())

    @property
    def incarnation(self) -> str | None:
        """See above."""
        return self._era.incarnation

    def to_issue(self, now: float) -> str | None:
        """The nonce to issue now, `None` when it is not in memory (`ensure` fetches it)."""
        return self._era.to_issue(now)

    def replacement_for(self, nonce: str, now: float) -> str | None:
        """The nonce to issue now, unless it is `nonce`, or `nonce` is of a later slot."""
        return self._era.replacement_for(nonce, now)

    def is_complete(self, now: float) -> bool:
        """Whether the window of `now` is in memory, with all its slots ahead: `ensure` would do nothing."""
        return math.floor(now / self._policy.period) == self._era.complete_for

    def accept(self, nonce: object, now: float) -> AcceptedNonce:
        """RFC 9449 §4.3 item 10, once the window is complete.

        Raises:
            UseNonce: If the nonce is not one of the window; only the reason differs.
        """
        if self._eras and nonce not in self._era and self.has_superseded(nonce):
            raise UseNonce(Reason.NONCE_SUPERSEDED, **self._era.facts)
        return self._era.accept(nonce, now)

    async def ensure(self, now: float) -> None:
        """Have the window of `now` in memory. Calls the store only if it isn't, or runs low.

        Raises:
            StoreError: If the window is not in memory and the store does not respond.
        """
        slot = self._policy.slot(now)
        if self.is_doubted and (look := self._looking.under_way()) is not None:
            await asyncio.wait([look])
        self.refresh(now)
        # In a loop, since the refresh under way may be for another slot or era. Shielded, since a client that
        # disconnects must not cancel it for the others.
        while not self._era.is_usable(slot):
            try:
                await asyncio.shield(self._fetching.start(slot))
            except StoreError:
                # Some of the slots ahead may be missing; the others are enough for now.
                if not self._era.is_usable(slot):
                    raise

    def refresh(self, now: float) -> None:
        """Fetch what is missing of the window of `now`, off the request's path."""
        slot = self._policy.slot(now)
        if slot != self._era.complete_for and now >= self._refresh_not_before:
            self._fetching.start(slot)

    async def _fetch(self, slot: int) -> None:
        if not self._is_known:
            self.supersede(await self._incarnation_now())
        for _ in range(_MOST_CHANGES):
            try:
                return await self._fetch_era(self._era, slot)
            except Superseded as change:
                self.supersede(change.by)
        raise StoreError("the store changes faster than nonces can be agreed on")

    async def _fetch_era(self, era: SlotNonces, slot: int) -> None:
        # The known slots too: without a fence, this restores them in a store that lost them, so that all workers agree
        # again. Nonces that were issued before stay valid beside those that are stored now.
        wanted = range(slot - self._policy.grace, slot + self._policy.lookahead + 1)
        failures = await asyncio.gather(*(self._agree(era, each) for each in wanted), return_exceptions=True)
        # Slots of a complete window may be dropped now, and the clock may go back to it.
        era.forget(wanted.start - self._policy.lookahead)
        for failure in sorted(filter(None, failures), key=lambda failure: not isinstance(failure, Superseded)):
            raise failure
        era.complete_for = slot

    async def _agree(self, era: SlotNonces, slot: int) -> None:
        # One period longer than any worker accepts it, for clocks that are a little behind.
        ttl = max(self._policy.end(slot) + self._policy.period - self._clock(), self._policy.period)
        candidate = era.get(slot) or self._tag[:1] + secrets.token_urlsafe(_NONCE_BYTES)
        name = f"{self._policy.period:g}:{slot}"
        if self._fence is None or era.incarnation is None:
            nonce = await self._store.put_if_absent(f"{self._keys}v1:{name}", candidate, ttl=ttl)
        else:
            under = era.incarnation
            nonce = await self._fence.put_if_absent(f"{self._keys}v2:{name}:{under}", candidate, ttl=ttl, under=under)
        if not is_nonce(nonce):
            raise StoreError(
                f"what is stored under {self._keys}* isn't a nonce: does another program use this namespace?"
            )
        # Not returned: in debug mode, event loops log what tasks return.
        era.add(slot, nonce)

    def supersede(self, incarnation: str | None) -> None:
        """From now on, only nonces that were agreed under this incarnation are valid."""
        if self._is_known and incarnation == self._era.incarnation:
            return
        if self._is_known:
            logger.warning("nonces: the store was restarted or replaced; clients are challenged for a new nonce")
            self._eras[self._era.incarnation] = self._era
        self._is_known = True
        self._refresh_not_before = -math.inf
        known = self._eras.pop(incarnation, None)
        self._era = known or SlotNonces(self._policy, tag=self._tag, incarnation=incarnation)
        while len(self._eras) > _KEPT_ERAS:
            self._eras.popitem(last=False)

    async def look(self, nonce: object, *, patient: bool) -> bool:
        """Look whether the store is another incarnation, which another worker may have noticed earlier.

        Args:
            nonce: not valid here. If it doesn't look like a nonce of this fleet, nothing is done.
            patient: whether to wait until it is time to look again. Otherwise the client could be challenged by this
                worker and the other in turn.

        Raises:
            StoreError: If the store does not respond.
        """
        if self._fence is None or not isinstance(nonce, str) or _OURS.fullmatch(nonce) is None:
            return False
        before, pause = self._era, self._look_not_before - time.monotonic()
        if pause > 0 and not patient:
            return False
        self.supersede(await asyncio.shield(self._looking.start(pause)))
        return self._era is not before

    def doubt(self) -> None:
        """Look soon: another tag of the same master turned out to be on another incarnation."""
        if self._fence is not None:
            self.is_doubted = True
            self._looking.start(0.0).add_done_callback(self._believe)

    def _believe(self, look: asyncio.Task[str | None]) -> None:
        self.is_doubted = False
        if not look.cancelled() and look.exception() is None:
            self.supersede(look.result())

    async def _look_after(self, pause: float) -> str | None:
        if pause > 0:
            await asyncio.sleep(pause)
        self._look_not_before = time.monotonic() + _LOOK_SECONDS
        return await self._incarnation_now()

    async def _incarnation_now(self) -> str | None:
        return await self._fence.incarnation(f"{self._keys}look:v2") if self._fence is not None else None

    def _note(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        self._refresh_not_before = self._clock() + _RETRY_SECONDS if error or task.cancelled() else -math.inf
        self.is_failing = error is not None
        if isinstance(error, Exception):
            self._outage_log.failed(error)
        else:
            self._outage_log.succeeded()
