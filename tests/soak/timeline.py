"""What was broken when, for which servers."""

import asyncio
import contextlib
import math
import time
from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass, field

# No window is longer, in seconds: waiting for a server to start is given up before.
_LONGEST = 120.0

# Among so many of the last windows one that goes on is found.
_RECENT = 20


@dataclass(eq=False)
class Window:
    """From before something was broken until after it was repaired; endless while it is broken."""

    fault: str
    servers: frozenset[str]
    began: float
    ended: float = math.inf

    @property
    def seconds(self) -> float:
        return min(self.ended, time.time()) - self.began

    def touches(self, began: float, ended: float, *, after: float) -> bool:
        """Whether it overlaps with that time, or was over less than `after` seconds before it."""
        return self.began <= ended and began <= self.ended + after


@dataclass
class Timeline:
    """All windows so far. `under_way` says what is broken now."""

    windows: list[Window] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._repaired = asyncio.Event()

    @contextlib.contextmanager
    def window(self, fault: str, servers: frozenset[str]) -> Iterator[Window]:
        window = Window(fault, servers, time.time())
        self.windows.append(window)
        yield window
        window.ended = time.time()
        self._repaired.set()
        self._repaired = asyncio.Event()

    def since(self, began: float) -> list[Window]:
        """The windows that ended after that; a soak of many hours has many that did not."""
        first = bisect(self.windows, began - _LONGEST, key=lambda window: window.began)
        return [window for window in self.windows[first:] if window.ended >= began]

    @property
    def next_repair(self) -> asyncio.Event:
        """Set when something is repaired."""
        return self._repaired

    def note(self, fault: str, servers: frozenset[str], began: float) -> None:
        """Something that is already over; the same as before if it goes on."""
        now = time.time()
        for window in reversed(self.windows[-_RECENT:]):
            if (window.fault, window.servers) == (fault, servers) and window.touches(began, now, after=0.0):
                window.ended = now
                return
        self.windows.append(Window(fault, servers, began, now))

    def find(
        self, faults: frozenset[str], server: str, began: float, ended: float = math.inf, *, after: float
    ) -> Iterator[Window]:
        """The windows of these faults that may have to do with what `server` did in that time."""
        for window in self.since(began - after):
            if window.fault in faults and server in window.servers and window.touches(began, ended, after=after):
                yield window

    def during(self, fault: str, began: float, ended: float) -> int:
        """How often something was broken in that time."""
        return sum(window.fault == fault and window.touches(began, ended, after=0.0) for window in self.windows)

    def summary(self) -> dict[str, tuple[int, float]]:
        """How often each fault happened, and for how many seconds."""
        totals: dict[str, tuple[int, float]] = {}
        for window in self.windows:
            times, seconds = totals.get(window.fault, (0, 0.0))
            totals[window.fault] = times + 1, seconds + window.seconds
        return totals

    @property
    def under_way(self) -> list[str]:
        return [window.fault for window in self.windows if window.ended == math.inf]
