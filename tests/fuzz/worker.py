"""One target in one process, under atheris: `python -m tests.fuzz.worker TARGET [what libFuzzer takes]`."""

import gc
import logging
import shlex
import sys
from contextlib import suppress

from tests.differential.stopwatch import seconds
from tests.fuzz.catalogue import FindingError, Target, load

LIMIT_SECONDS = 0.1


class TooSlowError(FindingError):
    """One input took more than `LIMIT_SECONDS`."""


def check_time(target: Target, data: bytes) -> float:
    """Try one input; the shortest of three times counts, since the first may have met the garbage collector."""
    taken = seconds(target, data)
    if taken > LIMIT_SECONDS:
        taken = min(taken, seconds(target, data), seconds(target, data))
    if taken > LIMIT_SECONDS:
        raise TooSlowError(f"{taken * 1000:.0f} ms")
    return taken


def main(name: str, *flags: str) -> None:
    import atheris  # noqa: PLC0415 - there is none for every platform, and tests use the rest of this module

    logging.disable()
    with atheris.instrument_imports(include=["dpop_asgi"]):
        target = load(name)

    def one(data: bytes) -> None:
        check_time(target, data)

    # What is set up once, the first input would pay for. What is wrong with it, the fuzzer will find.
    with suppress(Exception):
        target(b"")
    gc.collect()
    gc.freeze()
    # libFuzzer hands its own name to a shell, when it starts itself again to merge.
    atheris.Setup([shlex.join([sys.executable, "-m", "tests.fuzz.worker", name]), *flags], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
