"""A store for many workers and hosts: Redis 7.0 or newer, or Valkey; a single server, behind Sentinel, or a cluster.

`put_if_absent` is `SET key value NX GET PX ttl`: one atomic command on one key, without a script, so it works the same
everywhere. Concurrent calls go out as one pipeline: those that arrive during a round trip go out with the next, so
batching adds no delay.
"""

import asyncio
import math
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from redis.asyncio import Redis, RedisCluster
from redis.exceptions import NoPermissionError, RedisError

from dpop_asgi.core.options import require, require_seconds
from dpop_asgi.core.ports import Clock, Health
from dpop_asgi.errors import StoreError, Superseded
from dpop_asgi.log import logger
from dpop_asgi.stores.redis.addresses import addresses_and_user, kind_and_addresses
from dpop_asgi.stores.redis.cluster import Cluster
from dpop_asgi.stores.redis.connection import Command
from dpop_asgi.stores.redis.errors import failure
from dpop_asgi.stores.redis.health import INFO, READ_ONLY, facts_of, findings
from dpop_asgi.stores.redis.incarnation import FENCE_OFF, Reply
from dpop_asgi.stores.redis.single_server import SingleServer
from dpop_asgi.stores.redis.url import SCHEMES, Client, close_client, make_client

# Spread evenly over the 16,384 slots of a cluster, each in the middle of a sixteenth, so each of up to sixteen masters
# has some. More tags would mean more nonces to agree on: each tag has its own in every period.
_CLUSTER_TAGS = ("18", "Bh", "dj", "S2", "qS", "9N", "uh", "Je", "5E", "h9", "Fn", "WO", "Nc", "Rr", "0x", "48")

# Only a write shows which server takes writes, so `incarnation` leaves a key behind for this long.
_PROBE_MILLISECONDS = 100

# How long `read` leaves an empty value behind. As long as it is there, reading writes nothing.
_EMPTY_MILLISECONDS = 60_000


@dataclass(slots=True)
class _PerLoop:
    """The connections of one event loop: they cannot be shared between loops."""

    route: SingleServer | Cluster
    closer: AsyncGenerator[None]
    where: str


class RedisStore:
    """Shares nonces and used proofs through Redis.

    Args:
        redis: a URL, or a custom async client (`Redis`, `RedisCluster`, a Sentinel's `master_for`). With a URL, the
            client is created on first use, in the running event loop, and closed by `aclose` or when the loop ends.
            A custom client is never closed; one of its connections is held.
        timeout: seconds that a pipeline of calls may take, connecting included, and that a call may wait for its
            pipeline. Time in which this process is too busy to read replies does not count.
        fence: whether to rely only on what was written under the server's current incarnation, because a server that
            restarts or is promoted may lack the last writes. Needs INFO.

    Attributes:
        tags: see `dpop_asgi.core.ports.Fenced`.
        description: see `dpop_asgi.core.ports.Described`. Whether the fence can be on is found out later.

    Raises:
        ValueError: If an option is invalid; the message names it.
    """

    SCHEMES: tuple[str, ...] = SCHEMES

    def __init__(self, redis: str | Client, *, timeout: float = 0.25, fence: bool = True) -> None:
        require_seconds("timeout", timeout, above_zero=True)
        require("fence", isinstance(fence, bool), "True or False")
        client = _client_for(redis) if isinstance(redis, str) else redis
        wanted = "a URL, or a client of redis.asyncio: Redis, RedisCluster, or Sentinel.master_for(...)"
        require("redis", isinstance(client, (Redis, RedisCluster)), wanted)
        is_cluster = isinstance(client, RedisCluster)
        self.tags: tuple[str, ...] = _CLUSTER_TAGS if is_cluster and fence else ("",)
        self.description: str = f"{kind_and_addresses(client)}, fence {'on' if fence else 'off'}"
        self._fence = fence
        self._redis = redis
        self._timeout = timeout
        self._has_noted_acl = False
        self._per_loop: dict[asyncio.AbstractEventLoop, _PerLoop] = {}

    async def put_if_absent(self, key: str, value: str, *, ttl: float, under: str | None = None) -> str:
        """See `dpop_asgi.core.ports.Fenced`."""
        reply = await self._call(self._command(key, value, math.ceil(ttl * 1000)))
        if under is not None and not under == reply.before == reply.after:
            raise Superseded(reply.after)
        return _text(reply, value)

    async def incarnation(self, key: str) -> str | None:
        """See `dpop_asgi.core.ports.Fenced`. It writes `key`: as a rule, only a master accepts writes.

        Raises:
            StoreError: If a replica accepted it, or the store does not respond. Without an incarnation, callers would
                go on as if the fence were off.
        """
        if not self._fence:
            return None
        mine = self._per_loop.get(asyncio.get_running_loop()) or await self._open()
        await mine.route.recheck(key)
        reply = await self._call(self._command(key, "", _PROBE_MILLISECONDS))
        if reply.after is None and reply.is_fenced:
            raise StoreError(f"{READ_ONLY} ({mine.where})")
        return reply.after

    async def read(self, key: str) -> str:
        """See `dpop_asgi.core.ports.Replaceable`. It is a SET, so that no ACL has to allow more than before."""
        return _text(await self._call(self._command(key, "", _EMPTY_MILLISECONDS)), "")

    async def replace(self, key: str, value: str, *, ttl: float) -> None:
        """See `dpop_asgi.core.ports.Replaceable`."""
        await self._call(("SET", key, value, "PX", math.ceil(ttl * 1000)))

    async def _call(self, command: Command) -> Reply:
        mine = self._per_loop.get(asyncio.get_running_loop()) or await self._open()
        try:
            return await mine.route.call(command)
        except RedisError as error:
            raise failure(error, mine.where) from None

    def _command(self, key: str, value: str, milliseconds: int) -> Command:
        return ("SET", key, value, "NX", "GET", "PX", milliseconds)

    def health(self) -> list[Health]:
        """See `dpop_asgi.core.ports.Monitored`. The circuit breakers tell: of a cluster, all must be closed."""
        opened = [mine.route.is_failing for mine in list(self._per_loop.values())]
        return [Health("store", "redis", not any(opened))] if opened else []

    async def findings(self, clock: Clock) -> list[str]:
        """What an operator should fix, a sentence each. The ACL must allow `INFO`.

        Args:
            clock: seconds since the epoch, the clock that proofs are checked against.

        Raises:
            StoreError: If the store does not respond.
        """
        servers = await self.server_facts()
        if not servers and not self._has_noted_acl:
            self._has_noted_acl = True
            logger.info("the Redis store's ACL does not allow INFO: version, eviction policy and clock are not checked")
        found = {finding for facts in servers for finding in findings(facts, now=clock())}
        mine = self._per_loop.get(asyncio.get_running_loop()) or await self._open()
        return sorted(found) + await self._fence_findings(mine)

    async def server_facts(self) -> list[dict[str, str]]:
        """What each master says about itself in `INFO`; empty if the ACL doesn't allow that.

        Raises:
            StoreError: If the store does not respond.
        """
        mine = self._per_loop.get(asyncio.get_running_loop()) or await self._open()
        try:
            return [facts_of(info) for info in await mine.route.call_all_masters(INFO)]
        except NoPermissionError:
            return []
        except RedisError as error:
            raise failure(error, mine.where) from None

    async def _fence_findings(self, mine: _PerLoop) -> list[str]:
        try:
            off = await mine.route.why_unfenced() if self._fence else None
        except (RedisError, OSError, TimeoutError) as error:
            raise failure(error, mine.where) from None
        return [] if off is None else [FENCE_OFF % off]

    async def _open(self) -> _PerLoop:
        loop = asyncio.get_running_loop()
        # Iterates over a copy: other threads, each with its own loop, may do the same at the same time.
        for closed in [other for other in list(self._per_loop) if other.is_closed()]:
            self._per_loop.pop(closed, None)
        client = make_client(self._redis, timeout=self._timeout) if isinstance(self._redis, str) else self._redis
        owned = client is not self._redis
        topology = Cluster if isinstance(client, RedisCluster) else SingleServer
        route = topology(client, timeout=self._timeout, owned=owned, fence=self._fence)  # type: ignore[arg-type]
        closer = self._close_at_the_end(route, client if owned else None)
        self._per_loop[loop] = mine = _PerLoop(route, closer, addresses_and_user(client))
        await anext(mine.closer)
        return mine

    async def _close_at_the_end(self, route: SingleServer | Cluster, client: Client | None) -> AsyncGenerator[None]:
        """Runs when the loop ends and closes its async generators: mounted apps and tests get no other notice."""
        try:
            yield
        finally:
            self._per_loop.pop(asyncio.get_running_loop(), None)
            await route.aclose()
            if client is not None:
                await close_client(client)

    async def aclose(self) -> None:
        """Close the connections of the running event loop that were opened from a URL."""
        mine = self._per_loop.pop(asyncio.get_running_loop(), None)
        if mine is not None:
            await mine.closer.aclose()


def _text(reply: Reply, otherwise: str) -> str:
    if reply.value is None or type(reply.value) is bytes:
        return otherwise if reply.value is None else str(reply.value, "utf-8", "replace")
    raise StoreError("the Redis store replied to SET with something other than a value: is it a Redis server?")


def _client_for(url: str) -> Client:
    """A client that is not used: it knows whether the URL is well-formed, and where it leads."""
    try:
        if url.partition("://")[0] in SCHEMES:
            client = make_client(url, timeout=1.0)
            if isinstance(client, Redis):
                # Made, but not connected: it knows its options.
                client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
            return client
    except (TypeError, ValueError):
        pass
    schemes = ", ".join(f"{scheme}://" for scheme in SCHEMES)
    # Without the URL and the cause, which may contain a password.
    forms = (
        "redis://HOST:PORT/DATABASE, redis+sentinel://HOST:PORT,HOST:PORT/SERVICE/DATABASE, redis+cluster://HOST:PORT"
    )
    msg = f"redis: not a well-formed URL that starts with one of {schemes}: such as {forms}, with options of redis-py"
    raise ValueError(msg)
