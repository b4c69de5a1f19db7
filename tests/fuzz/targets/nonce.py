"""Two workers on one store, clocks that jump, a store that fails: only nonces of the promised slots are accepted."""

import asyncio
import math

from dpop_asgi import NoncePolicy, StoreError
from dpop_asgi.errors import UseNonce
from dpop_asgi.nonces import NonceWindow
from dpop_asgi.testing import ManualClock
from tests.differential.drawn import Drawn
from tests.fuzz.catalogue import Target, demand, run
from tests.support.windows import accepted_nonce

_PERIODS = (60.0, 1.0, 0.5, 7.25)
_STEPS = (0.0, 0.1, 0.8, 0.999, 1.0, 1.5, 2.0, 5.0, 40.0, 1e6, -0.3, -1.0, -2.5)
_OTHER = (None, 0, True, "", " ", "a" * 65, "\u00e9", '"', b"nonce", ["nonce"], "nonce-0", "\ud800")


class SharedStore:
    """Never forgets, and fails when told to."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.down = False
        self.has_failed = False

    async def put_if_absent(self, key: str, value: str, *, ttl: float) -> str:
        demand(ttl > 0, "a ttl that no store takes")
        if self.down:
            self.has_failed = True
            raise StoreError("down")
        return self.values.setdefault(key, value)

    async def aclose(self) -> None:
        """Nothing was opened."""

    def slots(self) -> dict[str, int]:
        return {nonce: int(key.rpartition(":")[2]) for key, nonce in self.values.items()}


def make() -> Target:
    return lambda data: run(_Fleet(Drawn(data)).run())


class _Fleet:
    def __init__(self, drawn: Drawn) -> None:
        self.drawn = drawn
        self.store = SharedStore()
        self.clock = ManualClock(1_700_000_000.0)
        self.policy = NoncePolicy(period=drawn.pick(_PERIODS), grace=drawn.below(3), lookahead=1 + drawn.below(3))
        options = {"namespace": "dpop", "clock": self.clock}
        self.workers = [NonceWindow(self.store, self.policy, **options) for _ in range(2)]

    async def run(self) -> None:
        steps = (self.move, self.ask, self.ask, self.offer, self.store_goes_down, self.settle)
        for _ in range(30):
            if not self.drawn.left:
                break
            await self.drawn.pick(steps)()
        self.store.down = False
        await self.settle()

    async def move(self) -> None:
        self.clock.advance(self.drawn.pick(_STEPS) * self.policy.period)

    async def store_goes_down(self) -> None:
        self.store.down = not self.store.down

    async def settle(self) -> None:
        """Let what runs beside the requests come to its end."""
        for _ in range(12):
            await asyncio.sleep(0)

    async def window(self) -> NonceWindow | None:
        worker = self.drawn.pick(self.workers)
        try:
            await worker.ensure(self.clock.now)
        except StoreError:
            demand(self.store.down, "refused to say, although the store answers")
            return None
        return worker

    async def ask(self) -> None:
        """Any nonce that there ever was, or something else."""
        window, slots = await self.window(), self.store.slots()
        nonce = self.drawn.pick((*slots, *_OTHER, self.drawn.piece(16).decode("latin-1")))
        if window is None:
            return
        age = (
            math.floor(self.clock.now / self.policy.period) - slots.get(nonce, math.inf)
            if type(nonce) is str
            else -math.inf
        )
        promised = -1 <= age <= self.policy.grace
        try:
            accepted = await accepted_nonce(window, nonce, self.clock.now)
        except UseNonce:
            # What the other worker alone has agreed on while the store was away cannot be known.
            demand(not promised or self.store.has_failed, f"refused, {age} slots old")
            return
        demand(promised, f"accepted, {age} slots old")
        demand(accepted.value == nonce, "another nonce")
        demand(accepted.until >= self.clock.now, "accepted after its end")
        demand(accepted.until <= self.clock.now + (self.policy.grace + 2) * self.policy.period, "good for too long")

    async def offer(self) -> None:
        """What is handed out is good, and for both workers."""
        window = await self.window()
        if window is None:
            return
        nonce = window.to_issue(self.clock.now)
        demand(nonce is not None, "nothing to hand out")
        accepted = await accepted_nonce(window, nonce, self.clock.now)
        demand(accepted.until >= self.clock.now + 0.2 * self.policy.period * 0.999, "too old")
        demand(window.replacement_for(nonce, self.clock.now) is None, "newer than the newest")
        other = await self.window()
        if other is not None and not self.store.has_failed:
            await accepted_nonce(other, nonce, self.clock.now)
