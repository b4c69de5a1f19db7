"""A lean HTTP client that asks as fast as responses come, with requests that are ready to send.

It runs in a process of its own, and must be faster than what it loads: responses are hardly read.
"""

import asyncio
import contextlib
import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.bench import run
from tests.benchmarks.material import OTHER_FIELDS, PATH, Fields, clients_of, fields_of
from tests.support.connections import Connection, Crowd
from tests.support.wire import exchange, request_bytes

_PATIENCE = 20.0
_WARM_UP = 0.2
# Enough for an app that does not look at them.
_SHARED = 1024


class _Log:
    """When each response came, and who was busy meanwhile."""

    def __init__(self, server: int) -> None:
        self._server = server
        self._responses: list[float] = []
        self._cpu = time.process_time(), _cpu_seconds(server)
        self.began = time.perf_counter()

    def add(self, status: int) -> None:
        if status != 200:
            raise RuntimeError(f"a benchmark of wrong responses measures nothing: {status!r}")
        self._responses.append(time.perf_counter())

    def summary(self, begin: float, end: float) -> dict[str, float] | None:
        """Of the responses between these instants, if there are any; processor time is that of all."""
        count = sum(begin <= at < end for at in self._responses)
        if not count:
            return None
        seconds, (client, server) = time.perf_counter() - self.began, self._cpu
        server = _cpu_seconds(self._server) - server
        return {
            "per_second": count / (end - begin),
            "client_busy": (time.process_time() - client) / seconds,
            "server_busy": server / seconds,
            "server_cpu": server / len(self._responses),
        }


def _cpu_seconds(pid: int) -> float:
    """User and system time of a process; 0 where /proc does not say."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


async def _as_fast_as_it_responds(
    port: int, pid: int, requests: Iterator[bytes], connections: int, seconds: float
) -> dict[str, float] | None:
    """Each connection asks again as soon as it has its response (closed loop); `None` when requests run out."""
    async with Crowd(port, connections) as crowd, asyncio.timeout(_PATIENCE + seconds):
        log = _Log(pid)
        begin, end = log.began + _WARM_UP, log.began + _WARM_UP + seconds

        async def client(connection: Connection) -> None:
            while time.perf_counter() < end and (request := next(requests, None)):
                log.add(await connection.send(request))

        await asyncio.gather(*map(client, crowd.connections))
    return log.summary(begin, end) if next(requests, None) else None


def _request(fields: Fields) -> bytes:
    return request_bytes("GET", PATH, [*OTHER_FIELDS, (b"authorization", fields[0]), (b"dpop", fields[1])])


def _signed(port: int, secret: str, count: int) -> Iterator[bytes]:
    """Requests with the newest nonce and distinct proofs; shared ones for an app that does not look at them."""
    clients = clients_of(secret, 64)
    nonce = exchange(port, _request(clients[0].fields(now=time.time(), nonce=None))).one("dpop-nonce")
    fields = fields_of(clients, _SHARED if nonce is None else count, now=time.time(), nonce=nonce)
    requests = [_request(one) for one in fields]
    return iter(requests) if nonce is not None else itertools.cycle(requests)


def saturate(port: int, pid: int, secret: str, connections: int, seconds: float, guess: float) -> dict[str, float]:
    """Load a server of process `pid`. `guess` is how many requests per second to have ready."""
    while True:
        requests = _signed(port, secret, int(guess * (seconds + _WARM_UP)) + connections)
        found = run(lambda: _as_fast_as_it_responds(port, pid, requests, connections, seconds))  # noqa: B023 - at once
        if found:
            return found
        guess *= 3
