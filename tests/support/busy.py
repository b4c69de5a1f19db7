"""How busy the machine is. What tests allow in seconds grows with it; what the product promises does not."""

import hashlib
import threading
import time
from typing import Self

# One look: so often a short sleep, and then work of some milliseconds that lets other threads work too.
_TIMES, _SLEEP, _ROUNDS = 2, 0.010, 5_000
# What even an idle machine may be late by: then nothing is allowed beyond what is promised.
_TOLERANCE = 1.3
# So many seconds a look is good for, and so many pass between two of them.
_RECENT, _PAUSE = 5.0, 0.1


def _look() -> float:
    """How many times as long as on an idle machine sleep and work take; 1 for what is hardly longer."""
    begin, worked = time.monotonic(), time.thread_time()
    for _ in range(_TIMES):
        time.sleep(_SLEEP)
        hashlib.pbkdf2_hmac("sha256", b"work", b"", _ROUNDS)
    alone = _TIMES * _SLEEP + time.thread_time() - worked
    times = (time.monotonic() - begin) / alone
    return times if times > _TOLERANCE else 1.0


class _Last:
    looked_at, times = -_RECENT, 1.0


def patient(seconds: float) -> float:
    """So many seconds on an idle machine, and as many more as it is busy now.

    For what has to be settled before: how long slots of nonces are, what a store may take in a test that is not about
    that. Twice over, where the machine is busy at all: it may become busier. A single stall within a look is not that:
    what is settled would be a hundred times as long.
    """
    if time.monotonic() - _Last.looked_at > _RECENT:
        times = min(_look(), _look())
        _Last.looked_at, _Last.times = time.monotonic(), times if times == 1.0 else 2 * times
    return seconds * _Last.times


class Watch:
    """Looks all the time while its block lasts, in a thread.

    Attributes:
        times: how many times as long as on an idle machine things took, when it was busiest.
    """

    def __init__(self) -> None:
        self.times = 1.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_on, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look_on(self) -> None:
        # Once at least, however short the block is.
        is_over = False
        while not is_over:
            self.times = max(self.times, _look())
            begin = time.monotonic()
            is_over = self._over.wait(_PAUSE)
            # The machine may have stood still between two looks, too, or after the last one.
            late = (time.monotonic() - begin) / _PAUSE
            self.times = max(self.times, late if late > _TOLERANCE else 1.0)

    def allows(self, seconds: float) -> float:
        """What is promised in so many seconds may take so many here."""
        return seconds * self.times


class Stopwatch(Watch):
    """How long its block took, and whether that is in time.

    Attributes:
        seconds: after the block.
    """

    def __enter__(self) -> Self:
        super().__enter__()
        self._begin = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.monotonic() - self._begin
        super().__exit__()

    def within(self, seconds: float) -> bool:
        return self.seconds < self.allows(seconds)

    def __repr__(self) -> str:
        return f"{self.seconds:.3f} s on a machine {self.times:.2f} times as slow as an idle one"
