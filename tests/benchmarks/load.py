"""A lean HTTP client that asks as fast as answers come, or at a given rate, with requests that are ready to send.

It runs in a process of its own, and must be faster than what it loads: requests are bytes, answers are hardly read.
"""

import asyncio
import random
import selectors
import time
from collections import deque
from collections.abc import Callable, Iterator

import uvloop

from tests.benchmarks.tally import Count, Load

_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = b"content-length: "
_PATIENCE = 20.0


class _Connection(asyncio.Protocol):
    """One kept-alive connection with one request under way."""

    def __init__(self, answered: "Callable[[_Connection, bytes], None]", finished: "asyncio.Future[None]") -> None:
        self._answered = answered
        self._finished = finished
        self._received = b""
        self.asked_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def connection_lost(self, _: Exception | None) -> None:
        if not self._finished.done():
            self._finished.set_exception(ConnectionError(f"the server closed a connection after {self._received!r}"))

    def ask(self, request: bytes, at: float) -> None:
        self.asked_at = at
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head = self._received.find(_END_OF_HEAD)
        if head < 0:
            return
        start = self._received.find(_LENGTH) + len(_LENGTH)
        length = int(self._received[start : self._received.find(b"\r", start)])
        if len(self._received) >= head + len(_END_OF_HEAD) + length:
            answer, self._received = self._received, b""
            self._answered(self, answer)


class _Asking:
    """Opens the connections and waits for the last answer."""

    def __init__(self, count: Count) -> None:
        self._count = count
        self._finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self, port: int, connections: int, patience: float) -> None:
        opened = [await self._connect(port) for _ in range(connections)]
        async with asyncio.timeout(patience):
            await self._ask(opened)
            await self._finished
        for connection in opened:
            connection.transport.close()

    async def _connect(self, port: int) -> _Connection:
        loop = asyncio.get_running_loop()
        made = await loop.create_connection(lambda: _Connection(self._answered, self._finished), "127.0.0.1", port)
        return made[1]

    async def _ask(self, opened: list[_Connection]) -> None:
        raise NotImplementedError

    def _answered(self, connection: _Connection, answer: bytes) -> None:
        raise NotImplementedError


class _AsFastAsItAnswers(_Asking):
    """Each connection asks again as soon as it has its answer (closed loop); ends early when requests run out."""

    def __init__(self, count: Count, requests: Iterator[bytes], warm_up: float, seconds: float) -> None:
        super().__init__(count)
        self._requests = requests
        self._warm_up = warm_up
        self._seconds = seconds
        self._busy = 0

    async def _ask(self, opened: list[_Connection]) -> None:
        self._busy = len(opened)
        for connection in opened:
            connection.ask(next(self._requests), time.perf_counter())
        loop = asyncio.get_running_loop()
        loop.call_later(self._warm_up, self._count.begin)
        loop.call_later(self._warm_up + self._seconds, self._count.end)

    def _answered(self, connection: _Connection, answer: bytes) -> None:
        now = time.perf_counter()
        self._count.add(answer, now - connection.asked_at)
        request = None if self._count.ended else next(self._requests, None)
        if request is not None:
            connection.ask(request, now)
            return
        self._count.end()
        self._busy -= 1
        if not self._busy:
            self._finished.set_result(None)


class _AtARate(_Asking):
    """Requests are due at random instants, as those of independent clients are (open loop).

    Latency counts from when a request was due, also when no connection was free.
    """

    def __init__(self, count: Count, requests: list[bytes], rate: float) -> None:
        super().__init__(count)
        self._requests = requests
        self._rate = rate
        self._left = len(requests)
        self._waiting: deque[tuple[bytes, float]] = deque()
        self._free: list[_Connection] = []

    async def _ask(self, opened: list[_Connection]) -> None:
        self._free = list(opened)
        chance, due = random.Random(1), time.perf_counter()
        for number, request in enumerate(self._requests):
            if number == len(self._requests) // 10:
                self._count.begin()
            due += chance.expovariate(self._rate)
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            if self._free:
                self._free.pop().ask(request, due)
            else:
                self._waiting.append((request, due))

    def _answered(self, connection: _Connection, answer: bytes) -> None:
        self._count.add(answer, time.perf_counter() - connection.asked_at)
        if self._waiting:
            connection.ask(*self._waiting.popleft())
        else:
            self._free.append(connection)
        self._left -= 1
        if not self._left:
            self._count.end()
            self._finished.set_result(None)


def as_fast_as_it_answers(
    port: int, requests: Iterator[bytes], *, pid: int, connections: int, seconds: float, warm_up: float = 0.2
) -> Load:
    """Load a server of process `pid` to saturation."""

    async def main() -> Load:
        count = Count(pid)
        asking = _AsFastAsItAnswers(count, requests, warm_up, seconds)
        await asking.run(port, connections, _PATIENCE + warm_up + seconds)
        return count.load()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())


def at_a_rate(port: int, requests: list[bytes], *, pid: int, rate: float, connections: int = 128) -> Load:
    """Load a server of process `pid` with so many requests per second."""

    async def main() -> Load:
        count = Count(pid)
        await _AtARate(count, requests, rate).run(port, connections, _PATIENCE + len(requests) / rate)
        return count.load()

    # Other selectors, and uvloop, round waiting up to milliseconds.
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        return runner.run(main())
