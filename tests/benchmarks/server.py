"""Serves one of the subjects by uvicorn, as a user does who wants speed: uvloop and httptools, one worker.

`python -m tests.benchmarks.server <name> <port> <core> <redis url> <issuer's secret>`
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import uvicorn

from tests.benchmarks.bench import core, pin
from tests.benchmarks.material import FastIssuer
from tests.benchmarks.subjects import served
from tests.support.processes import Process, free_port, listens, wait_until


class Server(NamedTuple):
    """A server process, and where it listens."""

    port: int
    pid: int


@contextmanager
def serving(name: str, redis_url: str, issuer: FastIssuer) -> Iterator[Server]:
    """On its core; the port is open when it is entered."""
    port, chosen = free_port(), core(0)
    given = (name, str(port), "" if chosen is None else str(chosen), redis_url, issuer.secret)
    # Without what would switch on logs, workers or the like.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DPOP_", "UVICORN_"))}
    process = Process([sys.executable, "-m", "tests.benchmarks.server", *given], environment=environment)
    try:
        wait_until(lambda: not process.running() or listens(port), "the server does not listen")
        if not process.running():
            raise RuntimeError(process.log)
        yield Server(port, process._popen.pid)
    finally:
        process.stop()
        process.output.unlink(missing_ok=True)


def main(name: str, port: str, on_core: str, redis_url: str, secret: str) -> None:
    pin(int(on_core) if on_core else None)
    app = served(name, FastIssuer(secret).jwks, redis_url)
    uvicorn.run(app, port=int(port), loop="uvloop", http="httptools", lifespan="off", ws="none", log_level="error")


if __name__ == "__main__":
    main(*sys.argv[1:])
