"""Real servers as child processes on loopback: Redis, and the example under uvicorn."""

import atexit
import contextlib
import inspect
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self
from urllib.request import urlopen

import httpx2
import redis as redis_client
import uvicorn

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
# A worker that the machine keeps waiting is not hung: uvicorn replaces it after 5 s, unless it can be told otherwise.
_OPTIONS = inspect.signature(uvicorn.run).parameters
HEALTHCHECK = ["--timeout-worker-healthcheck", "30"] if "timeout_worker_healthcheck" in _OPTIONS else []
# Of the ports that were given away, until this process ends.
_claims = contextlib.ExitStack()
atexit.register(_claims.close)


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
            _claims.enter_context(claim)
            return port
        claim.close()


def _claim(port: int) -> socket.socket | None:
    return _bound(port, socket.SOCK_DGRAM)


def _is_free(port: int) -> bool:
    with _bound(port, socket.SOCK_STREAM) or contextlib.nullcontext() as probe:
        return probe is not None


def _bound(port: int, kind: int) -> socket.socket | None:
    """A socket that has the port, where nobody else does."""
    bound = socket.socket(type=kind)
    try:
        bound.bind((HOST, port))
    except OSError:
        bound.close()
        return None
    return bound


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


class Server:
    """A child process that listens on a port of its own; `stop` and `start` again use the same port.

    Attributes:
        ending: how it is stopped, unless it is said otherwise.
        patience: until it is ready.
    """

    ending, patience = signal.SIGTERM, PATIENCE

    def __init__(self, port: int | None = None) -> None:
        self.port = port or free_port()
        self._process: Process | None = None

    def start(self) -> Self:
        self._forget_log()
        self._process = Process(self._command(), environment=self._environment())
        wait_until(self._answers, f"a {type(self).__name__} does not answer", patience=self.patience)
        return self

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _environment(self) -> dict[str, str] | None:
        """By default that of this process."""

    def _answers(self) -> bool:
        if not self.is_running:
            raise RuntimeError(self.log)
        return listens(self.port)

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.running()

    @property
    def process_id(self) -> int:
        """Of the only process, or of the one that manages several workers."""
        assert self._process is not None
        return self._process._popen.pid

    @property
    def log(self) -> str:
        assert self._process is not None
        return self._process.log

    def stop(self, how: signal.Signals | None = None) -> None:
        if self._process is not None:
            self._process.stop(how or self.ending)

    def _forget_log(self) -> None:
        if self._process is not None:
            self._process.output.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._forget_log()


class RedisServer(Server):
    """A redis-server.

    Attributes:
        arguments: for the next start.
    """

    ending = signal.SIGKILL

    def __init__(self, binary: str, *arguments: str, port: int | None = None) -> None:
        super().__init__(port)
        self._binary = binary
        self.arguments = arguments
        self._folder = tempfile.TemporaryDirectory(prefix="redis-")

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def _command(self) -> list[str]:
        command = [self._binary, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        return [*command, "--dir", self._folder.name, *self.arguments]

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self._folder.cleanup()

    def client(self, **options: Any) -> redis_client.Redis:
        return redis_client.Redis("127.0.0.1", self.port, decode_responses=True, **options)


def patient_with(url: str) -> dict[str, object]:
    """Settings for a Redis whose deadline is not what is tested: a busy machine must not turn an answer into 503."""
    return {"store": url, "store_timeout": 5}


class ResourceServer(Server):
    """`uvicorn examples.resource_server:app` as a user starts it.

    `http` is the HTTP implementation (`h11` or `httptools`), `loop` the event loop (`uvloop` or `asyncio`), `settings`
    the DPOP_* variables without the prefix, `variables` others. Nonces do not rotate unless `settings` says how often.
    """

    example, open_path = "resource_server", "/public"

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
        super().__init__(port)
        self.issuer = issuer
        self._app = app or f"examples.{self.example}:app"
        self._implementations = ["--http", http, "--loop", loop]
        self._workers = workers
        usual = {"issuer": issuer.url, "audience": issuer.audience, "nonce_period": NO_ROTATION}
        self._settings = {**usual, **settings}
        self.variables: dict[str, str] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DPOP_", "WEB_CONCURRENCY"))}
        given = {f"DPOP_{name.upper()}": str(value) for name, value in self._settings.items()}
        return {**kept, **given, **self.variables}

    def _command(self) -> list[str]:
        command = [sys.executable, "-m", "uvicorn", self._app, "--port", str(self.port), *self._implementations]
        command += ["--workers", str(self._workers), *HEALTHCHECK, "--log-level", "info", "--no-access-log"]
        # Else h11 itself refuses more than 16 KiB that do not arrive in one piece: the answer would depend on timing.
        return [*command, "--h11-max-incomplete-event-size", "131072"]

    def _answers(self) -> bool:
        if not super()._answers():
            return False
        with urlopen(self.url + self.open_path, timeout=PATIENCE) as answer:
            return bool(answer.status == HTTPStatus.OK)

    @property
    def public_url(self) -> str:
        """Where clients take it to be."""
        return str(self._settings.get("public_url", self.url))


class MCPServer(ResourceServer):
    """`uvicorn examples.mcp_server:app`."""

    example, open_path = "mcp_server", "/.well-known/oauth-protected-resource"


class AuthorizationServer(ResourceServer):
    """`uvicorn examples.authorization_server:app`, which is its own issuer."""

    example, open_path = "authorization_server", "/jwks"
    audience = AUDIENCE

    def __init__(self, **settings: Any) -> None:
        super().__init__(self, port=free_port(), **settings)
