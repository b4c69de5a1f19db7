"""Verifies in process. Reads jobs from stdin, a line of JSON each, and answers each with a line.

`python -m tests.benchmarks.peers.worker "PyJWT by hand"`
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from tests.benchmarks.peers.api import ProtectedAPI
from tests.benchmarks.peers.contenders import CONTENDERS, nothing_behind
from tests.benchmarks.peers.processes import FLOOR


class _Exchange:
    """The ASGI side of one request."""

    def __init__(self, request: dict[str, Any], host: str) -> None:
        headers = [(name.encode(), value.encode()) for name, value in [["host", host], *request["headers"]]]
        path = request["target"]
        self.scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "server": ("127.0.0.1", 8000),
            "client": ("127.0.0.1", 50000),
            "scheme": "http",
            "method": request["method"],
            "root_path": "",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": headers,
            "state": {},
        }
        self.started: Any = None

    async def receive(self) -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.started = message

    @property
    def nonce(self) -> str | None:
        return next((value.decode() for name, value in self.started["headers"] if name == b"dpop-nonce"), None)


async def _measured(app: Any, exchanges: list[_Exchange]) -> dict[str, Any]:
    cpu, begin = time.process_time(), time.perf_counter()
    for exchange in exchanges:
        await app(exchange.scope, exchange.receive, exchange.send)
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    refused = [exchange.started["status"] for exchange in exchanges if exchange.started["status"] != 200]
    assert not refused, f"{len(refused)} refused: {set(refused)}"
    return {"seconds": seconds, "cpu": cpu}


def _contender(name: str) -> Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]:
    api = ProtectedAPI.from_environment()
    app = CONTENDERS[name](nothing_behind, api)

    async def work(job: dict[str, Any]) -> dict[str, Any]:
        if "requests" in job:
            return await _measured(app, [_Exchange(request, api.host) for request in job["requests"]])
        stranger = _Exchange({"method": "GET", "target": "/", "headers": []}, api.host)
        await app(stranger.scope, stranger.receive, stranger.send)
        return {"nonce": stranger.nonce}

    return work


def _floor() -> Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]:
    key, message, algorithm = ec.generate_private_key(ec.SECP256R1()), bytes(400), ec.ECDSA(hashes.SHA256())
    signature, public = key.sign(message, algorithm), key.public_key()

    async def work(job: dict[str, Any]) -> dict[str, Any]:
        cpu, begin = time.process_time(), time.perf_counter()
        for _ in job.get("requests", ()):
            public.verify(signature, message, algorithm)
        return {"nonce": None, "seconds": time.perf_counter() - begin, "cpu": time.process_time() - cpu}

    return work


def main(name: str) -> None:
    work = _floor() if name == FLOOR else _contender(name)
    with asyncio.Runner() as runner:
        for line in sys.stdin:
            print(json.dumps(runner.run(work(json.loads(line)))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
