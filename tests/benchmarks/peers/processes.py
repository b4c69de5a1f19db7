"""Child processes, each on a core of its own: workers that are asked by lines of JSON, and HTTP servers."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from tests.benchmarks.peers.api import ProtectedAPI
from tests.benchmarks.peers.node import FOLDER, PeerMissing, node
from tests.support.processes import ROOT, Process, free_port, wait_until
from tests.support.wire import Response, exchange, request_bytes

PACKAGE = "tests.benchmarks.peers"
FLOOR = "cryptography"
ON_NODE = ("express-oauth2-jwt-bearer", "oauth4webapi", "node:crypto")


def cores() -> tuple[int, int] | None:
    """One for what is measured and one for everything else, where the system lets us choose."""
    usable = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return (usable[0], usable[1]) if len(usable) > 1 else None


@contextlib.contextmanager
def started_on(measured: bool) -> Iterator[None]:
    """Processes started inside inherit the core."""
    pair = cores()
    if pair is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {pair[0] if measured else pair[1]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Worker:
    """A process that answers each line of JSON with one."""

    def __init__(self, command: list[str], api: ProtectedAPI, *, measured: bool = True) -> None:
        with started_on(measured):
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=ROOT,
                env=api.environment(),
            )

    def ask(self, **job: Any) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(job) + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args} ended with {self._process.wait()}")
        return json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # It ends at the end of its input; whatever it does instead, it is not left behind.
        with contextlib.suppress(BrokenPipeError, subprocess.TimeoutExpired):
            self._process.communicate(timeout=10)
        self._process.kill()
        self._process.wait()


def verifier(name: str, api: ProtectedAPI) -> Worker:
    if name in ON_NODE:
        return Worker([str(node()), str(FOLDER / "worker.mjs"), name], api)
    return Worker([sys.executable, "-m", f"{PACKAGE}.worker", name], api)


def redis_binary() -> str:
    found = os.environ.get("REDIS_SERVER") or shutil.which("redis-server")
    if found is None:
        raise PeerMissing("redis-server is missing: install one of 7.0 or newer, or set REDIS_SERVER to its path")
    return found


class Server:
    """A contender on a port."""

    def __init__(self, name: str, api: ProtectedAPI) -> None:
        self.name = name
        self.port = free_port()
        self._api = api
        if name in ON_NODE:
            command = [str(node()), str(FOLDER / "server.mjs"), name, str(self.port)]
        else:
            command = [sys.executable, "-m", "uvicorn", f"{PACKAGE}.server:app", "--port", str(self.port)]
            command += ["--no-access-log", "--log-level", "warning", "--http", "httptools", "--loop", "uvloop"]
        environment = {**api.environment(), "PEER": name, "NODE_ENV": "production"}
        with started_on(measured=True):
            self._process = Process(command, environment=environment)

    def __enter__(self) -> Self:
        try:
            wait_until(self._answers, f"{self.name} does not answer")
        except BaseException:
            self._process.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stop()
        self._process.output.unlink(missing_ok=True)

    def _answers(self) -> bool:
        if not self._process.running():
            raise RuntimeError(self._process.log)
        return self.stranger().status > 0

    def stranger(self) -> Response:
        """The answer to somebody without credentials."""
        return exchange(self.port, request_bytes("GET", "/", [("host", self._api.host), ("connection", "close")]))

    @property
    def log(self) -> str:
        return self._process.log

    @property
    def nonce(self) -> str | None:
        return self.stranger().one("dpop-nonce")

    @property
    def cpu_seconds(self) -> float | None:
        """Of all its threads."""
        stat = Path(f"/proc/{self._process._popen.pid}/stat")
        if not stat.exists():
            return None
        fields = stat.read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
