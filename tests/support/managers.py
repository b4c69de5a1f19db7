"""Process managers that fork or start several workers of the same app."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, Self

import httpx2

from dpop_asgi.testing import Issuer
from tests.support.connections import Http
from tests.support.processes import NO_ROTATION, PATIENCE, Process, answers, free_port, listens, wait_until

APP = "tests.support.preloaded:app"
WORKERS = 3

GUNICORN = [
    "-m",
    "gunicorn",
    APP,
    "--workers",
    str(WORKERS),
    "--preload",
    "--no-control-socket",
    "--bind",
    "127.0.0.1:{port}",
]
UVICORN_WORKER = [*GUNICORN, "--worker-class", "uvicorn_worker.UvicornWorker"]
COMMANDS = {
    "gunicorn": UVICORN_WORKER,
    "gunicorn-asgi": [*GUNICORN, "--worker-class", "asgi"],
    "uvicorn": ["-m", "uvicorn", APP, "--workers", str(WORKERS), "--port", "{port}"],
    # Not several workers, or not forked from one that has imported the app.
    "gunicorn, not preloaded": [part for part in UVICORN_WORKER if part != "--preload"],
    "gunicorn, one worker": [*UVICORN_WORKER, "--workers", "1"],
    "uvicorn, one worker": ["-m", "uvicorn", APP, "--port", "{port}"],
    "uvicorn, reloader": ["-m", "uvicorn", APP, "--reload", "--reload-dir", "tests/support", "--port", "{port}"],
}


class Manager:
    """One of `COMMANDS`; `settings` are the DPOP_* variables without the prefix."""

    def __init__(self, name: str, issuer: Issuer, *, used: bool = False, **settings: Any) -> None:
        self.port = free_port()
        settings |= {"issuer": issuer.url, "audience": issuer.audience, "public_url": "https://api.example.com"}
        settings |= {"nonce_period": NO_ROTATION}
        self._command = [sys.executable, *(part.format(port=self.port) for part in COMMANDS[name])]
        self._environment = {key: value for key, value in os.environ.items() if key != "WEB_CONCURRENCY"}
        self._environment |= {f"DPOP_{key.upper()}": str(value) for key, value in settings.items()}
        if used:
            self._environment["PRELOADED_AND_USED"] = "yes"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Self:
        self._process = Process(self._command, environment=self._environment)
        wait_until(self._answers, "it does not answer", patience=3 * PATIENCE)
        return self

    def __enter__(self) -> Self:
        return self.start()

    def _answers(self) -> bool:
        if not self._process.running():
            raise RuntimeError(self.log)
        return listens(self.port) and answers(f"{self.url}/public")

    def __exit__(self, *_: object) -> None:
        self._process.stop()
        self._process.output.unlink(missing_ok=True)

    @property
    def log(self) -> str:
        return self._process.log

    async def ask_everybody(self, sign: Callable[[], dict[str, str]]) -> list[httpx2.Response]:
        """Send requests with these fields, until each worker has answered one."""
        answers: list[httpx2.Response] = []
        async with asyncio.timeout(3 * PATIENCE):
            while len({answered_by(answer) for answer in answers}) < WORKERS:
                answers += await self._ask_at_once(sign)
        return answers

    async def _ask_at_once(self, sign: Callable[[], dict[str, str]]) -> list[httpx2.Response]:
        """On new connections: whichever worker is free takes them."""
        async with Http() as http:
            url = f"{self.url}/resource"
            return await asyncio.gather(*(http.get(url, headers=sign()) for _ in range(10 * WORKERS)))

    def stop(self) -> None:
        self._process.stop(signal.SIGTERM)


def answered_by(answer: httpx2.Response) -> int:
    """The process id of the worker."""
    return int(answer.headers["x-process"])
