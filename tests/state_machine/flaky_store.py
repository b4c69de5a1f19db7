"""A store that fails as it is told to, shared by the workers of a fleet, and what each of them was told by it."""

import re
from dataclasses import dataclass
from typing import Any, Literal

from dpop_asgi import MemoryStore, StoreUnavailable
from dpop_asgi.testing import ManualClock

Kind = Literal["nonce", "proof"]
_NONCE_KEY = re.compile(r".*:nonce:v1:[^:]*:(-?\d+)")


@dataclass(frozen=True)
class Fault:
    """What is wrong with the store, and for which keys.

    Attributes:
        how: `refuse` does nothing; `lose-reply` writes, and fails all the same; `slow-request` lets the clock go on
            before it writes, `slow-reply` after it has written: in both the answer arrives.
        kinds: the keys that it happens to.
        seconds: by which a slow store lets the clock go on, once in a request.
    """

    how: Literal["none", "refuse", "lose-reply", "slow-request", "slow-reply"] = "none"
    kinds: frozenset[Kind] = frozenset()
    seconds: float = 0.0

    def answers(self, kind: Kind) -> bool:
        return kind not in self.kinds or self.how not in {"refuse", "lose-reply"}

    def writes(self, kind: Kind) -> bool:
        return kind not in self.kinds or self.how != "refuse"

    def delay(self, kind: Kind) -> float:
        return self.seconds if kind in self.kinds and self.how.startswith("slow") else 0.0


HEALTHY = Fault()


def slot_of(key: str) -> int | None:
    """The slot whose nonce this key holds; `None` for the key of a proof."""
    matched = _NONCE_KEY.fullmatch(key)
    return None if matched is None else int(matched[1])


class FlakyStore:
    """A `MemoryStore` behind faults; slow means that the clock is moved on.

    Attributes:
        fault: what is wrong with it now.
        nonces: those that stand in it, each with its slot; `ever` has those too that were lost.
    """

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self._late = False
        self.fault = HEALTHY
        self.ever: dict[str, int] = {}
        self.lose_everything()

    def lose_everything(self) -> None:
        """As a server does that restarts without a disk."""
        self._store = MemoryStore(clock=self._clock)
        self.nonces: dict[str, int] = {}

    def begin_request(self) -> None:
        """From here on a slow store may be late again, once."""
        self._late = False

    async def put_if_absent(self, key: str, value: str, *, ttl: float) -> str:
        if ":settings:" in key:  # beside the requests, and of no consequence for them
            return await self._store.put_if_absent(key, value, ttl=ttl)
        fault, slot = self.fault, slot_of(key)
        kind: Kind = "proof" if slot is None else "nonce"
        if not fault.writes(kind):
            raise StoreUnavailable("the store refuses")
        if fault.how == "slow-request":
            self._be_late(fault.delay(kind))
        standing = await self._store.put_if_absent(key, value, ttl=ttl)
        if slot is not None:
            self.nonces[standing] = self.ever[standing] = slot
        if not fault.answers(kind):
            raise StoreUnavailable("the reply is lost")
        self._be_late(fault.delay(kind))
        return standing

    def _be_late(self, seconds: float) -> None:
        if seconds and not self._late:
            self._late = True
            self._clock.advance(seconds)

    async def aclose(self) -> None:
        """Nothing to release."""


class View:
    """A store as one worker sees it: `told` is the nonce that it was last told for a slot, `slots` all it ever was."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.forget()

    def forget(self) -> None:
        """The worker was started anew."""
        self.told: dict[int, str] = {}
        self.slots: dict[str, int] = {}

    async def put_if_absent(self, key: str, value: str, *, ttl: float) -> str:
        standing: str = await self._store.put_if_absent(key, value, ttl=ttl)
        slot = slot_of(key)
        if slot is not None:
            self.told[slot] = standing
            self.slots[standing] = slot
        return standing

    async def aclose(self) -> None:
        """The store outlives its views."""
