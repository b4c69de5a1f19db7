"""`python -m tests.e2e.forking STATE LOOP REDIS_URL`: a process that forks, and what its children say, as JSON.

STATE is what it has done with the app before: `imported`, `used`, or `open` when its event loop is still there.
"""

import asyncio
import contextlib
import json
import multiprocessing
import sys
from collections.abc import Callable, Iterator
from typing import Any

import uvloop

from dpop_asgi import RedisStore
from dpop_asgi.testing import Client, Issuer
from tests.support.service import Caller, Service

CHILDREN = 4
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


class RecordingStore(RedisStore):
    """Remembers what it was asked to write."""

    def __init__(self, url: str) -> None:
        super().__init__(url, timeout=10.0)
        self.values: list[str] = []

    async def put_if_absent(self, key: str, value: str, *, ttl: float, under: str | None = None) -> str:
        if ":nonce:" in key or ":jti:" in key:
            self.values.append(value)
        return await super().put_if_absent(key, value, ttl=ttl, under=under)


class Child:
    """A forked process that answers as a worker."""

    def __init__(self, service: Service, store: RecordingStore, alice: Caller, new_loop: Any) -> None:
        self._service, self._store, self._alice, self._new_loop = service, store, alice, new_loop
        self._pipe, self._theirs = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("fork").Process(target=self._work, daemon=True)
        self._process.start()

    def begin(self, what: str, *arguments: Any) -> None:
        self._pipe.send((what, *arguments))

    def end(self) -> Any:
        return self._pipe.recv() if self._pipe.poll(30) else "no answer"

    def stop(self) -> int | None:
        self.begin("stop")
        self._process.join(30)
        return self._process.exitcode

    def _work(self) -> None:
        self._store.values.clear()
        with asyncio.Runner(loop_factory=self._new_loop) as runner:
            while True:
                what, *arguments = self._theirs.recv()
                if what == "stop":
                    return
                self._theirs.send(runner.run(getattr(self, what)(*arguments)))

    async def learn_nonce(self) -> str:
        return await self._service.learn_nonce(self._alice)

    async def ask(self, request: dict[str, Any]) -> int:
        return (await self._service.ask(request)).status

    async def ask_often(self, nonce: str) -> list[int]:
        answers = [self._service.ask(self._alice.request(nonce)) for _ in range(20)]
        return [answer.status for answer in await asyncio.gather(*answers)]

    async def values(self) -> list[str]:
        return self._store.values


@contextlib.contextmanager
def parent(state: str, new_loop: Any, ask: Callable[[], Any]) -> Iterator[list[int]]:
    """Before the fork, and after the children have ended; gives what the parent itself was answered."""
    statuses: list[int] = []
    if state == "used":
        for _ in range(2):
            with asyncio.Runner(loop_factory=new_loop) as runner:
                statuses.append(runner.run(ask()))
    if state != "open":
        yield statuses
        return
    with asyncio.Runner(loop_factory=new_loop) as runner:
        statuses.append(runner.run(ask()))
        yield statuses
        statuses.append(runner.run(ask()))


def main(state: str, loop: str, url: str) -> None:
    issuer = Issuer("https://id.example.com", audience="https://api.example.com")
    alice = Caller("alice", Client(), issuer)
    store = RecordingStore(url)
    service = Service(issuer, store, jwks=issuer.jwks)

    async def ask() -> int:
        return (await service.ask(alice.request(await service.learn_nonce(alice)))).status

    with parent(state, LOOPS[loop], ask) as statuses:
        children = [Child(service, store, alice, LOOPS[loop]) for _ in range(CHILDREN)]
        said = dict(_conversation(children, alice))
        said["exit codes"] = [child.stop() for child in children]
    json.dump({**said, "parent": statuses}, sys.stdout)


def _conversation(children: list[Child], alice: Caller) -> Iterator[tuple[str, list[Any]]]:
    nonces = _all(children, "learn_nonce")
    yield "nonces", nonces
    yield "fresh", _all(children, "ask_often", nonces[0])
    yield "replayed", [sorted(_all(children, "ask", alice.request(nonces[0]))) for _ in range(5)]
    yield "values", _all(children, "values")


def _all(children: list[Child], what: str, *arguments: Any) -> list[Any]:
    for child in children:
        child.begin(what, *arguments)
    return [child.end() for child in children]


if __name__ == "__main__":
    main(*sys.argv[1:])
