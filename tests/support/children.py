"""Child processes that do not outlive their parent, however that ends: killed, it has no time to end them itself.

A reaper beside it is told of each of them, through a pipe. Once nobody is left who could write into that, the reaper
kills those that are still there, with all that they have started. Nothing but the standard library is needed.
"""

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any


def start(command: list[str], **options: Any) -> subprocess.Popen[Any]:
    """As `subprocess.Popen` does, in a session of its own."""
    child = subprocess.Popen(command, start_new_session=True, **options)
    _reaper.takes(child.pid)
    return child


def is_over(child: subprocess.Popen[Any]) -> None:
    """It has ended: from now on its number may be another process's."""
    _reaper.forgets(child.pid)


class _Reaper:
    """Started when the first child is, and again should it have been ended."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._groups: set[int] = set()

    def takes(self, group: int) -> None:
        with self._lock:
            self._groups.add(group)
            self._tell(f"+{group}")

    def forgets(self, group: int) -> None:
        with self._lock:
            self._groups.discard(group)
            self._tell(f"-{group}")

    def _tell(self, what: str) -> None:
        if self._process is None:
            self._process = self._start()
            atexit.register(self._end)
        try:
            self._write(what)
        except BrokenPipeError:
            self._process.wait()
            self._process = self._start()
            for group in self._groups:
                self._write(f"+{group}")

    def _write(self, what: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(f"{what}\n".encode())

    @staticmethod
    def _start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-I", "-S", str(Path(__file__))]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen(command, bufsize=0, stdin=subprocess.PIPE, start_new_session=True, **quiet)

    def _end(self) -> None:
        assert self._process is not None
        self._process.communicate()


_reaper = _Reaper()


def reap() -> None:
    """What the reaper does; it does not end before its parent."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups = set()
    while line := sys.stdin.readline():
        (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    reap()
