"""Which core does what: the program under test has one for itself, what loads it has the other."""

import contextlib
import os
from pathlib import Path


def available() -> list[int]:
    """The cores that this process may use; none where a process cannot be pinned (macOS)."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def tested() -> int | None:
    return available()[0] if len(available()) > 1 else None


def loading() -> int | None:
    return available()[1] if len(available()) > 1 else None


def redis() -> int | None:
    """Where there are only two cores, Redis goes where there is room."""
    return available()[2] if len(available()) > 2 else None


def pin(core: int | None, pid: int = 0) -> None:
    """Keep a process (this one by default) on one core; `None` leaves it where it is."""
    if core is not None:
        os.sched_setaffinity(pid, {core})


def cpu_seconds(pid: int) -> float | None:
    """User and system time of a process; `None` where /proc does not say."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return None
