"""Serves one of the subjects by uvicorn, as a user does who wants speed: uvloop and httptools, one worker.

`python -m tests.benchmarks.server <name> <port> <core> <redis url> <issuer's secret>`
"""

import asyncio
import os
import sys
from typing import Self

import uvicorn

from tests.benchmarks import cores
from tests.benchmarks.material import FastIssuer
from tests.benchmarks.subjects import served
from tests.support import children
from tests.support.processes import ROOT, free_port, wait_until


class Server:
    """A server process on its core; `port` is open when it is entered."""

    def __init__(self, name: str, *, core: int | None, redis_url: str, issuer: FastIssuer) -> None:
        self.port = free_port()
        given = (name, str(self.port), "" if core is None else str(core), redis_url, str(issuer.secret))
        self._command = [sys.executable, "-m", "tests.benchmarks.server", *given]

    def __enter__(self) -> Self:
        # Without what would switch on logs, workers or the like.
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("DPOP_", "UVICORN_"))}
        self._process = children.start(self._command, cwd=ROOT, env=environment)
        wait_until(self._listens, "the server does not listen")
        return self

    def _listens(self) -> bool:
        if self._process.poll() is not None:
            msg = f"the server ended with {self._process.returncode}"
            raise RuntimeError(msg)

        async def connect() -> bool:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.close()
            return True

        return asyncio.run(connect())

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(10)
        children.is_over(self._process)

    @property
    def pid(self) -> int:
        return self._process.pid


def main(name: str, port: str, core: str, redis_url: str, secret: str) -> None:
    cores.pin(int(core) if core else None)
    app = served(name, FastIssuer(int(secret)).jwks, redis_url)
    uvicorn.run(app, port=int(port), loop="uvloop", http="httptools", lifespan="off", ws="none", log_level="error")


if __name__ == "__main__":
    main(*sys.argv[1:])
