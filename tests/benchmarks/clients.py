"""The clients whose requests the load consists of; runs in the load's process."""

import http.client
import itertools
import time
from collections.abc import Iterator
from functools import cache
from typing import Any

from tests.benchmarks.load import as_fast_as_it_answers, at_a_rate
from tests.benchmarks.material import OTHER_FIELDS, PATH, FastClient, FastIssuer, Fields, fields_of
from tests.benchmarks.tally import Load, RanOutError

_CLIENTS = 64
# Enough for an app that does not look at them.
_SHARED = 1024


@cache
def _clients(secret: int) -> list[FastClient]:
    issuer, now = FastIssuer(secret), time.time()
    return [FastClient(issuer, now=now, lifetime=86_400) for _ in range(_CLIENTS)]


def request_bytes(fields: Fields) -> bytes:
    """A whole request."""
    named = (*OTHER_FIELDS, (b"authorization", fields[0]), (b"dpop", fields[1]))
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in named)
    return b"GET " + PATH.encode("ascii") + b" HTTP/1.1\r\n" + lines + b"\r\n"


def _nonce(port: int, client: FastClient) -> str | None:
    """What the server hands out now; `None` from one that asks for none."""
    authorization, proof = client.fields(now=time.time(), nonce=None)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", PATH, headers={"authorization": authorization.decode(), "dpop": proof.decode()})
    nonce = connection.getresponse().headers["dpop-nonce"]
    connection.close()
    return nonce


def _signed(port: int, secret: int, count: int) -> Iterator[bytes]:
    """Requests with the newest nonce and distinct proofs; shared ones for an app that does not look at them."""
    clients = _clients(secret)
    nonce = _nonce(port, clients[0])
    fields = fields_of(clients, _SHARED if nonce is None else count, now=time.time(), nonce=nonce)
    requests = [request_bytes(one) for one in fields]
    return iter(requests) if nonce is not None else itertools.cycle(requests)


def _summary(load: Load) -> dict[str, Any]:
    return {
        "per_second": load.per_second,
        "p50": load.quantile(0.5),
        "p99": load.quantile(0.99),
        "client_cpu": load.client_cpu,
        "server_cpu": load.server_cpu,
    }


def saturate(port: int, pid: int, secret: int, connections: int, seconds: float, guess: float) -> dict[str, Any]:
    """Ask as fast as it answers. `guess` is how many requests per second to have ready."""
    while True:
        requests = _signed(port, secret, int(guess * (seconds + 0.3)) + connections)
        try:
            load = as_fast_as_it_answers(port, requests, pid=pid, connections=connections, seconds=seconds)
        except RanOutError:
            guess *= 3
            continue
        return _summary(load.only(200))


def steady(port: int, pid: int, secret: int, rate: float, seconds: float) -> dict[str, Any]:
    """Ask at a rate."""
    count = int(rate * seconds)
    requests = list(itertools.islice(_signed(port, secret, count), count))
    return _summary(at_a_rate(port, requests, pid=pid, rate=rate).only(200))
