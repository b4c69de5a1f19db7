"""The parts in which `python3 -m tests` runs everything, and what explores; the standard library is enough.

What only computes runs side by side on all cores, and gives way to what mostly waits for real servers, at the same
time. What takes all there is of the machine runs afterwards, one test at a time.
"""

from __future__ import annotations

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

from tests.set_up import CACHE, PYTHON, say
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
    "tests/e2e/test_event_loops_at_once.py",
    "tests/e2e/test_fork.py",
    "tests/e2e/test_issuer_keys.py",
    "tests/e2e/test_redis_commands.py",
    "tests/e2e/test_several_processes.py",
)
# Those that take longest come first, so that no core has nothing to do while another is at one of them.
LONG = (
    "tests/cluster/test_failover.py",
    "tests/cluster/test_nothing_is_accepted_twice.py",
    "tests/e2e/test_soak.py",
    "tests/e2e/test_rotation.py",
    "tests/e2e/test_outages.py",
    "tests/e2e/test_cancellation.py",
    "tests/e2e/test_fork.py",
    "tests/cli/test_demo.py",
    "tests/test_benchmarks.py",
    "tests/fuzz/test_command.py",
    "tests/state_machine",
    "tests/test_properties.py",
    "tests/test_properties_hostile.py",
)
# Tests of one file share its servers and are run by one process, but for these: each word has servers of its own.
DIVIDED = {
    "tests/cluster/test_failover.py": ("sentinel", "cluster"),
    "tests/cluster/test_nothing_is_accepted_twice.py": ("sentinel", "cluster", "identity"),
    "tests/e2e/test_outages.py": ("killed", "frozen"),
}
_BY_FILE = ["--dist", "loadfile", "--no-loadscope-reorder"]
PARTS = {
    "side by side": ["-n", "auto", *_BY_FILE, "-m", "not waits and not alone"],
    "what waits": [*WAITING, "-n", "2", *_BY_FILE, "-m", "waits"],
    "one at a time": [*ALONE, "-m", "alone"],
}
SIDE_BY_SIDE, AT_THE_SAME_TIME, ONE_AT_A_TIME = PARTS

# What all can be given. Coverage is judged once, over all.
FOR_ALL = ("--cov", "--durations", "-q", "-v", "-x")
NOT_YET_JUDGED = ["--cov-report=", "--cov-fail-under=0"]
_MEASURED = CACHE / "coverage"


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


class _Part:
    """One run of pytest; its output is shown at once, or when it has ended."""

    def __init__(self, name: str, arguments: list[str], environment: dict[str, str], *, later: bool = False) -> None:
        self.name = name
        self._output: IO[bytes] | None = tempfile.TemporaryFile() if later else None  # noqa: SIM115 - shown at its end
        if "--cov" in arguments:
            arguments = [*arguments, *NOT_YET_JUDGED]
            environment = {**environment, "COVERAGE_FILE": str(_MEASURED / name.replace(" ", "-"))}
        say(name)
        gives_way = (lambda: os.nice(10)) if name == SIDE_BY_SIDE else None
        options = {"stdout": self._output, "preexec_fn": gives_way}
        self._pytest = _start([*arguments, *PARTS[name]], environment, **options)

    def ended(self) -> int:
        """Its exit code."""
        code = _wait_for(self._pytest)
        if self._output is not None:
            say(self.name)
            self._output.seek(0)
            shutil.copyfileobj(self._output, sys.stdout.buffer)
            sys.stdout.flush()
        return code


def run_all(arguments: list[str], environment: dict[str, str]) -> int:
    """Gives pytest's exit code: the first that is not 0."""
    begin = time.monotonic()
    shutil.rmtree(_MEASURED, ignore_errors=True)
    parts = [_Part(SIDE_BY_SIDE, arguments, environment), _Part(AT_THE_SAME_TIME, arguments, environment, later=True)]
    codes = {part.name: part.ended() for part in parts}
    if not any(codes.values()) or "-x" not in arguments:
        codes[ONE_AT_A_TIME] = _Part(ONE_AT_A_TIME, arguments, environment).ended()
    if "--cov" in arguments:
        codes["coverage"] = _judge_coverage(environment)
    failed = [part for part, code in codes.items() if code]
    minutes, seconds = divmod(round(time.monotonic() - begin), 60)
    say(f"{'FAILED: ' + ', '.join(failed) if failed else 'all passed'}, in {minutes}:{seconds:02} minutes")
    return next((code for code in codes.values() if code), 0)


def explore(arguments: list[str], environment: dict[str, str]) -> int:
    """Try other random examples, until one fails or Ctrl+C; gives pytest's exit code."""
    passed = 0
    while True:
        chosen = ["--hypothesis-profile=explore", f"--hypothesis-seed={secrets.randbits(32)}"]
        again = ["-m", "explores or hypothesis", *chosen, *arguments]
        say(f"round {passed + 1}; again by: python3 -m tests {shlex.join(again)}")
        if code := _pytest(["-q", *again], environment):
            say(f"{passed} rounds passed before this one")
            return code
        passed += 1


def _pytest(arguments: list[str], environment: dict[str, str]) -> int:
    """Gives its exit code."""
    return _wait_for(_start(arguments, environment))


def _start(arguments: list[str], environment: dict[str, str], **options: Any) -> subprocess.Popen[Any]:
    _running.append(children.start([str(PYTHON), "-m", "pytest", *arguments], env=environment, **options))
    return _running[-1]


_running: list[subprocess.Popen[Any]] = []


def _wait_for(pytest: subprocess.Popen[Any]) -> int:
    """What ends this process ends pytest, every one of them, and lets it end first what it has started."""
    signal.signal(signal.SIGTERM, lambda number, _: _tell_all(number))
    while True:
        try:
            return pytest.wait()
        except KeyboardInterrupt:
            _tell_all(signal.SIGINT)


def _tell_all(number: int) -> None:
    for pytest in _running:
        pytest.send_signal(number)


def _judge_coverage(environment: dict[str, str]) -> int:
    """Over all parts: the exit code is not 0 when too little was reached."""
    coverage = [str(PYTHON), "-m", "coverage"]
    subprocess.run([*coverage, "combine", "--quiet", *_MEASURED.iterdir()], env=environment, check=True)
    return subprocess.run([*coverage, "report"], env=environment, check=False).returncode
