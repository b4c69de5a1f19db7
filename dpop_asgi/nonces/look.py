"""Looks at the store, not too often: is it still the one whose nonces are known here, and are they still valid?"""

import asyncio
import re
import time

from dpop_asgi.core.ports import Fenced
from dpop_asgi.revocation import RevocationWatch
from dpop_asgi.single_flight import SingleFlight

# A nonce as this fleet makes them, with the first character of a hash tag before it.
_OURS = re.compile(r"[A-Za-z0-9_-]{22,23}")
# Anyone can invent a nonce that looks valid: this limits how often it causes a look at the store.
_LOOK_SECONDS = 0.25


class Look:
    """Looks which incarnation the store is, and what is revoked.

    Args:
        fence: the store; `None` if it has no incarnations.
        key: the key for which to ask.
        watch: what is revoked; `None` if the store does not support that.
    """

    def __init__(self, fence: Fenced | None, *, key: str, watch: RevocationWatch | None) -> None:
        self._fence = fence
        self._key = key
        self._watch = watch
        self._looking = SingleFlight(self._look_after)
        self._not_before = 0.0

    def is_for(self, nonce: object, *, patient: bool) -> bool:
        """Whether to look because of a nonce that isn't valid here.

        Args:
            nonce: if it doesn't look like a nonce of this fleet, it isn't worth a look.
            patient: whether to look even if that means to wait until it is time. Not for what a single process keeps.
        """
        patient = patient and self._fence is not None
        if (self._fence is None and self._watch is None) or not (patient or self._not_before <= time.monotonic()):
            return False
        return isinstance(nonce, str) and _OURS.fullmatch(nonce) is not None

    async def wait(self) -> str | None:
        """The incarnation, looked at when it is time. What a single process keeps is looked at here and now.

        Raises:
            StoreError: If the store does not respond.
        """
        return await (self._look_after(0.0) if self._fence is None else asyncio.shield(self.start()))

    def start(self, *, soon: bool = False) -> asyncio.Task[str | None]:
        """The incarnation, when it is time to look again, or at once."""
        return self._looking.start(0.0 if soon else self._not_before - time.monotonic())

    def under_way(self) -> asyncio.Task[str | None] | None:
        """A look that is under way."""
        return self._looking.under_way()

    async def incarnation(self) -> str | None:
        """The incarnation, without looking at what is revoked.

        Raises:
            StoreError: If the store does not respond.
        """
        return None if self._fence is None else await self._fence.incarnation(self._key)

    async def _look_after(self, pause: float) -> str | None:
        if pause > 0:
            await asyncio.sleep(pause)
        self._not_before = time.monotonic() + _LOOK_SECONDS
        if self._watch is not None:
            await self._watch.read()
        return await self.incarnation()
