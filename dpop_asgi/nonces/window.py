"""The window of one hash tag: agreed with the other workers, and kept in memory."""

import asyncio
import logging
import math
import secrets
from collections import OrderedDict

from dpop_asgi.core.nonce_window import AcceptedNonce, NoncePolicy, SlotNonces, is_nonce, key_prefix
from dpop_asgi.core.ports import Clock, Fenced, Store
from dpop_asgi.errors import Reason, StoreError, Superseded, UseNonce
from dpop_asgi.log import logger
from dpop_asgi.nonces.look import Look
from dpop_asgi.outage_log import OutageLog
from dpop_asgi.revocation import RevocationWatch
from dpop_asgi.single_flight import SingleFlight

# 128 bits cannot be guessed (RFC 9449 §8: unpredictable), and base64url stays inside NQCHAR.
_NONCE_BYTES = 16

# While the store is unavailable, nonces come from memory. Retrying more often would only add load.
_RETRY_SECONDS = 0.25

_FROM_MEMORY = "nonces: the store fails, challenges go on with the nonces in memory"
_NONE_IN_MEMORY = "nonces: the store fails and there are none in memory, so {} get 503"

# Of incarnations that may return with their nonces, as a frozen master does, within the life of a nonce.
_KEPT_ERAS = 4
# A store that changes more often than this while nonces are agreed isn't usable.
_MOST_CHANGES = 4


class NonceWindow:
    """The nonces that this server accepts and issues, for one hash tag.

    Args:
        store: where workers agree; services on one origin share a namespace, as clients keep one nonce per origin.
        policy: how nonces rotate.
        namespace: prefix of the keys.
        clock: seconds since the epoch.
        tag: hash tag of the keys, whose first character each nonce begins with; empty unless the store is a cluster.
        watch: what is revoked; `None` if the store does not support that.

    Attributes:
        is_failing: whether the store did not respond to the last call for this tag.
        is_doubted: whether another tag of the same master turned out to be on another incarnation.
        incarnation: of the store, whose nonces are valid now.
    """

    def __init__(
        self,
        store: Store,
        policy: NoncePolicy,
        *,
        namespace: str,
        clock: Clock,
        tag: str = "",
        watch: RevocationWatch | None = None,
    ) -> None:
        self._store = store
        self._fence = store if isinstance(store, Fenced) else None
        self._policy = policy
        self._tag = tag
        self._keys = key_prefix(namespace, "nonce", tag)
        self.watch: RevocationWatch | None = watch
        if watch is not None:
            watch.on_generation = self._begin_generation
        self._revoked: frozenset[str] = frozenset()
        self._clock = clock
        self._era = SlotNonces(policy, tag=tag)
        self._eras: OrderedDict[str | None, SlotNonces] = OrderedDict()
        self._is_known = self._fence is None
        self._fetching = SingleFlight(self._fetch, self._note)
        self._refresh_not_before = -math.inf
        self._look = Look(self._fence, key=f"{self._keys}look:v2", watch=watch)
        self._outage_log = OutageLog(_FROM_MEMORY, "nonces: the store has recovered")
        self.is_doubted: bool = False
        self.is_failing: bool = False

    def __contains__(self, nonce: object) -> bool:
        return nonce in self._era

    def has_ended(self, nonce: object) -> bool:
        """Whether it was revoked, or agreed under another incarnation of the store."""
        return nonce in self._revoked or any(nonce in era for era in self._eras.values())

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
        if (self._eras or self._revoked) and nonce not in self._era and self.has_ended(nonce):
            is_revoked = nonce in self._revoked
            raise UseNonce(Reason.NONCE_REVOKED if is_revoked else Reason.NONCE_SUPERSEDED, **self._era.facts)
        return self._era.accept(nonce, now)

    async def ensure(self, now: float) -> None:
        """Have the window of `now` in memory. Calls the store only if it isn't, or runs low.

        Raises:
            StoreError: If the window is not in memory and the store does not respond.
        """
        slot = self._policy.slot(now)
        if self.is_doubted and (look := self._look.under_way()) is not None:
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
        if self.watch is not None:
            await self.watch.ensure()
        for _ in range(_MOST_CHANGES):
            if not self._is_known:
                self.supersede(await self._look.incarnation())
            try:
                return await self._fetch_era(self._era, slot)
            except Superseded as change:
                self.superseded(change)
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
        key = era.key(self._keys, slot)
        if self._fence is None or era.incarnation is None:
            nonce = await self._store.put_if_absent(key, candidate, ttl=ttl)
        else:
            nonce = await self._fence.put_if_absent(key, candidate, ttl=ttl, under=era.incarnation)
        if not is_nonce(nonce):
            raise StoreError(f"what {self._keys}* holds isn't a nonce: does another program use this namespace?")
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
        self._era = known or self._new_era(incarnation, self._era.generation)
        while len(self._eras) > _KEPT_ERAS:
            self._eras.popitem(last=False)

    def superseded(self, change: Superseded) -> None:
        """The store turned out to be another incarnation. Unless `change` says which one, that is found out first."""
        self.supersede(change.by)
        self._is_known = change.by is not None

    def _begin_generation(self, generation: str) -> None:
        """From now on, no nonce is valid that was agreed before, under whichever incarnation."""
        self._revoked = frozenset(nonce for era in (self._era, *self._eras.values()) for nonce in era)
        self._eras.clear()
        self._era = self._new_era(self._era.incarnation, generation)
        self._refresh_not_before = -math.inf

    def _new_era(self, incarnation: str | None, generation: str) -> SlotNonces:
        return SlotNonces(self._policy, tag=self._tag, incarnation=incarnation, generation=generation)

    async def look(self, nonce: object, *, patient: bool) -> bool:
        """Look whether the store is another incarnation, or nonces were revoked: another worker may know already.

        Args:
            nonce: not valid here. If it doesn't look like a nonce of this fleet, nothing is done.
            patient: whether to wait until it is time to look again. Otherwise the client could be challenged by this
                worker and the other in turn.

        Raises:
            StoreError: If the store does not respond.
        """
        if not self._look.is_for(nonce, patient=patient):
            return False
        before = self._era
        self.supersede(await self._look.wait())
        return self._era is not before

    def doubt(self) -> None:
        """Look soon: another tag of the same master turned out to be on another incarnation."""
        if self._fence is not None:
            self.is_doubted = True
            self._look.start(soon=True).add_done_callback(self._believe)

    def _believe(self, look: asyncio.Task[str | None]) -> None:
        self.is_doubted = False
        if not look.cancelled() and look.exception() is None:
            self.supersede(look.result())

    def under_way(self) -> tuple[asyncio.Task[None] | None, asyncio.Task[str | None] | None]:
        """What it is asking the store, with or without anyone who waits for it."""
        return self._fetching.under_way(), self._look.under_way()

    def _note(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        self._refresh_not_before = self._clock() + _RETRY_SECONDS if error or task.cancelled() else -math.inf
        self.is_failing = error is not None
        if not isinstance(error, Exception):
            self._outage_log.succeeded()
        elif self._era.is_usable(self._policy.slot(self._clock())):
            self._outage_log.failed(error)
        else:
            callers = "requests with nonces of this master" if self._tag else "all requests"
            self._outage_log.failed(error, _NONE_IN_MEMORY.format(callers), level=logging.ERROR)
