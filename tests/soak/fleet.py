"""Everything that runs: Redis and its replica, the network to whichever is the master, an issuer, servers."""

import asyncio
import contextlib
import os
import re
import secrets
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

from redis import Redis, RedisError

from dpop_asgi.core.private_key import PrivateKey
from dpop_asgi.testing import Issuer
from tests.soak.options import Options
from tests.support.failover import cut, reconnect
from tests.support.fault_proxy import FaultProxy
from tests.support.load import wait_for_workers
from tests.support.nodes import HOST, Node
from tests.support.processes import PATIENCE, ResourceServer, wait_until
from tests.support.serving import IssuerServer

PUBLIC_URL = "https://api.example.com"
STEADY = "a"

# Every write is in the file before it is answered. Rewritten when it is small, so that a soak sees that too.
_PERSISTENCE = [("appendonly", "yes"), ("appendfsync", "always"), ("auto-aof-rewrite-min-size", "1mb")]

# A replica that returns has everything soon, and without the pauses that are meant for real networks.
_REPLICATION = [("repl-diskless-sync", "no"), ("repl-ping-replica-period", "1")]

# Killing Redis does not take away what is in a file in memory, and other programs' disk traffic does not slow it down.
_IN_MEMORY = Path("/dev/shm")

# What no server may ever write, whatever is broken.
_COMPLAINTS = re.compile(r"Traceback|was never (?:retrieved|awaited)|Task was destroyed|[Uu]nclosed")
_WORKER = re.compile(r"Started server process \[(\d+)\]")
_PARENT = re.compile(r"Started parent process \[(\d+)\]")

# Published keys that stay: tokens of older ones are not in use any more.
_KEPT_KEYS = 3

_Result = TypeVar("_Result")


async def to_the_end(work: Callable[..., _Result], *arguments: Any) -> _Result:
    """In a thread, and not to be interrupted: a server that is half started would be left behind."""
    task = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


class SoakServer(ResourceServer):
    """Remembers what it complained of before it was stopped."""

    def __init__(self, name: str, issuer: Issuer, **settings: Any) -> None:
        super().__init__(issuer, **settings)
        self.name = name
        self.complaints: list[str] = []

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        super().stop(how)
        if self._process is not None and self._process.output.exists():
            self.complaints += _complaints(self.log)
            self._process.output.unlink()

    @property
    def started(self) -> list[int]:
        """Process ids of all workers so far, the oldest first."""
        return [int(found) for found in _WORKER.findall(self.log)]

    @property
    def worker_ids(self) -> list[int]:
        """Those of them that run."""
        return list(filter(_exists, self.started))

    @property
    def manager_id(self) -> int:
        return int(_PARENT.findall(self.log)[0])


def _complaints(log: str) -> list[str]:
    lines = log.splitlines()
    found = [number for number, line in enumerate(lines) if _COMPLAINTS.search(line)]
    return ["\n".join(lines[max(0, number - 1) : number + 40]) for number in found[:3]]


class SoakIssuer(IssuerServer):
    """Its keys are rotated in two steps."""

    def publish_key(self) -> str:
        """A new key among those published; nothing is signed with it yet. In one go: the server may be reading."""
        kid = secrets.token_hex(4)
        kept = dict(list(self.issuer.keys.items())[-_KEPT_KEYS:])
        self.issuer.keys = {**kept, kid: PrivateKey.generate()}
        return kid


class Fleet:
    """All of it, running.

    Attributes:
        redis: the master; `network` leads to it.
        replica: of it.
    """

    def __init__(self, options: Options) -> None:
        self._folder = tempfile.TemporaryDirectory(dir=_IN_MEMORY if _IN_MEMORY.is_dir() else None, prefix="soak-")
        self.redis, self.replica = (self._node(options, name) for name in ("one", "other"))
        self.network = FaultProxy(self.redis.port)
        self.issuer = SoakIssuer()
        self.redis_id = 0
        self._options = options
        self.servers: dict[str, SoakServer] = {}

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Fleet"]:
        async with contextlib.AsyncExitStack() as stack:
            # Whatever happens while something starts, it is stopped.
            stack.callback(self._folder.cleanup)
            for node in (self.redis, self.replica):
                stack.push_async_callback(to_the_end, node.__exit__)
            await to_the_end(self.start_redis)
            await to_the_end(self.start_replica)
            await stack.enter_async_context(self.network)
            await to_the_end(self.issuer.start)
            stack.push_async_callback(to_the_end, self.issuer.stop)
            for number in range(self._options.servers):
                server = self._server("abcdefghijklmnopqrstuvwxyz"[number])
                stack.push_async_callback(to_the_end, server.stop)
                self.servers[server.name] = server
            await asyncio.gather(*(to_the_end(server.start) for server in self.servers.values()))
            workers = self._options.servers * self._options.workers
            await to_the_end(wait_for_workers, self.redis, workers, *self.servers.values())
            yield self

    def _server(self, name: str) -> SoakServer:
        return SoakServer(
            name,
            self.issuer.issuer,
            workers=self._options.workers,
            store=self.network.url,
            public_url=PUBLIC_URL,
            nonce_period=self._options.nonce_period,
        )

    @property
    def everywhere(self) -> frozenset[str]:
        return frozenset(self.servers)

    @property
    def restartable(self) -> list[SoakServer]:
        return [server for name, server in self.servers.items() if name != STEADY]

    def _node(self, options: Options, name: str) -> Node:
        folder = Path(self._folder.name) / name
        folder.mkdir()
        node = Node(options.redis, *_PERSISTENCE, *_REPLICATION, ("dir", str(folder)))
        node.folder = folder
        return node

    def start_redis(self) -> None:
        """Return when it answers: it loads its file first."""
        _start(self.redis)
        self.redis_id = self.redis.process_id

    async def lose_reply(self) -> None:
        lost = self.network.replies_lost
        self.network.lose_reply_to = b"SET"
        while self.network.replies_lost == lost:  # noqa: ASYNC110 - the proxy tells nobody
            await asyncio.sleep(0.01)
        self.network.heal()

    def start_replica(self) -> None:
        """Return when it has everything."""
        if not self.replica.is_running:
            _start(self.replica)
        self.replica.ask("REPLICAOF", HOST, self.redis.port)
        wait_until(lambda: self.replica.follows(self.redis), "the replica does not follow")

    def forget(self) -> None:
        """Of what the master has stored, while it is down, nothing is left."""
        shutil.rmtree(self.redis.folder / "appendonlydir")

    def leave_replica_behind(self) -> None:
        """From now on it learns nothing of what the master is told."""
        wait_until(lambda: self.replica.follows(self.redis), "the replica does not follow")
        cut(self.redis, [self.replica])

    def promote(self) -> None:
        """The replica with what it has; new connections lead to it. The old master does not know, if it is up."""
        self.replica.ask("REPLICAOF", "NO", "ONE")
        self.redis, self.replica = self.replica, self.redis
        self.network.lead_to(self.redis.port)
        self.redis_id = self.redis.process_id

    def demote(self) -> None:
        """The old master becomes a replica, of which nothing is left but what the new one has."""
        reconnect([node for node in (self.redis, self.replica) if node.is_running])
        self.start_replica()

    def what_redis_keeps(self) -> dict[str, int]:
        """How many keys, how many bytes, and for how long at most a proof is remembered from now on.

        Nothing, when a soak was interrupted while Redis was away.
        """
        with contextlib.suppress(RedisError), self.redis.client(socket_timeout=PATIENCE) as connection:
            return self._kept(connection)
        return {}

    @staticmethod
    def _kept(connection: Redis) -> dict[str, int]:
        lives = {key: connection.pttl(key) for key in connection.scan_iter(count=1000)}
        memory = connection.info("memory")["used_memory"]
        return {
            "keys": len(lives),
            "bytes": memory,
            "without_end": list(lives.values()).count(-1),
            "longest_proof_ms": max((life for key, life in lives.items() if ":jti:" in key), default=0),
        }

    def process_ids(self) -> dict[str, int]:
        """The workers and Redis, by name; while it is being restarted, a server has none."""
        found = {"Redis": self.redis_id}
        for name, server in self.servers.items():
            with contextlib.suppress(FileNotFoundError):
                for number, process in enumerate(server.worker_ids[-self._options.workers :], 1):
                    found[f"server {name}, worker {number}"] = process
        return found

    def kill_worker(self, server: SoakServer) -> None:
        """The oldest; the manager starts another."""
        self._wait_for_all(server)
        started = len(server.started)
        os.kill(server.worker_ids[0], signal.SIGKILL)
        wait_until(lambda: len(server.started) > started, f"server {server.name} has no new worker")

    def replace_workers(self, server: SoakServer) -> None:
        """uvicorn on SIGHUP: each worker ends when another stands in for it."""
        self._wait_for_all(server)
        replaced, given_up = server.worker_ids, -1

        def all_are_replaced() -> bool:
            nonlocal given_up
            # On a busy machine a new worker may not be ready in time: then uvicorn leaves it at that.
            if given_up < (found := server.log.count("aborting the restart")):
                given_up = found
                os.kill(server.manager_id, signal.SIGHUP)
            return not any(map(_exists, replaced))

        wait_until(all_are_replaced, f"server {server.name} keeps its workers", patience=3 * PATIENCE)

    def _wait_for_all(self, server: SoakServer) -> None:
        """The first worker serves before the last one has started."""
        wait_until(lambda: len(server.worker_ids) >= self._options.workers, f"server {server.name} lacks a worker")


def _start(node: Node) -> None:
    node.start()
    wait_until(lambda: node.ask("PING"), "Redis does not load its file")


def _exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
