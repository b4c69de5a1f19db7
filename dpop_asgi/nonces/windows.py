"""All the nonces of a server: a window for each hash tag of the store."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import Any

from dpop_asgi.core.nonce_window import AcceptedNonce, NoncePolicy, is_nonce, why_unknown
from dpop_asgi.core.ports import Clock, Store
from dpop_asgi.errors import Reason, StoreError, Superseded, UseNonce
from dpop_asgi.nonces.mismatch import SharedSettings, UnknownNonces
from dpop_asgi.nonces.window import NonceWindow
from dpop_asgi.revocation import RevocationWatches, tags_of


class NonceWindows:
    """One window, or in a cluster several: a nonce and the proofs that carry it are on one and the same master.

    A failure of a master then affects only the nonces of its own hash tags. The first character of a nonce is that of
    its tag, and a client stays with its tag as long as that tag's master responds.

    Args:
        store: see `NonceWindow`.
        policy: see there.
        namespace: see there.
        clock: see there.
        settings: what workers have to agree on besides the policy, 40 ASCII characters. Differences are logged.
        required: whether an unknown nonce raises `StoreError` while the store can't tell whether another worker issued
            it. Otherwise the client is challenged for a nonce of this worker.
        watches: what is revoked; `None` if the store does not support that.
    """

    def __init__(
        self,
        store: Store,
        policy: NoncePolicy,
        *,
        namespace: str,
        clock: Clock,
        settings: str = "",
        required: bool = True,
        watches: RevocationWatches | None = None,
    ) -> None:
        window = partial(NonceWindow, store, policy, namespace=namespace, clock=clock)
        by_tag = {} if watches is None else watches.by_tag
        self._by_tag = {tag: window(tag=tag, watch=by_tag.get(tag)) for tag in tags_of(store)}
        self._by_first = {tag[:1]: window for tag, window in self._by_tag.items()}
        self._windows = list(self._by_tag.values())
        self._only = self._windows[0] if len(self._windows) == 1 else None
        self._required = required
        self._unknown = UnknownNonces()
        settings = f"period={policy.period:g} grace={policy.grace} {settings}"
        self._settings = SharedSettings(store, namespace=namespace, settings=settings, every=policy.period)
        self._turn = 0

    async def check(self, nonce: object, now: float, *, client: bytes = b"") -> AcceptedNonce:
        """RFC 9449 §4.3 item 10.

        Args:
            nonce: in the proof.
            now: seconds since the epoch.
            client: something that the client's next proof has as well.

        Raises:
            UseNonce: If it is not valid.
            StoreError: If that can't be found out now.
        """
        window = self._of(nonce)
        if window is None:
            raise UseNonce(why_unknown(nonce))
        if not window.is_complete(now):
            await self._ensure(window, now)
        if isinstance(nonce, str) and nonce not in window:
            await self._look(window, nonce, now, client)
        return window.accept(nonce, now)

    async def to_issue(self, now: float, *, tag: object = None) -> str:
        """The nonce for a challenge.

        Args:
            now: seconds since the epoch.
            tag: of the client's nonce. Another one is issued only while that tag's master does not respond.

        Raises:
            StoreError: If no window is in memory, and the store does not respond.
        """
        windows = self._windows if self._only else self._in_turn(tag)
        mine = windows[0]
        if isinstance(tag, str) and not (mine.is_complete(now) or mine.is_failing or mine.is_doubted):
            # Its nonces may just have been revoked.
            with suppress(StoreError):
                await self._ensure(mine, now)
        for window in windows:
            if window.is_complete(now) and not window.is_failing and not window.is_doubted:
                if window.watch is not None:
                    await window.watch.refresh(now)
                if (nonce := window.to_issue(now)) is not None:
                    return nonce
                # Nonces were revoked: one of the new generation, for the same tag.
                windows = [window, *windows]
                break
        failure = StoreError("no nonce is known")
        for window in windows:
            try:
                await self._ensure(window, now)
                return str(window.to_issue(now))
            except StoreError as error:
                failure = error
        raise failure

    def replacement_for(self, nonce: str, now: float) -> str | None:
        """The nonce to issue to a client whose `nonce` was accepted; `None` when its own is the newest."""
        window = self._of(nonce)
        return None if window is None else window.replacement_for(nonce, now)

    async def ensure(self, now: float) -> None:
        """Have the windows of `now` in memory.

        Raises:
            StoreError: If one is not in memory and the store does not respond.
        """
        for window in self._windows:
            await self._ensure(window, now)

    def under_way(self) -> Iterable[asyncio.Task[Any] | None]:
        """What they are asking the store, with or without anyone who waits for it."""
        return chain(*(window.under_way() for window in self._windows), [self._settings.comparing.under_way()])

    def recorded(self, nonce: AcceptedNonce) -> None:
        """A proof with `nonce` was recorded: the store works."""
        self._by_tag[nonce.tag].is_failing = False

    def not_recorded(self, nonce: AcceptedNonce, failure: StoreError) -> None:
        """A proof with `nonce` could not be recorded.

        Raises:
            UseNonce: If the reply came from another incarnation of the store, which may have forgotten the proof.
        """
        window = self._by_tag[nonce.tag]
        if not isinstance(failure, Superseded):
            window.is_failing = True
            return
        window.superseded(failure)
        for other in self._windows:
            if other.incarnation == nonce.incarnation:
                other.doubt()
        raise UseNonce(Reason.NONCE_SUPERSEDED, **nonce.facts) from None

    async def _look(self, window: NonceWindow, nonce: str, now: float, client: bytes) -> None:
        """Another worker may have noticed earlier that the store was replaced, and have issued this nonce."""
        has_ended = window.has_ended(nonce)
        try:
            is_replaced = await window.look(nonce, patient=not has_ended)
        except StoreError:
            if self._required:
                raise
            is_replaced = False
        if is_replaced:
            await window.ensure(now)
        elif not has_ended and is_nonce(nonce):
            self._unknown.note(client, nonce, now)

    def _of(self, nonce: object) -> NonceWindow | None:
        """The window that `nonce` would belong to; `None` if its first character is of no tag."""
        return self._only or (self._by_first.get(nonce[:1]) if isinstance(nonce, str) else None)

    def _in_turn(self, tag: object) -> list[NonceWindow]:
        """The windows in the order of preference for the next nonce: new clients are spread over all."""
        self._turn = (self._turn + 1) % len(self._windows)
        windows = self._windows[self._turn :] + self._windows[: self._turn]
        # Custom refusals have facts of their own.
        return [self._by_tag[tag], *windows] if isinstance(tag, str) and tag in self._by_tag else windows

    async def _ensure(self, window: NonceWindow, now: float) -> None:
        for each in self._windows:
            each.refresh(now)
        self._settings.compare(now)
        await window.ensure(now)
