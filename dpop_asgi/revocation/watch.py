"""How a worker learns what is revoked: from the store, and never more than a quarter of a second late if it can."""

import asyncio
import contextlib
import math
from collections.abc import Callable, Mapping
from functools import partial

from dpop_asgi.core.nonce_window import AcceptedNonce
from dpop_asgi.core.ports import Clock, Fenced, Replaceable, Store
from dpop_asgi.core.revoked import Revoked
from dpop_asgi.errors import Reason, Refusal, StoreError, UseNonce
from dpop_asgi.log import logger
from dpop_asgi.revocation.board import Board
from dpop_asgi.single_flight import SingleFlight

# What was read this long ago is read again, while requests go on.
_FRESH_SECONDS = 0.25
# What was read longer ago than this isn't relied on. A proof takes as long as the store's deadline to be recorded, so a
# revocation holds within a second.
_RELIABLE_SECONDS = 0.5


class RevocationWatch:
    """What is revoked, as far as this worker knows, for one hash tag.

    Args:
        board: where it is written.
        clock: seconds since the epoch.
        refusal: raised for a revoked key.
        changed: called with what was revoked before, `None` at the start, and what is now, whenever they differ.
        beside: whether to read it in a task of its own, which goes out in one pipeline with what else is sent.
            Otherwise requests that have to wait read it themselves: from memory, that takes no time.

    Attributes:
        generation: of nonces, see `Revoked`.
        keys: see `Revoked`.
        read_at: when it was read last, in seconds since the epoch.
        on_generation: called with the generation whenever that is another one.
    """

    def __init__(
        self,
        board: Board,
        clock: Clock,
        *,
        refusal: type[Refusal],
        changed: Callable[[Revoked | None, Revoked], None],
        beside: bool,
    ) -> None:
        self._board = board
        self._clock = clock
        self._refusal = refusal
        self._changed = changed
        self._beside = beside
        self._is_read_here = False
        self._known = Revoked()
        self._reading = SingleFlight(self._read, self._note)
        self._failed_at: float | None = None
        self.generation: str = ""
        self.keys: Mapping[str, int] = self._known.keys
        self.read_at: float = -math.inf
        self.on_generation: Callable[[str], None] = lambda _generation: None

    async def ensure(self) -> None:
        """Have read it at least once.

        Raises:
            StoreError: If the store can't tell.
        """
        if self.read_at == -math.inf:
            await self.read()

    async def read(self) -> None:
        """Read it now.

        Raises:
            StoreError: If the store can't tell.
        """
        await (asyncio.shield(self._reading.start()) if self._beside else self._read())

    def under_way(self) -> asyncio.Task[None] | None:
        """The task that reads it, with or without anyone who waits for it."""
        return self._reading.under_way()

    async def refresh(self, now: float) -> None:
        """Before a nonce is issued: read it again when it is time, and wait for that after a pause.

        While the store doesn't respond, what is known has to do: the proof with that nonce isn't accepted without it.
        """
        # Hot path: without calling anything.
        if self.read_at - _FRESH_SECONDS < now < self.read_at + _FRESH_SECONDS:
            return
        if self._failed_at is None:
            reading = await self._renew(now)
            if reading is not None and not _is_within(_RELIABLE_SECONDS, self.read_at, now):
                await asyncio.wait([reading])
        elif not _is_within(_FRESH_SECONDS, self._failed_at, now):
            self._reading.start()

    async def before(self, thumbprint: str, nonce: AcceptedNonce | None, now: float) -> asyncio.Future[None] | None:
        """Before a proof is recorded.

        Returns:
            What to wait for, with `after`, besides recording it: it is sent in the same pipeline. `None` if what is
            known is recent enough.

        Raises:
            Refusal: If the nonce or the key is known to be revoked.
        """
        reading = await self._renew(now)
        if reading is not None and thumbprint in self.keys:
            # The operator may have changed their mind. If that can't be found out, the key is rejected.
            await asyncio.wait([reading])
        self._check(thumbprint, nonce, now)
        return None if _is_within(_RELIABLE_SECONDS, self.read_at, now) else reading

    async def settle(self, reading: asyncio.Future[None]) -> None:
        """Wait for `reading`, now that the proof was recorded.

        If it failed, the store may have been given up until that call, which showed that it responds: so once more.

        Raises:
            StoreError: If the store can't tell.
        """
        await asyncio.wait([reading])
        if reading.cancelled() or reading.exception() is not None:
            await self.read()

    async def after(
        self, reading: asyncio.Future[None], thumbprint: str, nonce: AcceptedNonce | None, now: float
    ) -> None:
        """After it was recorded, or was accepted without: wait for `reading`, and look again.

        Raises:
            Refusal: If the nonce or the key is known to be revoked.
        """
        await asyncio.wait([reading])
        self._check(thumbprint, nonce, now)

    def _check(self, thumbprint: str, nonce: AcceptedNonce | None, now: float) -> None:
        if self.keys.get(thumbprint, now) > now:
            raise self._refusal(Reason.KEY_REVOKED, key=thumbprint)
        if nonce is not None and nonce.generation != self.generation:
            raise UseNonce(Reason.NONCE_REVOKED, **nonce.facts)

    async def _renew(self, now: float) -> asyncio.Future[None] | None:
        """Read it again when it is time. What to wait for; `None` if nothing has to be done."""
        if _is_within(_FRESH_SECONDS, self.read_at, now):
            return None
        if self._beside:
            return self._reading.start()
        if self._is_read_here and _is_within(_RELIABLE_SECONDS, self.read_at, now):
            return None
        return await self._read_here()

    async def _read_here(self) -> asyncio.Future[None]:
        read: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._is_read_here = True
        try:
            await self._read()
            read.set_result(None)
        except StoreError as error:
            read.set_exception(error)
        finally:
            self._is_read_here = False
        self._note(read)
        return read

    async def _read(self) -> None:
        sent_at = self._clock()
        found = await self._board.read()
        known = self._known
        merged = found.merged(known)
        if merged is not found:
            # The store has lost something. Who else has noticed may be writing it just now.
            with contextlib.suppress(StoreError):
                merged = await self._board.change(lambda there: there.merged(known), patience=0.0)
        if merged != known or self.read_at == -math.inf:
            self._adopt(merged)
        self.read_at = sent_at

    def _adopt(self, found: Revoked) -> None:
        before, self._known = self._known, found
        self.generation, self.keys = found.generation, found.keys
        if found.generation != before.generation:
            self.on_generation(found.generation)
        self._changed(None if self.read_at == -math.inf else before, found)

    def _note(self, read: asyncio.Future[None]) -> None:
        has_failed = read.cancelled() or read.exception() is not None
        self._failed_at = self._clock() if has_failed else None


class RevocationWatches:
    """What is revoked, as far as this worker knows.

    Args:
        store: shared by all workers.
        namespace: prefix of the keys.
        clock: seconds since the epoch.
        refusal: raised for a revoked key.

    Attributes:
        by_tag: what is known, for each hash tag of the store.
    """

    def __init__(self, store: Replaceable, *, namespace: str, clock: Clock, refusal: type[Refusal]) -> None:
        self._told: tuple[str, Mapping[str, int]] | None = None
        watch = partial(
            RevocationWatch, clock=clock, refusal=refusal, changed=self._log_change, beside=isinstance(store, Fenced)
        )
        self.by_tag: Mapping[str, RevocationWatch] = {
            tag: watch(Board(store, namespace=namespace, tag=tag)) for tag in tags_of(store)
        }
        self._all = list(self.by_tag.values())
        self._only = self._all[0] if len(self._all) == 1 else None

    def to_ask(self, thumbprint: str, nonce: AcceptedNonce | None, now: float) -> RevocationWatch | None:
        """The one that has to look at a proof closely; `None` as a rule: it is up to date, and nothing is revoked."""
        watch = self._only or self._for_proof(thumbprint, nonce)
        # Hot path: without calling anything.
        is_fresh = watch.read_at - _FRESH_SECONDS < now < watch.read_at + _FRESH_SECONDS
        is_valid = thumbprint not in watch.keys and (nonce is None or nonce.generation == watch.generation)
        return None if is_fresh and is_valid else watch

    def _for_proof(self, thumbprint: str, nonce: AcceptedNonce | None) -> RevocationWatch:
        """On the master that the proof is recorded on, if nonces determine that."""
        return self._all[ord(thumbprint[0]) % len(self._all)] if nonce is None else self.by_tag[nonce.tag]

    def _log_change(self, before: Revoked | None, revoked: Revoked) -> None:
        """Once for all hash tags. What a worker finds when it starts is no news."""
        now = (revoked.generation, revoked.keys)
        if before is None:
            self._told = self._told or now
            return
        told, self._told = self._told or ("", {}), now
        if told[0] != now[0]:
            logger.warning("revocation: all earlier nonces are revoked; clients are challenged for a new one")
        if told[1] != now[1]:
            logger.warning("revocation: %d keys are revoked", len(revoked.keys))


def tags_of(store: Store) -> tuple[str, ...]:
    """The hash tags of the store: what is revoked is written under each of them."""
    return store.tags if isinstance(store, Fenced) else ("",)


def _is_within(seconds: float, then: float, now: float) -> bool:
    return abs(now - then) < seconds
