"""Whether the memory of processes that live through a soak is flat."""

import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from resource import getpagesize

# Caches are full by the first third; what is left is the allocator's unrest, half a MiB in five minutes. In ten minutes
# at 200 requests per second a worker of four answers 20,000 after that: a leak of 100 bytes in each would show.
WARM_UP = 1 / 3
ALLOWED_KIB = 2048

# Samples on each side; less than that says nothing.
_AT_AN_END = 5


@dataclass(frozen=True, slots=True)
class Growth:
    """Resident memory of one process in KiB; `steady` when it was the same from beginning to end."""

    name: str
    process: int
    steady: bool
    warmed_up: int
    at_last: int

    @property
    def flat(self) -> bool:
        return self.at_last - self.warmed_up <= ALLOWED_KIB


class MemoryWatch:
    """Looks at processes now and then."""

    def __init__(self) -> None:
        self._samples: dict[str, list[tuple[float, int, int]]] = {}

    def sample(self, processes: dict[str, int]) -> None:
        for name, process in processes.items():
            size = resident_kib(process)
            if size is not None:
                self._samples.setdefault(name, []).append((time.time(), process, size))

    def growth(self) -> list[Growth]:
        return [_growth(name, samples) for name, samples in sorted(self._samples.items())]


def _growth(name: str, samples: list[tuple[float, int, int]]) -> Growth:
    began, ended = samples[0][0], samples[-1][0]
    warm = [size for at, _, size in samples if at >= began + WARM_UP * (ended - began)]
    first, last = (int(statistics.median(some)) for some in (warm[:_AT_AN_END], warm[-_AT_AN_END:]))
    return Growth(name, samples[-1][1], len({process for _, process, _ in samples}) == 1, first, last)


def resident_kib(process: int) -> int | None:
    """`None` when it is gone, or where only Linux could say."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * getpagesize() // 1024
    except (OSError, IndexError):
        return None
