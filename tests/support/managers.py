"""Process managers that fork or start several workers of the same app."""

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import httpx2

from dpop_asgi.testing import Issuer
from tests.support.connections import Http
from tests.support.processes import HEALTHCHECK, PATIENCE, ResourceServer

APP = "tests.support.preloaded:app"
WORKERS = 3

GUNICORN = [
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
    "uvicorn": ["uvicorn", APP, "--workers", str(WORKERS), *HEALTHCHECK, "--port", "{port}"],
    # Not several workers, or not forked from one that has imported the app.
    "gunicorn, not preloaded": [part for part in UVICORN_WORKER if part != "--preload"],
    "gunicorn, one worker": [*UVICORN_WORKER, "--workers", "1"],
    "uvicorn, one worker": ["uvicorn", APP, "--port", "{port}"],
    "uvicorn, reloader": ["uvicorn", APP, "--reload", "--reload-dir", "tests/support", "--port", "{port}"],
}


class Manager(ResourceServer):
    """One of `COMMANDS`, by name; `used` is whether it has served requests before it forks."""

    patience = 3 * PATIENCE

    def __init__(self, name: str, issuer: Issuer, *, used: bool = False, **settings: Any) -> None:
        super().__init__(issuer, public_url="https://api.example.com", **settings)
        self._own_command = [sys.executable, "-m", *(part.format(port=self.port) for part in COMMANDS[name])]
        self.variables = {"PRELOADED_AND_USED": "yes"} if used else {}

    def _command(self) -> list[str]:
        return self._own_command

    def running(self) -> bool:
        return self.is_running

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


def answered_by(answer: httpx2.Response) -> int:
    """The process id of the worker."""
    return int(answer.headers["x-process"])
