"""Starts and stops the demo's resource server, as a process."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn, Self

_ROOT = Path(__file__).resolve().parents[3]

# A cold start on a busy machine takes a few seconds. Anything longer than this hangs.
_START_SECONDS = 30.0
STOP_SECONDS = 5.0
_POLL_SECONDS = 0.02

_RUNNING = re.compile(r"Uvicorn running on (http://[\d.]+:\d+)")
_REJECTION = re.compile(r"^\[[\w-]+\] (?:rejected: |(?=unavailable: ))(.+)$", re.MULTILINE)

# Variables that would reconfigure the server, or send requests to this machine through a proxy.
_FOREIGN_VARIABLES = re.compile(
    r"DPOP_|UVICORN_|WEB_CONCURRENCY$|(HTTPS?|ALL|NO)_PROXY$|FORWARDED_ALLOW_IPS$", re.IGNORECASE
)

# Logs rejections with their reason in brackets, where `rejection` finds it.
_LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "logging.Formatter",
            "fmt": "[%(dpop_reason)s] %(message)s",
            "defaults": {"dpop_reason": "-"},
        }
    },
    "handlers": {"log": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {"uvicorn": {"level": "INFO"}, "dpop_asgi": {"level": "DEBUG"}},
    "root": {"level": "WARNING", "handlers": ["log"]},
}


class CannotRun(Exception):
    """The demo cannot continue. The message is shown to the user."""


def exit_on_signals() -> None:
    """Turn SIGTERM and SIGHUP into an exception, so that everything that was started is stopped."""
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _exit)


def _exit(number: int, _: object) -> NoReturn:
    sys.exit(128 + number)


def find_example(root: Path = _ROOT) -> tuple[str, Path]:
    """The module and import folder of the resource server: in the installed package, or in `examples` of a checkout.

    Raises:
        CannotRun: If it is in neither.
    """
    for module, folder in (("dpop_asgi.cli.demo.resource_server", root), ("resource_server", root / "examples")):
        if folder.joinpath(*module.split(".")).with_suffix(".py").is_file():
            return module, folder
    msg = (
        f"resource_server.py is missing from this installation: it is neither in "
        f"{root / 'dpop_asgi' / 'cli' / 'demo'} nor in {root / 'examples'}. Please reinstall dpop-asgi."
    )
    raise CannotRun(msg)


class ExampleServer:
    """`examples/resource_server.py` under uvicorn, in a separate process on a free loopback port.

    Attributes:
        url: its origin, once it is running.
        pid: its process ID, once it is running.

    Args:
        settings: the variables `DPOP_*`; those in the environment of this process are ignored.
    """

    def __init__(self, settings: Mapping[str, str]) -> None:
        self.url: str = ""
        self.pid: int = 0
        self._settings = settings
        self._read = 0

    def __enter__(self) -> Self:
        module, folder = find_example()
        with ExitStack() as stack:
            temporary = TemporaryDirectory(prefix="dpop-asgi-demo-", ignore_cleanup_errors=True)
            scratch = Path(stack.enter_context(temporary))
            self._log = scratch / "log.txt"
            (scratch / "logging.json").write_text(json.dumps(_LOGGING), encoding="utf-8")
            command = [sys.executable, "-P", "-m", "uvicorn", f"{module}:app", "--app-dir", str(folder)]
            # Port 0: the system picks a free one, and uvicorn logs it as soon as it listens.
            command += ["--host", "127.0.0.1", "--port", "0", "--log-config", str(scratch / "logging.json")]
            command += ["--timeout-graceful-shutdown", "1"]
            self._start(command)
            stack.callback(self._stop)
            wait_for(self._is_running, "The resource server did not start.")
            self._running = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def _start(self, command: list[str]) -> None:
        environment = {name: value for name, value in os.environ.items() if not _FOREIGN_VARIABLES.match(name)}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter, no shell
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**environment, **self._settings}
            )

    def _stop(self) -> None:
        try:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
        finally:
            self._process.kill()  # does nothing if it has exited
            self._process.wait()

    def _is_running(self) -> bool:
        self.check()
        running = _RUNNING.search(self._text())
        self.url, self.pid = running[1] if running else "", self._process.pid
        return running is not None

    def check(self) -> None:
        """Check that the process is running.

        Raises:
            CannotRun: If it has exited; the message has the end of its log.
        """
        if self._process.poll() is not None:
            end = "\n".join(self._text().splitlines()[-12:])
            msg = f"The resource server exited with code {self._process.returncode}. Last log lines:\n{end}"
            raise CannotRun(msg)

    def news(self) -> str:
        """What was logged since the last call. A rejection is logged before its response is sent."""
        with self._log.open("rb") as log:
            log.seek(self._read)
            new = log.read()
        self._read += len(new)
        return new.decode("utf-8", "replace")

    def rejection(self) -> str | None:
        """Why a request was rejected, according to the `news`: reason and facts, or `unavailable` and the cause."""
        rejections = _REJECTION.findall(self.news())
        return rejections[-1] if rejections else None

    def _text(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")


def wait_for(condition: Callable[[], Any], otherwise: str) -> None:
    """Wait until a server runs.

    Raises:
        CannotRun: If it doesn't; the message is `otherwise`.
    """
    deadline = time.monotonic() + _START_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise CannotRun(otherwise)
        time.sleep(_POLL_SECONDS)
