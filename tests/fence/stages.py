"""Redis in the forms in which it is run, and workers that use it, as real processes."""

import contextlib
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from dpop_asgi.testing import Issuer
from tests.fence.crowd import PUBLIC_URL
from tests.support.fault_proxy import ProxyThread
from tests.support.nodes import Node
from tests.support.processes import ResourceServer
from tests.support.topologies import ClusterTopology, SentinelTopology, addresses

# Two servers of two workers each. Each worker has a port of its own, so that each can be asked for certain.
WORKERS = 4

# Where it is about the workers' view of Redis, one for each view is enough.
FEW = 2

_IDENTITY = re.compile(rb"\b(run_id|master_replid):[0-9a-f]{40}")

# A replica is told everything without the pauses that are meant for real networks.
_QUICK = [("repl-diskless-sync", "no"), ("repl-ping-replica-period", "1")]


@dataclass(frozen=True)
class Stage:
    """Where events happen: `redis` is a node or a topology."""

    redis: Any
    workers: list[ResourceServer]

    @property
    def ports(self) -> list[int]:
        return [worker.port for worker in self.workers]

    @property
    def logs(self) -> list[str]:
        return [worker.log for worker in self.workers]


@contextlib.contextmanager
def _staged(redis: Any, issuer: Issuer, *urls: str) -> Iterator[Stage]:
    workers = [ResourceServer(issuer, public_url=PUBLIC_URL, store=url) for url in urls]
    with ThreadPoolExecutor(len(workers)) as helpers:
        try:
            list(helpers.map(ResourceServer.start, workers))
            yield Stage(redis, workers)
        finally:
            list(helpers.map(ResourceServer.__exit__, workers))


@contextlib.contextmanager
def single(binary: str, issuer: Issuer) -> Iterator[Stage]:
    with Node(binary, *_QUICK) as node, _staged(node, issuer, *[node.url] * WORKERS) as stage:
        yield stage


@contextlib.contextmanager
def without_info(binary: str, issuer: Issuer) -> Iterator[Stage]:
    """A server that does not let the workers know who it is."""
    user = ("user", "api", "on", ">sesame", "~*", "&*", "+@all", "-info")
    with Node(binary, user) as node:
        url = f"redis://api:sesame@{node.address}/0"
        with _staged(node, issuer, *[url] * FEW) as stage:
            yield stage


def _posing_as(face: bytes) -> Callable[[bytes], bytes]:
    """As `INFO` identifies a server."""
    return lambda reply: _IDENTITY.sub(rb"\1:" + face, reply)


@contextlib.contextmanager
def flapping(binary: str, issuer: Issuer) -> Iterator[Stage]:
    """Two servers with the same data behind one address, as far as anyone can see who connects to it."""
    with contextlib.ExitStack() as running:
        node = running.enter_context(Node(binary))
        faces = [running.enter_context(ProxyThread(node.port, alter=_posing_as(face * 40))) for face in (b"a", b"b")]
        # One for each worker: if their connections took turns, one might never see another server.
        proxies = [running.enter_context(ProxyThread(*(face.port for face in faces))) for _ in range(FEW)]
        yield running.enter_context(_staged(node, issuer, *(proxy.url for proxy in proxies)))


@contextlib.contextmanager
def flapping_for_one(binary: str, issuer: Issuer) -> Iterator[Stage]:
    """Two servers with data of their own behind one address, and a single worker: others would never agree."""
    with contextlib.ExitStack() as running:
        nodes = [running.enter_context(Node(binary)) for _ in range(2)]
        proxy = running.enter_context(ProxyThread(*(node.port for node in nodes)))
        yield running.enter_context(_staged(nodes, issuer, proxy.url))


@contextlib.contextmanager
def sentinel(topology: SentinelTopology, issuer: Issuer) -> Iterator[Stage]:
    with _staged(topology, issuer, *[topology.url()] * WORKERS) as stage:
        yield stage


@contextlib.contextmanager
def sentinel_on_two_sides(topology: SentinelTopology, issuer: Issuer) -> Iterator[Stage]:
    """One worker reaches the last Sentinel only, the other one the other Sentinels only."""
    *many, last = topology.sentinels
    urls = [f"redis+sentinel://{addresses(side)}/{topology.SERVICE}" for side in ([last], many)]
    with _staged(topology, issuer, *urls) as stage:
        yield stage


@contextlib.contextmanager
def cluster(topology: ClusterTopology, issuer: Issuer) -> Iterator[Stage]:
    with _staged(topology, issuer, *[topology.url()] * WORKERS) as stage:
        yield stage
