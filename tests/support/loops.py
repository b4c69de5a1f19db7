"""Every way in which people run an event loop, what a service is asked in one, and what may not be left behind."""

import asyncio
import contextlib
import gc
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest import TestCase, mock

import pytest
import uvloop

from tests.support.api import Answer
from tests.support.processes import RedisServer, wait_until
from tests.support.service import Caller, Service


def run_in(new_loop: Any) -> Any:
    """As `asyncio.run` does, in a loop of this kind."""

    def run(main: Any) -> Any:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            return runner.run(main)

    return run


def run_in_a_thread(main: Any) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, main).result()


def run_by_hand(main: Any) -> Any:
    """As programs did before `asyncio.run`."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(main)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


WAYS = [
    pytest.param(asyncio.run, id="asyncio.run"),
    pytest.param(uvloop.run, id="uvloop.run"),
    pytest.param(run_in(None), id="asyncio.Runner"),
    pytest.param(run_in(uvloop.new_event_loop), id="asyncio.Runner with uvloop"),
    pytest.param(run_in_a_thread, id="asyncio.run in a thread"),
    pytest.param(run_by_hand, id="new_event_loop"),
]


def nobody_is_connected(redis: RedisServer) -> None:
    """Wait for it: a server sees the end of a connection a little later."""
    with redis.client() as connection:
        wait_until(lambda: len(connection.client_list()) == 1, "a connection was left open")


async def statuses_of(service: Service, requests: list[dict[str, Any]]) -> list[int]:
    """Of the answers when all are sent at once."""
    return [answer.status for answer in await asyncio.gather(*map(service.ask, requests))]


async def ask(service: Service, alice: Caller) -> int:
    """A challenge, and the status of the answer to what follows it."""
    return (await service.ask(alice.request(await service.learn_nonce(alice)))).status


async def begin_many(service: Service, alice: Caller, *, turns: int) -> list[asyncio.Task[Answer]]:
    """Fifty requests, for so many turns of the loop."""
    nonce = await service.learn_nonce(alice)
    service.restart()
    tasks = [asyncio.create_task(service.ask(alice.request(nonce))) for _ in range(50)]
    for _ in range(turns):
        await asyncio.sleep(0)
    return tasks


@contextlib.contextmanager
def no_complaints() -> Iterator[None]:
    """Fails when anything in the block, or what it leaves behind, makes Python or asyncio complain."""
    said: list[str] = []
    with (
        TestCase().assertNoLogs("asyncio", "WARNING"),
        mock.patch.object(sys, "unraisablehook", lambda what: said.append(f"{what.err_msg}: {what.exc_value!r}")),
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always")
        yield
        gc.collect()
        gc.collect()
    said += [str(warning.message) for warning in caught]
    assert not said, said
