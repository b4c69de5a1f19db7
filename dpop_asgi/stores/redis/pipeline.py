"""Sends the calls of one event loop to one server, in pipelines and within a deadline."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from dpop_asgi.circuit_breaker import CircuitBreaker
from dpop_asgi.errors import StoreError, StoreUnavailable
from dpop_asgi.stores.redis.connection import Command, is_redirection
from dpop_asgi.stores.redis.errors import OUTAGE, failure

# A pipeline of this length takes about a millisecond; longer ones would delay the calls behind them.
_MAX_BATCH = 256

# Calls that wait for a pipeline. At 500 bytes each this is 5 MB; more than that could not complete within the deadline.
_MAX_WAITING = 10_000

# The timeout in ticks of a timer. However busy the event loop is, it polls sockets between two ticks, so it has polled
# at least this often before a reply counts as missing. Connecting and logging in takes eleven polls, with Sentinels
# eighteen.
_TICKS = 30

# Event loop iterations until the bytes in a socket's buffer have become a reply: one reads them, one wakes the
# pipeline, and one is for loops that run timers first.
_TURNS_TO_READ = 3

Exchange = Callable[[list[Command]], Awaitable[list[Any]]]


@dataclass(slots=True)
class _Call:
    command: Command
    reply: asyncio.Future[Any]
    since: int


class Pipeline:
    """Batches concurrent calls into pipelines. Calls that arrive while one is in flight go out with the next.

    Timeouts are counted in ticks of a timer. A blocked event loop delays the ticks too, so calls fail because the
    server is slow, never because this process is.

    Args:
        name: the server's name for messages.
        where: its address, and the user, for messages.
        exchange: sends commands as one pipeline and returns their replies.
        timeout: seconds that a pipeline may take, connecting included, and that a call may wait while a slow server is
            busy with the pipelines before it.
    """

    def __init__(self, name: str, exchange: Exchange, *, where: str, timeout: float) -> None:
        self._name = f"{name} ({where})"
        self._where = where
        self._exchange = exchange
        self._timeout = timeout
        self._breaker = CircuitBreaker(self._name, timeout=timeout, outage=OUTAGE)
        self._waiting: deque[_Call] = deque()
        self._sending: asyncio.Task[None] | None = None
        self._is_overdue = False
        self._began = 0
        self._ticks = 0
        self._slow_ticks = 0
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._loop = asyncio.get_running_loop()

    @property
    def is_failing(self) -> bool:
        """Whether calls fail without being tried."""
        return self._breaker.is_open

    async def call(self, command: Command) -> Any:  # noqa: ANN401 - whatever the command returns
        """The reply to `command`.

        Raises:
            StoreUnavailable: If the server didn't respond in time, or its connection was refused or broken.
            StoreError: If there is no reply for another reason, such as too many concurrent calls.
            ResponseError: If the server returned an error for this command.
        """
        self._breaker.admit()
        if self._is_closed or len(self._waiting) >= _MAX_WAITING:
            msg = "was closed" if self._is_closed else f"{_MAX_WAITING} calls are waiting already"
            raise StoreError(f"{self._name}: {msg}")
        call = _Call(command, self._loop.create_future(), self._slow_ticks)
        self._waiting.append(call)
        if self._sending is None or self._sending.done():
            self._next_batch()
        # Errors come as results: the future's exception would be logged as never retrieved if the caller is cancelled.
        reply = await call.reply
        if isinstance(reply, Exception):
            raise reply
        return reply

    def _next_batch(self) -> None:
        self._sending = self._loop.create_task(self._send_batch()) if self._waiting else None
        self._is_overdue = False
        self._began = self._ticks
        if self._timer is None:
            self._timer = self._loop.call_later(self._timeout / _TICKS, self._tick)

    async def _send_batch(self) -> None:
        """Send one pipeline. A task of its own, so that cancelled requests don't cancel it."""
        batch: list[_Call] = []
        while self._waiting and len(batch) < _MAX_BATCH:
            call = self._waiting.popleft()
            if not call.reply.done():
                batch.append(call)
        replies = await self._replies(batch) if batch else []
        for call, reply in zip(batch, replies, strict=True):
            _resolve(call, reply)
        self._next_batch()
        # Last: whatever fails there, nobody waits for it.
        if batch:
            self._report(replies)

    async def _replies(self, batch: list[_Call]) -> list[Any]:
        try:
            return await self._exchange([call.command for call in batch])
        except asyncio.CancelledError:
            if not self._is_overdue:
                self._fail(batch)
                raise
            error: StoreError = StoreUnavailable(f"{self._name} did not respond within {self._timeout:g} s")
            # The waiting calls fail too: if each pipeline took the full timeout, the last calls would wait far longer.
            self._fail(self._waiting, error)
            self._waiting.clear()
        except Exception as cause:  # noqa: BLE001 - whatever happened, these calls have no reply
            error = failure(cause, self._where)
        return [_copy(error) for _ in batch]

    def _report(self, replies: list[Any]) -> None:
        failed = [reply for reply in replies if isinstance(reply, Exception) and not is_redirection(reply)]
        if not failed:
            self._breaker.succeeded()
        else:
            self._breaker.failed(failed[0] if isinstance(failed[0], StoreError) else failure(failed[0], self._where))

    def _tick(self) -> None:
        """Runs on one timer for all calls: a timer for each would cost more than its share of the pipeline."""
        self._ticks += 1
        self._timer = None
        sending = self._sending
        if sending is None or sending.done():
            return
        age = self._ticks - self._began
        if age > _TICKS:
            self._give_up(sending, _TURNS_TO_READ)
        elif age > _TURNS_TO_READ:
            # Any sooner, a busy loop may not have read a reply that arrived at once.
            self._slow_ticks += 1
            self._fail_overdue()
        self._timer = self._loop.call_later(self._timeout / _TICKS, self._tick)

    def _give_up(self, sending: asyncio.Task[None], turns: int) -> None:
        """Cancel the pipeline, unless its reply has arrived and is read within the next turns."""
        if turns:
            self._loop.call_soon(self._give_up, sending, turns - 1)
        elif sending is self._sending and not self._is_overdue:
            self._is_overdue = True
            sending.cancel()

    def _fail_overdue(self) -> None:
        """Fail calls that waited too long. The server is overloaded, but responds: the circuit breaker stays closed."""
        while self._waiting and self._slow_ticks - self._waiting[0].since > _TICKS:
            overload = f"{self._name}: more concurrent calls than it can handle within {self._timeout:g} s"
            _resolve(self._waiting.popleft(), StoreError(overload))

    def _fail(self, calls: Iterable[_Call], error: StoreError | None = None) -> None:
        for call in calls:
            _resolve(call, _copy(error or StoreError(f"{self._name}: was closed")))

    async def aclose(self) -> None:
        """Close, once the calls in flight have completed, or have failed by their deadline.

        They may be another app's, in the same process.
        """
        try:
            while self._sending is not None and not self._sending.done():
                await asyncio.wait([self._sending])
        finally:
            self._is_closed = True
            if self._timer is not None:
                self._timer.cancel()
            if self._sending is not None:
                self._sending.cancel()
            self._fail(self._waiting)
            self._waiting.clear()


def _resolve(call: _Call, reply: object) -> None:
    if not call.reply.done():
        call.reply.set_result(reply)


def _copy(error: StoreError) -> StoreError:
    """A copy for each caller, because raising an exception extends its traceback."""
    return type(error)(*error.args)
