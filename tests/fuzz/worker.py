"""One target in one process, under atheris: `python -m tests.fuzz.worker TARGET STATISTICS [libFuzzer's flags]`."""

import gc
import logging
import mmap
import shlex
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.differential.stopwatch import seconds
from tests.fuzz.catalogue import FindingError, Target, load

LIMIT_SECONDS = 0.1

_LAYOUT = struct.Struct("<Qd")


class TooSlowError(FindingError):
    """One input took more than `LIMIT_SECONDS`."""


@dataclass(frozen=True)
class Statistics:
    """What a worker leaves in a file, so that it is there however the worker ends."""

    executions: int = 0
    slowest: float = 0.0

    @classmethod
    def read(cls, file: Path) -> "Statistics":
        return cls(*_LAYOUT.unpack(file.read_bytes()))

    def write(self, file: Path) -> None:
        file.write_bytes(_LAYOUT.pack(self.executions, self.slowest))


def check_time(target: Target, data: bytes) -> float:
    """Try one input; the shortest of three times counts, since the first may have met the garbage collector."""
    taken = seconds(target, data)
    if taken > LIMIT_SECONDS:
        taken = min(taken, seconds(target, data), seconds(target, data))
    if taken > LIMIT_SECONDS:
        raise TooSlowError(f"{taken * 1000:.0f} ms")
    return taken


def counted(target: Target, file: Path) -> Callable[[bytes], None]:
    Statistics().write(file)
    with file.open("r+b") as handle:
        memory = mmap.mmap(handle.fileno(), _LAYOUT.size)
    executions, slowest = 0, 0.0

    def one(data: bytes) -> None:
        nonlocal executions, slowest
        executions += 1
        slowest = max(slowest, check_time(target, data))
        _LAYOUT.pack_into(memory, 0, executions, slowest)

    return one


def main(name: str, statistics: str, *flags: str) -> None:
    import atheris  # noqa: PLC0415 - there is none for every platform, and tests use the rest of this module

    logging.disable()
    with atheris.instrument_imports(include=["dpop_asgi"]):
        target = load(name)
    # What is set up once, the first input would pay for. What is wrong with it, the fuzzer will find.
    with suppress(Exception):
        target(b"")
    gc.collect()
    gc.freeze()
    # libFuzzer hands its own name to a shell, when it starts itself again to merge.
    itself = shlex.join([sys.executable, "-m", "tests.fuzz.worker", name, statistics])
    atheris.Setup([itself, *flags], counted(target, Path(statistics)))
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
