"""A store for many workers and hosts: Redis 7.0 or newer, or Valkey.

`put_if_absent` is `SET key value NX GET PX ttl`: one command on one key, atomic, without a script. An ACL user needs
`SET` and `PING`. Calls that wait at the same time go out as one pipeline: what queues up while a round trip is under
way goes with the next, so batching adds no delay.
"""

import asyncio
import math
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from redis import Redis as SyncRedis
from redis.asyncio import Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    NoPermissionError,
    ResponseError,
)

from dpop_asgi.errors import StoreError
from dpop_asgi.stores.breaker import CircuitBreaker

# A pipeline of so many commands is answered in about a millisecond; longer ones would delay the calls behind them.
_MAX_BATCH = 256

# Calls that wait for a pipeline. At 200 bytes each this is 2 MB; more than that cannot be answered within the deadline.
_MAX_WAITING = 10_000


@dataclass(slots=True)
class _Call:
    command: tuple[str, str, str, str, str, int]
    reply: asyncio.Future[Any]


@dataclass(slots=True)
class _Lane:
    """The calls of one event loop: connections cannot be shared between loops."""

    client: Any
    waiting: deque[_Call] = field(default_factory=deque)
    sender: asyncio.Task[None] | None = None


class RedisStore:
    """Agrees by Redis.

    Args:
        redis: `redis://`, `rediss://` or `unix://` URL, or an async client that you made. From a URL a client is made
            when it is first needed, in the running event loop, and closed by `aclose`; yours is never closed.
        timeout: seconds until a call fails with `StoreError`, connecting included.

    Raises:
        ValueError: naming the option that is wrong.
    """

    SCHEMES = ("redis", "rediss", "unix")

    def __init__(self, redis: str | Redis, *, timeout: float = 0.25) -> None:
        if not 0 < timeout < math.inf:
            msg = f"timeout: {timeout!r} is not a number of seconds above 0"
            raise ValueError(msg)
        if isinstance(redis, str):
            _check_url(redis)
        else:
            _check_client(redis)
        self._redis = redis
        self._timeout = timeout
        self._lanes: dict[asyncio.AbstractEventLoop, _Lane] = {}
        self._breaker = CircuitBreaker("the Redis store")

    async def put_if_absent(self, key: str, value: str, *, ttl: float) -> str:
        """See `dpop_asgi.core.ports.Store`."""
        self._breaker.admit()
        lane = self._lane()
        if len(lane.waiting) >= _MAX_WAITING:
            msg = f"the Redis store: {_MAX_WAITING} calls are waiting already"
            raise StoreError(msg)
        loop = asyncio.get_running_loop()
        call = _Call(("SET", key, value, "NX", "GET", "PX", math.ceil(ttl * 1000)), loop.create_future())  # type: ignore[arg-type]
        lane.waiting.append(call)
        if lane.sender is None or lane.sender.done():
            lane.sender = loop.create_task(self._send_waiting(lane))
        try:
            async with asyncio.timeout(self._timeout):
                standing = await call.reply
        except TimeoutError:
            msg = f"the Redis store did not answer within {self._timeout:g} s"
            raise StoreError(msg) from None
        if standing is None:
            return value
        return standing.decode("utf-8", "replace") if isinstance(standing, bytes) else str(standing)

    def _lane(self) -> _Lane:
        loop = asyncio.get_running_loop()
        lane = self._lanes.get(loop)
        if lane is None:
            self._lanes = {other: kept for other, kept in self._lanes.items() if not other.is_closed()}
            lane = self._lanes[loop] = _Lane(self._client())
        return lane

    def _client(self) -> Any:  # noqa: ANN401 - a cluster client will be no subclass of Redis
        if not isinstance(self._redis, str):
            return self._redis
        return Redis.from_url(
            self._redis,
            socket_timeout=self._timeout,
            socket_connect_timeout=self._timeout,
            # A second try is safe, since the value tells our own write from another's. One: the deadline is short,
            # and a connection that died while idle shows itself only when it is used.
            retry=Retry(NoBackoff(), 1),
            protocol=2,
        )

    async def _send_waiting(self, lane: _Lane) -> None:
        """Send what waits, pipeline after pipeline. Runs on its own: no request's cancellation reaches it."""
        while lane.waiting:
            batch: list[_Call] = []
            while lane.waiting and len(batch) < _MAX_BATCH:
                call = lane.waiting.popleft()
                if not call.reply.done():
                    batch.append(call)
            if batch:
                await self._send(lane.client, batch)

    async def _send(self, client: Any, batch: list[_Call]) -> None:  # noqa: ANN401 - see _client
        pipeline = client.pipeline(transaction=False)
        for call in batch:
            # `get` is for redis-py: it makes it hand out the reply as it is.
            pipeline.execute_command(*call.command, get=True)
        try:
            async with asyncio.timeout(self._timeout):
                replies = await pipeline.execute(raise_on_error=False)
        except asyncio.CancelledError:
            for call in batch:
                _settle(call.reply, StoreError("the Redis store was closed"))
            raise
        except Exception as error:  # noqa: BLE001 - whatever happened, these calls have no answer
            replies = [error] * len(batch)
        failures = [reply for reply in replies if isinstance(reply, Exception)]
        if failures:
            self._breaker.failed(_explain(failures[0]))
        else:
            self._breaker.succeeded()
        for call, reply in zip(batch, replies, strict=True):
            _settle(call.reply, reply)

    async def aclose(self) -> None:
        """Close the connections of the running event loop that were opened from a URL."""
        lane = self._lanes.pop(asyncio.get_running_loop(), None)
        if lane is None:
            return
        if lane.sender is not None:
            lane.sender.cancel()
            await asyncio.gather(lane.sender, return_exceptions=True)
        for call in lane.waiting:
            _settle(call.reply, StoreError("the Redis store was closed"))
        if isinstance(self._redis, str):
            await lane.client.aclose()


def _check_url(url: str) -> None:
    try:
        parse_url(url)
    except ValueError:
        schemes = ", ".join(f"{scheme}://" for scheme in RedisStore.SCHEMES)
        # Without the URL and the cause: they may hold a password.
        msg = f"redis: not a well-formed URL that starts with one of {schemes}"
        raise ValueError(msg) from None


def _check_client(client: object) -> None:
    if isinstance(client, SyncRedis) or not hasattr(client, "pipeline"):
        msg = "redis: give a URL, or a client of redis.asyncio"
        raise ValueError(msg)


def _settle(future: asyncio.Future[Any], reply: object) -> None:
    if future.done():
        return
    if isinstance(reply, Exception):
        future.set_exception(reply if isinstance(reply, StoreError) else StoreError(_explain(reply)))
    else:
        future.set_result(reply)


def _explain(error: Exception) -> str:
    """What an operator can do about it. redis-py reports a wrong password as a kind of connection error."""
    said = str(error) or type(error).__name__
    if isinstance(error, (AuthenticationError, AuthorizationError)):
        return f"the Redis store refuses the user name or password: {said}"
    if isinstance(error, NoPermissionError):
        return f"the Redis store's ACL must allow this user SET and PING on our keys: {said}"
    if isinstance(error, ResponseError) and "syntax" in said.lower():
        return (
            "the Redis store is older than 7.0: it does not know SET with NX and GET. Use Redis 7.0, Valkey, or newer"
        )
    if isinstance(error, TimeoutError):
        return f"the Redis store did not answer in time: {said}"
    return f"the Redis store failed: {type(error).__name__}: {said}"
