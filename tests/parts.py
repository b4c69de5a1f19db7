"""The two parts in which `python3 -m tests` runs everything, and what explores; the standard library is enough.

What only computes runs side by side on all cores. What takes real servers at their word, in seconds, needs the machine
for itself, and runs one test at a time.
"""

from __future__ import annotations

import secrets
import shlex
import signal
import time

from tests.set_up import PYTHON, say
from tests.support import children

SERIAL = ("tests/cluster", "tests/e2e", "tests/failures")
# But for these: here seconds are not what is tested.
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
    "tests/e2e/test_cancellation.py",
    "tests/e2e/test_fork.py",
    "tests/cli/test_demo.py",
    "tests/test_benchmarks.py",
    "tests/fuzz/test_command.py",
    "tests/state_machine",
    "tests/test_properties.py",
    "tests/test_properties_hostile.py",
)

SIDE_BY_SIDE = ["-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder", "-m", "not serial"]

# What both can be given. Coverage is judged once, over both.
FOR_BOTH = ("--cov", "--durations", "-q", "-v", "-x")
NOT_YET_JUDGED = ["--cov-report=", "--cov-fail-under=0"]


def run_both(arguments: list[str], environment: dict[str, str]) -> int:
    """Gives pytest's exit code: the first that is not 0."""
    covered, begin = "--cov" in arguments, time.monotonic()
    parts = {
        "side by side": [*SIDE_BY_SIDE, *(NOT_YET_JUDGED if covered else [])],
        "one at a time": [*SERIAL, "-m", "serial", *(["--cov-append"] if covered else [])],
    }
    codes = {}
    for part, options in parts.items():
        say(part)
        codes[part] = _pytest([*arguments, *options], environment)
        if codes[part] and "-x" in arguments:
            break
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
    """Gives its exit code. What ends this process ends pytest, and lets it end first what it has started."""
    pytest = children.start([str(PYTHON), "-m", "pytest", *arguments], env=environment)
    signal.signal(signal.SIGTERM, lambda number, _: pytest.send_signal(number))
    while True:
        try:
            return pytest.wait()
        except KeyboardInterrupt:
            pytest.send_signal(signal.SIGINT)
