"""Load: signs its requests first, then sends them over connections that stay open, each after the answer to the last.

A process of its own. Reads jobs from stdin, a line of JSON each, and answers each with a line.
"""

import asyncio
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import uvloop

from tests.benchmarks.peers.api import Callers, ProtectedAPI, issuer_of
from tests.support.wire import request_bytes

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CLIENTS = 64


class _Load:
    """What the connections share: the requests, and what became of them."""

    def __init__(self, requests: Iterator[bytes], seconds: float) -> None:
        self.requests = requests
        self.statuses: Counter[str] = Counter()
        self.latencies: list[float] = []
        self.deadline = time.perf_counter() + seconds

    def next(self) -> bytes | None:
        return next(self.requests, None) if time.perf_counter() < self.deadline else None


class _Connection(asyncio.Protocol):
    def __init__(self, load: _Load) -> None:
        self._load = load
        self._received = b""
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._go_on()

    def _go_on(self) -> None:
        request = self._load.next()
        if request is None:
            self.done.set_result(None)
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, blank_line, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not blank_line or length is None or len(body) < int(length[1]):
            return
        self._load.latencies.append(time.perf_counter() - self._sent_at)
        self._load.statuses[head[9:12].decode()] += 1
        self._received = b""
        self._go_on()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the server closed a connection"))


async def _run(port: int, connections: int, load: _Load) -> None:
    loop = asyncio.get_running_loop()
    opened = [loop.create_connection(lambda: _Connection(load), "127.0.0.1", port) for _ in range(connections)]
    await asyncio.gather(*[connection.done for _, connection in await asyncio.gather(*opened)])


def _work(callers: Callers, host: str, job: dict[str, Any]) -> dict[str, Any]:
    signed = [
        request_bytes(request["method"], request["target"], [("host", host), *request["headers"]])
        for request in callers.requests(job["count"], job["nonce"])
    ]
    load = _Load(iter(signed), job["seconds"])
    cpu, begin = time.process_time(), time.perf_counter()
    uvloop.run(_run(job["port"], job["connections"], load))
    seconds = time.perf_counter() - begin
    latencies = sorted(load.latencies)
    return {
        "seconds": seconds,
        "busy": (time.process_time() - cpu) / seconds,
        "statuses": load.statuses,
        "p50": latencies[len(latencies) // 2],
        "p99": latencies[len(latencies) * 99 // 100],
    }


def main() -> None:
    api = ProtectedAPI.from_environment()
    callers = Callers(api, issuer_of(api), _CLIENTS)
    for line in sys.stdin:
        print(json.dumps(_work(callers, api.host, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
