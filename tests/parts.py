"""The parts in which `python3 -m tests` runs everything, and what explores; the standard library is enough.

What mostly computes runs side by side, one more at a time than there are cores: each waits now and then. What is
promised in seconds, of real servers, waits more than it computes, and runs three at a time, beside what computes and
with a better priority. What takes all there is of the machine runs one at a time, at the end.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from typing import IO, Any

from tests.programs import PYTHON, say
from tests.support import children

# What is promised in seconds, of real servers: it waits more than it computes.
WAITING = ("tests/cluster", "tests/e2e", "tests/failures")
# More requests at once than can be answered.
ALONE = ("tests/e2e/test_bursts.py",)
# Seconds are not what is tested here.
PATIENT = (
    "tests/cluster/test_access.py",
    "tests/cluster/test_agreement.py",
    "tests/cluster/test_contract.py",
    "tests/cluster/test_unready_servers.py",
    "tests/e2e/test_cancellation.py",
    "tests/e2e/test_event_loops.py",
    "tests/e2e/test_fork.py",
)
# Those that take longest come first, so that no core has nothing to do while another is at one of them.
LONG = (
    "tests/cluster/test_nothing_is_accepted_twice.py",
    "tests/e2e/test_soak.py",
    "tests/e2e/test_cancellation.py",
    "tests/e2e/test_fork.py",
    "tests/cli/test_demo.py",
    "tests/test_benchmarks.py",
    "tests/fuzz/test_command.py",
    "tests/tokens/test_issuer_faults.py",
    "tests/state_machine",
    "tests/test_properties.py",
)
# Tests of one file share its servers and are run by one process, but for these: each word has servers of its own.
DIVIDED = {
    "tests/cluster/test_nothing_is_accepted_twice.py": ("sentinel", "cluster", "identity"),
}
_BY_FILE = ["--dist", "loadfile", "--no-loadscope-reorder"]
PARTS = {
    "side by side": ["-n", str((os.cpu_count() or 1) + 1), *_BY_FILE, "-m", "not waits and not alone"],
    "three at a time": [*WAITING, "-n", "3", *_BY_FILE, "-m", "waits"],
    "one at a time": [*ALONE, "-m", "alone"],
}
# What computes gives way.
NICE = {"side by side": ("nice", "-n", "10")}
# pytest's exit code after Ctrl+C: then the other parts are not wanted either.
_INTERRUPTED = 2
# What all can be given.
FOR_ALL = ("--cov", "--durations", "-q", "-v", "-x")


def mark(item: Any) -> None:
    """A test with the part that it belongs to."""
    name = item.nodeid
    if name.startswith(ALONE):
        item.add_marker("alone")
    elif name.startswith(WAITING) and not name.startswith(PATIENT):
        item.add_marker("waits")


def run_together(name: str) -> str:
    """What is the same for all tests that one process must run."""
    file, _, test = name.partition("::")
    return file + next((f" {word}" for word in DIVIDED.get(file, ()) if word in test.partition("[")[2]), "")


def run_all(arguments: list[str], environment: dict[str, str]) -> int:
    """Gives pytest's exit code: the first that is not 0."""
    begin = time.monotonic()
    codes: dict[str, int] = {}
    for parts in rounds(arguments):
        codes |= _run(parts, arguments, environment)
        if _INTERRUPTED in codes.values() or (any(codes.values()) and "-x" in arguments):
            break
    failed = [part for part, code in codes.items() if code]
    minutes, seconds = divmod(round(time.monotonic() - begin), 60)
    say(f"{'FAILED: ' + ', '.join(failed) if failed else 'all passed'}, in {minutes}:{seconds:02} minutes")
    return next((code for code in codes.values() if code), 0)


def rounds(arguments: list[str]) -> list[list[str]]:
    """The parts that run at once. Coverage slows down what is promised in seconds: with it, one part after another."""
    *others, last = PARTS
    return [[part] for part in PARTS] if "--cov" in arguments else [others, [last]]


def _run(parts: list[str], arguments: list[str], environment: dict[str, str]) -> dict[str, int]:
    """Gives pytest's exit codes. What the first part writes is seen at once, that of the others after it."""
    with contextlib.ExitStack() as files:
        outputs = {part: files.enter_context(tempfile.TemporaryFile()) for part in parts[1:]}
        say(", ".join([parts[0], *(f"at the same time {part}" for part in outputs)]))
        pytests = {
            part: _pytest(of_part(part, arguments), environment, nice=NICE.get(part, ()), output=outputs.get(part))
            for part in parts
        }
        codes = {}
        for part, pytest in pytests.items():
            codes[part] = _exit_code(pytest, list(pytests.values()))
            if part in outputs:
                say(part)
                outputs[part].seek(0)
                shutil.copyfileobj(outputs[part], sys.stdout.buffer)
                sys.stdout.flush()
        return codes


def of_part(part: str, arguments: list[str]) -> list[str]:
    """The arguments of pytest for one part. Coverage is judged once, over all parts."""
    first, *_, last = PARTS
    coverage = [] if part == first else ["--cov-append"]
    if part != last:
        coverage += ["--cov-report=", "--cov-fail-under=0"]
    # In this order: `--cov` would take a path behind it for its own, and the tests there would not run.
    return [*PARTS[part], *(coverage if "--cov" in arguments else []), *arguments]


def explore(arguments: list[str], environment: dict[str, str]) -> int:
    """Try other random examples, until one fails or Ctrl+C; gives pytest's exit code."""
    passed = 0
    while True:
        chosen = ["--hypothesis-profile=explore", f"--hypothesis-seed={secrets.randbits(32)}"]
        again = ["-m", "explores or hypothesis", *chosen, *arguments]
        say(f"round {passed + 1}; again by: python3 -m tests {shlex.join(again)}")
        pytest = _pytest(["-q", *again], environment)
        if code := _exit_code(pytest, [pytest]):
            say(f"{passed} rounds passed before this one")
            return code
        passed += 1


def _pytest(
    arguments: list[str], environment: dict[str, str], *, nice: tuple[str, ...] = (), output: IO[bytes] | None = None
) -> subprocess.Popen[Any]:
    return children.start(
        [*nice, str(PYTHON), "-m", "pytest", *arguments], env=environment, stdout=output, stderr=output
    )


def _exit_code(of: subprocess.Popen[Any], running: list[subprocess.Popen[Any]]) -> int:
    """What ends this process ends all that are `running`, once, and lets them end first what they have started."""

    def tell(number: int) -> None:
        for pytest in running:
            pytest.send_signal(number)

    signal.signal(signal.SIGTERM, lambda number, _: tell(number))
    while True:
        try:
            return of.wait()
        except KeyboardInterrupt:
            tell(signal.SIGINT)
