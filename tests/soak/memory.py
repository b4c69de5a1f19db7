"""Whether the memory of processes that live through a soak is flat."""

import statistics
import subprocess
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
    at_first: int
    warmed_up: int
    at_last: int
    per_minute: float

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
    warm = [(at, size) for at, _, size in samples if at >= began + WARM_UP * (ended - began)]
    times, sizes = zip(*warm, strict=True)
    return Growth(
        name=name,
        process=samples[-1][1],
        steady=len({process for _, process, _ in samples}) == 1,
        at_first=samples[0][2],
        warmed_up=int(statistics.median(sizes[:_AT_AN_END])),
        at_last=int(statistics.median(sizes[-_AT_AN_END:])),
        per_minute=60 * statistics.linear_regression(times, sizes).slope if len(warm) > 1 else 0.0,
    )


def resident_kib(process: int) -> int | None:
    """`None` when it is gone."""
    statm = Path(f"/proc/{process}/statm")
    if Path("/proc/self/statm").exists():
        try:
            return int(statm.read_text().split()[1]) * getpagesize() // 1024
        except (OSError, IndexError):
            return None
    shown = subprocess.run(["ps", "-o", "rss=", "-p", str(process)], capture_output=True, text=True, check=False).stdout
    return int(shown) if shown.strip() else None
