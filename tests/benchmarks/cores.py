"""Which core does what: the program under test has one for itself, what loads it has the other."""

import contextlib
import os


def available() -> list[int]:
    """The cores that this process may use; none where a process cannot be pinned (macOS)."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def tested() -> int | None:
    """The core of the program under test."""
    cores = available()
    return cores[0] if len(cores) > 1 else None


def loading() -> int | None:
    """The core of the load generator."""
    cores = available()
    return cores[1] if len(cores) > 1 else None


def redis() -> int | None:
    """The core of Redis; where there are only two, it goes where there is room."""
    cores = available()
    return cores[2] if len(cores) > 2 else None


def pin(core: int | None, pid: int = 0) -> None:
    """Keep a process (this one by default) on one core; `None` leaves it where it is."""
    if core is not None:
        os.sched_setaffinity(pid, {core})


def cpu_seconds(pid: int) -> float | None:
    """User and system time of a process; `None` where /proc does not say."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", "rb") as stat:  # noqa: PTH123 - no path, a counter
        fields = stat.read().rpartition(b") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return None
