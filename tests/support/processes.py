"""Real servers as child processes on loopback: Redis, and the example under uvicorn."""

import atexit
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Self

import httpx2
import redis as redis_client

import dpop_asgi
from dpop_asgi.testing import Issuer
from tests.support import children

ROOT = Path(__file__).resolve().parents[2]
# In a checkout, or where it was installed (see tests/installed.py).
PACKAGE = Path(dpop_asgi.__file__).parent
HOST, BUS = "127.0.0.1", 10_000
AUDIENCE = "https://api.example.com"
# Warnings are errors, but for one of an older Starlette beside a newer anyio (`python3 -m tests --minimum`).
STRICT = ("-W", "error", "-W", "ignore:The anyio.abc.BlockingPortal alias")
# Far beyond what a busy machine needs: what takes so long hangs.
PATIENCE = 60.0
# Seconds per slot, with which now is half-way through slot 1: nonces do not rotate where no test asks for it (N19).
NO_ROTATION = time.time() / 1.5
# Of the ports that were given away, until this process ends.
_claims: list[socket.socket] = []


@atexit.register
def _give_up_claims() -> None:
    for claim in _claims:
        claim.close()


def free_port() -> int:
    """A port that stays free while its server is down; so does the one of a cluster's bus, 10,000 above.

    Below the range that outgoing connections get theirs from: one of them could take it, or even, when it tries to
    reach a server that is down, be connected to itself. No other process of these tests gets it as long as this one
    lives: nothing here uses UDP, so who has the UDP port of that number has the number.
    """
    while True:
        port = random.randrange(10_000, 20_000)
        claim = _claim(port)
        if claim is None:
            continue
        if _is_free(port) and _is_free(port + BUS):
            _claims.append(claim)
            return port
        claim.close()


def _claim(port: int) -> socket.socket | None:
    claim = socket.socket(type=socket.SOCK_DGRAM)
    try:
        claim.bind((HOST, port))
    except OSError:
        claim.close()
        return None
    return claim


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def wait_until(condition: Any, what: str, *, patience: float = PATIENCE) -> None:
    """Poll until `condition()` is true; a condition that raises OSError counts as not yet true."""
    deadline = time.monotonic() + patience
    while True:
        with contextlib.suppress(OSError, httpx2.HTTPError, redis_client.RedisError):
            if condition():
                return
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.02)


def listens(port: int) -> bool:
    """Whether somebody does. Asked first, as a whole request costs this process milliseconds."""
    with socket.create_connection((HOST, port), 1):
        return True


def answers(url: str) -> bool:
    return httpx2.get(url, timeout=PATIENCE, verify=False).status_code == httpx2.codes.OK


class Process:
    """A child process with its output in a file; always ended and reaped by `stop`."""

    def __init__(self, command: list[str], *, environment: dict[str, str] | None = None) -> None:
        self.output = Path(tempfile.mkstemp(prefix="server-", suffix=".log")[1])
        with self.output.open("wb") as log:
            self._popen = children.start(command, stdout=log, stderr=log, cwd=ROOT, env=environment)
        self._is_over = False

    def running(self) -> bool:
        return self._popen.poll() is None

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End the whole group: a process manager's workers too. Once: its number may be another's afterwards."""
        if self._is_over:
            return
        if self.running():
            self._tell_group(how)
        try:
            self._popen.wait(10)
        except subprocess.TimeoutExpired:
            self._tell_group(signal.SIGKILL)
            self._popen.wait()
        self._tell_group(signal.SIGKILL)
        self._is_over = True
        children.is_over(self._popen)

    def _tell_group(self, what: signal.Signals) -> None:
        # On macOS it is not permitted to signal a group of which nobody is left.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._popen.pid, what)

    @property
    def log(self) -> str:
        return self.output.read_text(errors="replace")


class RedisServer:
    """A redis-server on a port of its own; `stop` and `start` again use the same port.

    Attributes:
        arguments: for the next start.
    """

    def __init__(self, binary: str, *arguments: str) -> None:
        self._binary = binary
        self.arguments = arguments
        self.port = free_port()
        self._folder = tempfile.TemporaryDirectory(prefix="redis-")
        self._process: Process | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> Self:
        command = [self._binary, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process = Process([*command, "--dir", self._folder.name, *self.arguments])
        wait_until(self._listens, "redis-server does not listen")
        return self

    @property
    def is_running(self) -> bool:
        return self._process is not None

    def _listens(self) -> bool:
        return listens(self.port)

    def stop(self, how: signal.Signals = signal.SIGKILL) -> None:
        if self._process is not None:
            self._process.stop(how)
            self._process.output.unlink(missing_ok=True)
            self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._folder.cleanup()

    def client(self, **options: Any) -> redis_client.Redis:
        return redis_client.Redis("127.0.0.1", self.port, decode_responses=True, **options)


def patient_with(url: str) -> dict[str, object]:
    """Settings for a Redis whose deadline is not what is tested: a busy machine must not turn an answer into 503."""
    return {"store": url, "store_timeout": 5}


class ResourceServer:
    """`uvicorn examples.resource_server:app` as a user starts it.

    `http` is the HTTP implementation (`h11` or `httptools`), `loop` the event loop (`uvloop` or `asyncio`), `settings`
    the DPOP_* variables without the prefix, `variables` others. Nonces do not rotate unless `settings` says how often.
    """

    example, open_path, patience = "resource_server", "/public", PATIENCE

    def __init__(
        self,
        issuer: "Issuer | AuthorizationServer",
        *,
        http: str = "auto",
        loop: str = "auto",
        workers: int = 1,
        port: int | None = None,
        app: str | None = None,
        **settings: Any,
    ):
        self.port = port or free_port()
        self.issuer = issuer
        self._app = app or f"examples.{self.example}:app"
        self._implementations = ["--http", http, "--loop", loop]
        self._workers = workers
        usual = {"issuer": issuer.url, "audience": issuer.audience, "nonce_period": NO_ROTATION}
        self._settings = {**usual, **settings}
        self.variables: dict[str, str] = {}
        self._process: Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Self:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DPOP_", "WEB_CONCURRENCY"))}
        given = {f"DPOP_{name.upper()}": str(value) for name, value in self._settings.items()}
        environment = {**kept, **given, **self.variables}
        self._process = Process([sys.executable, "-m", *self._command()], environment=environment)
        wait_until(self._answers, f"the {self.example} does not answer", patience=self.patience)
        return self

    def _command(self) -> list[str]:
        command = ["uvicorn", self._app, "--port", str(self.port)]
        command += [*self._implementations, "--workers", str(self._workers), "--log-level", "info", "--no-access-log"]
        # Else h11 itself refuses more than 16 KiB that do not arrive in one piece: the answer would depend on timing.
        return [*command, "--h11-max-incomplete-event-size", "131072"]

    def _answers(self) -> bool:
        if self._process is not None and not self._process.running():
            raise RuntimeError(self._process.log)
        return listens(self.port) and answers(f"{self.url}{self.open_path}")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.stop(how)

    @property
    def public_url(self) -> str:
        """Where clients take it to be."""
        return str(self._settings.get("public_url", self.url))

    @property
    def process_id(self) -> int:
        """Of the only worker, or of the process that manages several."""
        assert self._process is not None
        return self._process._popen.pid

    @property
    def log(self) -> str:
        assert self._process is not None
        return self._process.log

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._process is not None:
            self._process.output.unlink(missing_ok=True)


class MCPServer(ResourceServer):
    """`uvicorn examples.mcp_server:app`."""

    example, open_path = "mcp_server", "/.well-known/oauth-protected-resource"


class AuthorizationServer(ResourceServer):
    """`uvicorn examples.authorization_server:app`, which is its own issuer."""

    example, open_path = "authorization_server", "/jwks"
    audience = AUDIENCE

    def __init__(self, **settings: Any) -> None:
        super().__init__(self, port=free_port(), **settings)
