"""Everything that runs: Redis, the network to it, an issuer, servers. Failovers are what `tests.fence` has."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

from dpop_asgi.testing import Issuer
from tests.soak.options import Options
from tests.support.fault_proxy import FaultProxy
from tests.support.load import wait_for_workers
from tests.support.nodes import Node
from tests.support.processes import ResourceServer, wait_until
from tests.support.serving import IssuerServer

PUBLIC_URL = "https://api.example.com"
STEADY = "a"

# Every write is in the file before it is answered. Rewritten when it is small, so that a soak sees that too.
_PERSISTENCE = [("appendonly", "yes"), ("appendfsync", "always"), ("auto-aof-rewrite-min-size", "1mb")]

# Killing Redis does not take away what is in a file in memory, and other programs' disk traffic does not slow it down.
_IN_MEMORY = Path("/dev/shm")

# What no server may ever write, whatever is broken.
_COMPLAINTS = re.compile(r"Traceback|was never (?:retrieved|awaited)|Task was destroyed|[Uu]nclosed")
_WORKER = re.compile(r"Started server process \[(\d+)\]")

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


def _complaints(log: str) -> list[str]:
    lines = log.splitlines()
    found = [number for number, line in enumerate(lines) if _COMPLAINTS.search(line)]
    return ["\n".join(lines[max(0, number - 1) : number + 40]) for number in found[:3]]


class Fleet:
    """All of it, running; `network` leads to `redis`."""

    def __init__(self, options: Options) -> None:
        self._folder = tempfile.TemporaryDirectory(dir=_IN_MEMORY if _IN_MEMORY.is_dir() else None, prefix="soak-")
        self.redis = Node(options.redis, *_PERSISTENCE, ("dir", self._folder.name))
        self.redis.folder = Path(self._folder.name)
        self.network = FaultProxy(self.redis.port)
        self.issuer = IssuerServer()
        self.redis_id = 0
        self._options = options
        self.servers: dict[str, SoakServer] = {}

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Fleet"]:
        async with contextlib.AsyncExitStack() as stack:
            # Whatever happens while something starts, it is stopped.
            stack.callback(self._folder.cleanup)
            stack.push_async_callback(to_the_end, self.redis.__exit__)
            await to_the_end(self.start_redis)
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

    def start_redis(self) -> None:
        """Return when it answers: it loads its file first."""
        self.redis.start()
        wait_until(lambda: self.redis.ask("PING"), "Redis does not load its file")
        self.redis_id = self.redis.process_id

    async def lose_reply(self) -> None:
        lost = self.network.replies_lost
        self.network.lose_reply_to = b"SET"
        while self.network.replies_lost == lost:  # noqa: ASYNC110 - the proxy tells nobody
            await asyncio.sleep(0.01)
        self.network.heal()

    def forget(self) -> None:
        """Of what Redis has stored, while it is down, nothing is left."""
        shutil.rmtree(self.redis.folder / "appendonlydir")

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
        # The first worker serves before the last one has started.
        wait_until(lambda: len(server.worker_ids) >= self._options.workers, f"server {server.name} lacks a worker")
        started = len(server.started)
        os.kill(server.worker_ids[0], signal.SIGKILL)
        wait_until(lambda: len(server.started) > started, f"server {server.name} has no new worker")


def _exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
