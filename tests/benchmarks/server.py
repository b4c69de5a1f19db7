"""Serves one of the subjects by uvicorn, as a user does who wants speed: uvloop and httptools, one worker.

`python -m tests.benchmarks.server <name> <port> <core> <redis url> <issuer's secret>`
"""

import os
import sys

import uvicorn

from tests.benchmarks.bench import core, pin
from tests.benchmarks.material import FastIssuer
from tests.benchmarks.subjects import served
from tests.support.processes import Server


class SubjectServer(Server):
    """On its core."""

    def __init__(self, name: str, redis_url: str, issuer: FastIssuer) -> None:
        super().__init__()
        chosen = core(0)
        self._given = (name, str(self.port), "" if chosen is None else str(chosen), redis_url, issuer.secret)

    def _command(self) -> list[str]:
        return [sys.executable, "-m", "tests.benchmarks.server", *self._given]

    def _environment(self) -> dict[str, str]:
        """Without what would switch on logs, workers or the like."""
        return {name: value for name, value in os.environ.items() if not name.startswith(("DPOP_", "UVICORN_"))}


def main(name: str, port: str, on_core: str, redis_url: str, secret: str) -> None:
    pin(int(on_core) if on_core else None)
    app = served(name, FastIssuer(secret).jwks, redis_url)
    uvicorn.run(app, port=int(port), loop="uvloop", http="httptools", lifespan="off", ws="none", log_level="error")


if __name__ == "__main__":
    main(*sys.argv[1:])
