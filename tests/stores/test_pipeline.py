"""Pipelines, their deadline, and what it says: the server is unavailable, or we are too busy to hear it.

Where ticks are called by `_pass` the timer itself is never due: no machine is too slow for these tests.
"""

import asyncio
import socket
import time

import pytest
import uvloop

from dpop_asgi import StoreError, StoreUnavailable
from dpop_asgi.stores.redis import pipeline as module
from dpop_asgi.stores.redis.pipeline import Pipeline

COMMAND = ("SET", "key", "value", "NX", "GET", "PX", 1000)
LOOPS = [pytest.param(asyncio.new_event_loop, id="asyncio"), pytest.param(uvloop.new_event_loop, id="uvloop")]


class Server:
    """Answers pipelines when it is told to."""

    def __init__(self):
        self.pipelines = []
        self._asked = asyncio.Queue()

    async def exchange(self, commands):
        answer = asyncio.get_running_loop().create_future()
        self.pipelines.append(len(commands))
        self._asked.put_nowait((answer, len(commands)))
        return await answer

    async def answer(self, error=None):
        answer, count = await self._asked.get()
        answer.set_exception(error) if error else answer.set_result([None] * count)
        await _settle()


async def _settle():
    for _ in range(module._TURNS_TO_READ + 5):
        await asyncio.sleep(0)


@pytest.fixture
async def server():
    return Server()


@pytest.fixture
async def pipeline(server):
    return Pipeline("the store", server.exchange, where="here", timeout=1e6)


async def _pass(pipeline, ticks):
    for _ in range(ticks):
        pipeline._tick()
    await _settle()


async def _call(pipeline, count=1):
    calls = [asyncio.create_task(pipeline.call(COMMAND)) for _ in range(count)]
    await _settle()
    return calls


def _kinds(calls):
    return {type(call.exception()) for call in calls}


async def test_a_pipeline_that_stays_unanswered_fails_with_all_who_wait_for_the_same_server(pipeline, server):
    sent = await _call(pipeline)
    await _pass(pipeline, module._TICKS - 1)
    waiting = await _call(pipeline, 1000)
    await _pass(pipeline, 1)
    assert not any(call.done() for call in sent + waiting)
    await _pass(pipeline, 1)
    assert _kinds(sent + waiting) == {StoreUnavailable}
    assert server.pipelines == [1]


async def test_a_connection_that_is_rejected_fails_only_who_was_to_use_it(pipeline, server):
    first = await _call(pipeline)
    second = await _call(pipeline)
    await server.answer(ConnectionRefusedError("refused"))
    assert _kinds(first) == {StoreUnavailable}
    await server.answer()
    assert second[0].result() is None


async def test_who_waits_too_long_for_a_server_that_answers_is_told_that_we_are_busy(pipeline, server):
    """Z02: all are told it of whom the server knows nothing yet."""
    calls = await _call(pipeline, 3 * module._MAX_BATCH)
    first, second, third = (calls[n * module._MAX_BATCH : (n + 1) * module._MAX_BATCH] for n in range(3))
    for _ in range(2):
        await _pass(pipeline, module._TICKS)
        await server.answer()
    assert [_kinds(some) for some in (first, second, third)] == [{type(None)}, {type(None)}, {StoreError}]
    assert "more concurrent calls" in str(third[0].exception())


async def test_who_waits_for_a_quick_server_waits_for_as_long_as_we_are_busy(pipeline, server):
    """Z03: to hear an answer that is there takes a few turns of the loop, each of which may last for long."""
    calls = await _call(pipeline, module._MAX_WAITING + 3)
    refused, waiting = calls[module._MAX_WAITING :], calls[: module._MAX_WAITING]
    assert ["are waiting already" in str(call.exception()) for call in refused] == [True] * 3
    assert _kinds(refused) == {StoreError}, "Z02: whoever fills our queue opens no door"
    while server.pipelines[-1] == module._MAX_BATCH:
        await _pass(pipeline, module._TURNS_TO_READ)
        await server.answer()
    await server.answer()
    assert _kinds(waiting) == {type(None)}
    assert server.pipelines == [256] * 39 + [10_000 % 256]


async def test_a_deadline_begins_when_the_pipeline_does(pipeline, server):
    first = await _call(pipeline)
    await _pass(pipeline, module._TICKS - 1)
    second = await _call(pipeline)
    await server.answer()
    await _pass(pipeline, module._TICKS)
    assert not second[0].done()
    await server.answer()
    assert [call.result() for call in first + second] == [None, None]


async def test_a_pipeline_that_is_closed_takes_no_more_calls(pipeline, server):
    calls = await _call(pipeline, 2 * module._MAX_BATCH)
    closing = asyncio.create_task(pipeline.aclose())
    await server.answer()
    assert not closing.done()
    await server.answer()
    await closing
    assert _kinds(calls) == {type(None)}
    with pytest.raises(StoreError, match="was closed") as refused:
        await pipeline.call(COMMAND)
    assert type(refused.value) is StoreError


async def test_whoever_cannot_wait_for_a_pipeline_to_close_leaves_nobody_waiting(pipeline):
    calls = await _call(pipeline, 2 * module._MAX_BATCH)
    closing = asyncio.create_task(pipeline.aclose())
    await _settle()
    closing.cancel()
    await asyncio.wait([closing, *calls])
    assert _kinds(calls) == {StoreError}


class Peer:
    """A server at the other end of a socket, which answers within a turn of the event loop."""

    def __init__(self):
        self._ours, self._theirs = socket.socketpair()

    async def exchange(self, commands):
        self._ours.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=self._ours)
        try:
            await reader.readexactly(len(commands))
        finally:
            writer.close()
        return [None] * len(commands)

    def answer(self):
        self._theirs.send(b"!")

    def close(self):
        self._theirs.close()


@pytest.fixture
def peer():
    peer = Peer()
    yield peer
    peer.close()


def _run(new_loop, main):
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(main())


@pytest.mark.parametrize("new_loop", LOOPS)
@pytest.mark.parametrize("stall", [0.5, 2.0, 10.0], ids=lambda times: f"{times}-timeouts")
def test_a_reply_that_is_there_is_read_however_long_the_loop_stood_still(peer, new_loop, stall):
    """Z03"""

    async def main():
        pipeline = Pipeline("the store", peer.exchange, where="here", timeout=0.1)
        call = asyncio.create_task(pipeline.call(COMMAND))
        await asyncio.sleep(0.01)
        peer.answer()
        time.sleep(stall * 0.1)  # noqa: ASYNC251 - the loop is to stand still
        assert await call is None
        await pipeline.aclose()

    _run(new_loop, main)


@pytest.mark.parametrize("new_loop", LOOPS)
def test_a_reply_that_comes_in_the_last_moment_is_read(peer, new_loop, monkeypatch):
    """Z03: the last tick finds it in the socket's buffer, where it may be for seconds when the loop is busy."""
    give_up = Pipeline._give_up

    def answered(pipeline, sending, turns):
        if turns == module._TURNS_TO_READ:
            peer.answer()
        give_up(pipeline, sending, turns)

    async def main():
        pipeline = Pipeline("the store", peer.exchange, where="here", timeout=0.1)
        assert await pipeline.call(COMMAND) is None
        await pipeline.aclose()

    monkeypatch.setattr(Pipeline, "_give_up", answered)
    _run(new_loop, main)


async def _be_busy(seconds):
    while True:
        time.sleep(seconds)  # noqa: ASYNC251 - the loop is to be busy
        await asyncio.sleep(0)


@pytest.mark.parametrize("new_loop", LOOPS)
@pytest.mark.parametrize("answers", [True, False], ids=["in the eighteenth turn", "never"])
def test_a_loop_that_is_always_busy_waits_for_as_many_looks_as_one_at_rest(peer, new_loop, answers):
    """Z03: each turn takes ten ticks."""

    async def main():
        pipeline = Pipeline("the store", peer.exchange, where="here", timeout=0.02)
        busy = asyncio.create_task(_be_busy(0.01))
        call = asyncio.create_task(pipeline.call(COMMAND))
        while pipeline._ticks < module._TICKS - 2:  # noqa: ASYNC110 - ticks tell nobody
            await asyncio.sleep(0)
        if answers:
            peer.answer()
            assert await call is None
        else:
            with pytest.raises(StoreUnavailable, match="did not respond"):
                await call
        busy.cancel()
        await pipeline.aclose()

    _run(new_loop, main)
