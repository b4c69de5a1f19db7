"""The calls of one event loop to one server, in pipelines and within a deadline."""

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from dpop_asgi.errors import StoreError
from dpop_asgi.stores.breaker import CircuitBreaker
from dpop_asgi.stores.wire import Command, explain, is_redirection

# A pipeline of so many commands is answered in about a millisecond; longer ones would delay the calls behind them.
_MAX_BATCH = 256

# Calls that wait for a pipeline. At 500 bytes each this is 5 MB; more than that cannot be answered within the deadline.
_MAX_WAITING = 10_000

# A timer that is so late tells that the event loop stood still: what came in meanwhile is read before anything fails.
_STALL_SECONDS = 0.02

Exchange = Callable[[list[Command]], Awaitable[list[Any]]]


@dataclass(slots=True)
class _Call:
    command: Command
    reply: asyncio.Future[Any]
    due: float


class Lane:
    """What waits at the same time goes out as one pipeline: what queues up while one is under way goes with the next.

    Args:
        name: of the server, for messages.
        exchange: sends commands as one pipeline and gives their replies.
        timeout: seconds until a call fails, connecting included.
    """

    def __init__(self, name: str, exchange: Exchange, *, timeout: float) -> None:
        self._name = name
        self._exchange = exchange
        self._timeout = timeout
        self._breaker = CircuitBreaker(name, timeout=timeout)
        self._waiting: deque[_Call] = deque()
        self._unanswered: deque[_Call] = deque()
        self._pipeline: asyncio.Task[None] | None = None
        self._pipeline_due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    async def call(self, command: Command) -> Any:  # noqa: ANN401 - whatever the command answers
        """The reply.

        Raises:
            StoreError: none came in time, or the server is away.
            ResponseError: the server refused this command.
        """
        self._breaker.admit()
        if len(self._waiting) >= _MAX_WAITING:
            msg = f"{self._name}: {_MAX_WAITING} calls are waiting already"
            raise StoreError(msg)
        call = _Call(command, self._loop.create_future(), self._loop.time() + self._timeout)
        self._waiting.append(call)
        self._unanswered.append(call)
        if self._pipeline is None or self._pipeline.done():
            self._next_pipeline()
        if self._timer is None:
            self._timer = self._loop.call_at(call.due, self._enforce, call.due)
        # An answer and not the future's exception: a caller that is cancelled just now would leave that unread.
        reply = await call.reply
        if isinstance(reply, Exception):
            raise reply
        return reply

    def _next_pipeline(self) -> None:
        self._pipeline = self._loop.create_task(self._carry()) if self._waiting else None

    async def _carry(self) -> None:
        """One pipeline. Runs on its own: no request's cancellation reaches it."""
        batch: list[_Call] = []
        while self._waiting and len(batch) < _MAX_BATCH:
            call = self._waiting.popleft()
            if not call.reply.done():
                batch.append(call)
        if batch:
            self._pipeline_due = self._loop.time() + self._timeout
            replies = await self._replies([call.command for call in batch])
            self._report(replies)
            for call, reply in zip(batch, replies, strict=True):
                _answer(call, reply)
        self._forget_answered()
        self._next_pipeline()

    async def _replies(self, commands: list[Command]) -> list[Any]:
        try:
            return await self._exchange(commands)
        except asyncio.CancelledError:
            if self._loop.time() < self._pipeline_due:
                self._fail_all()
                raise
            why = self._too_late
        except Exception as error:  # noqa: BLE001 - whatever happened, these calls have no answer
            why = explain(error)
        return [StoreError(why) for _ in commands]

    def _report(self, replies: list[Any]) -> None:
        failed = [reply for reply in replies if isinstance(reply, Exception) and not is_redirection(reply)]
        if not failed:
            self._breaker.succeeded()
        else:
            self._breaker.failed(str(failed[0]) if isinstance(failed[0], StoreError) else explain(failed[0]))

    @property
    def _too_late(self) -> str:
        return f"{self._name} did not answer within {self._timeout:g} s"

    def _enforce(self, due: float, *, after_stall: bool = False) -> None:
        """Fail what is overdue. One timer for all: one for each call would cost more than its share of the pipeline."""
        now = self._loop.time()
        if now - due > _STALL_SECONDS and not after_stall:
            again = partial(self._enforce, now, after_stall=True)
            self._timer = self._loop.call_later(_STALL_SECONDS, again)
            return
        for call in self._unanswered:
            if call.due > now:
                break
            _answer(call, StoreError(self._too_late))
        self._forget_answered()
        if self._pipeline is not None and self._pipeline_due <= now:
            self._pipeline.cancel()
        self._set_timer(now)

    def _set_timer(self, now: float) -> None:
        dues = [call.due for call in self._unanswered][:1]
        if self._pipeline is not None:
            dues.append(max(self._pipeline_due, now + _STALL_SECONDS))
        due = min(dues, default=None)
        self._timer = None if due is None else self._loop.call_at(due, self._enforce, due)

    def _forget_answered(self) -> None:
        while self._unanswered and self._unanswered[0].reply.done():
            self._unanswered.popleft()

    def _fail_all(self) -> None:
        for call in self._unanswered:
            _answer(call, StoreError(f"{self._name} was closed"))
        self._waiting.clear()
        self._unanswered.clear()
        self._pipeline = None

    async def aclose(self) -> None:
        """Fail what is under way."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        pipeline = self._pipeline
        self._fail_all()
        if pipeline is not None:
            # Not overdue, whatever the clock says.
            self._pipeline_due = math.inf
            pipeline.cancel()
            await asyncio.gather(pipeline, return_exceptions=True)


def _answer(call: _Call, reply: object) -> None:
    if not call.reply.done():
        call.reply.set_result(reply)
