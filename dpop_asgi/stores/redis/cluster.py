"""A Redis Cluster: which of its masters has a key."""

import asyncio
import contextlib
import logging
from typing import Any

from redis.asyncio import RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import AskError, MovedError, ResponseError, SlotNotCoveredError

from dpop_asgi.errors import StoreError
from dpop_asgi.outage_log import OutageLog
from dpop_asgi.single_flight import SingleFlight
from dpop_asgi.stores.redis.addresses import addresses_and_user, node_and_user
from dpop_asgi.stores.redis.borrowed import Borrowed
from dpop_asgi.stores.redis.connection import Command, RedisConnection
from dpop_asgi.stores.redis.errors import OUTAGE, failure
from dpop_asgi.stores.redis.incarnation import Reply
from dpop_asgi.stores.redis.pipeline import Pipeline

# A slot moves once; a second redirection means that the nodes don't agree yet.
_MAX_REDIRECTIONS = 3

# After a failure the slot map is fetched at most this often: a new master is found quickly, and nodes that are busy
# with an election aren't flooded.
_REFRESH_EVERY_SECONDS = 0.1

_NO_MAP = (
    f"no node of the Redis Cluster says where keys are; {OUTAGE}",
    "the Redis Cluster says where keys are",
)

# The key isn't on the node that the slot map names.
_ELSEWHERE = (MovedError, AskError, SlotNotCoveredError)


class Cluster:
    """A cluster, with a pipeline for each master, so that a lost master doesn't delay calls to the others.

    Args:
        client: redis-py's client. Its slot map is used and kept fresh; commands are sent by `Pipeline`.
        timeout: seconds until a call fails.
        owned: whether `aclose` closes the connections.
        fence: whether to find out which incarnation of each server replies.
    """

    def __init__(self, client: RedisCluster, *, timeout: float, owned: bool, fence: bool) -> None:
        self._client = client
        self._timeout = timeout
        self._owned = owned
        self._fence = fence
        self._pipelines: dict[str, tuple[Pipeline, RedisConnection]] = {}
        self._nodes_not_in_map: dict[str, ClusterNode] = {}
        self._last_failed: str | None = None
        self._refreshing = SingleFlight(self._fetch_map)
        self._refresh_not_before = 0.0
        self._log = OutageLog(*_NO_MAP)

    @property
    def is_failing(self) -> bool:
        """Whether calls to one of the masters fail without being tried."""
        return any(pipeline.is_failing for pipeline, _ in list(self._pipelines.values()))

    async def call(self, command: Command) -> Reply:
        """The reply, from the node that has the key (the command's second word). See `Pipeline.call`."""
        try:
            node = self._owner(command[1])
            reply: Reply = await self._pipeline(node).call(command)
        except _ELSEWHERE as error:
            try:
                async with asyncio.timeout(self._timeout):
                    return await self._redirected(command, error)
            except TimeoutError:
                msg = f"the Redis Cluster did not respond within {self._timeout:g} s"
                raise StoreError(msg) from None
        except (StoreError, ResponseError):
            self._last_failed = node.name
            self._refresh_slots()
            raise
        return reply

    async def recheck(self, key: str) -> None:
        """Refresh the slot map, and have the next call for `key` find out which incarnation replies."""
        await asyncio.shield(self._refresh_slots())
        with contextlib.suppress(SlotNotCoveredError):
            name = self._owner(key).name
            if name in self._pipelines:
                self._pipelines[name][1].recheck_identity()

    async def _redirected(self, command: Command, error: Exception) -> Reply:
        for _ in range(_MAX_REDIRECTIONS):
            try:
                # In this order: redis-py's MovedError is a subclass of AskError.
                if isinstance(error, MovedError):
                    await self._client.nodes_manager.move_slot(error)
                elif isinstance(error, AskError):
                    return await self._ask(error, command)
                else:
                    await asyncio.shield(self._refresh_slots())
                reply: Reply = await self._pipeline(self._owner(command[1])).call(command)
            except _ELSEWHERE as again:
                error = again
            else:
                return reply
        self._refresh_slots()
        raise failure(error, addresses_and_user(self._client))

    def _owner(self, key: str | int) -> ClusterNode:
        slot = self._client.keyslot(key)
        nodes = self._client.nodes_manager.slots_cache.get(slot)
        if not nodes:
            raise SlotNotCoveredError(f"slot {slot} has no master")
        return nodes[0]

    def _pipeline(self, node: ClusterNode) -> Pipeline:
        known = self._pipelines.get(node.name)
        if known is None:
            connection = _connection_to(
                node, owned=self._owned or node.name in self._nodes_not_in_map, fence=self._fence
            )
            where = node_and_user(node.name, self._client)
            pipeline = Pipeline("the Redis node", connection.exchange, where=where, timeout=self._timeout)
            known = self._pipelines[node.name] = pipeline, connection
        return known[0]

    async def _ask(self, error: AskError, command: Command) -> Reply:
        """The key has already moved to the new node, which only replies after `ASKING`."""
        node = self._client.get_node(host=error.host, port=error.port)
        if node is None:
            # The first slot of a new master: it isn't in the slot map until the move is complete.
            new = ClusterNode(error.host, error.port, **self._client.nodes_manager.connection_kwargs)
            node = self._nodes_not_in_map.setdefault(new.name, new)
        reply: Reply = await self._pipeline(node).call(("ASKING", *command))
        return reply

    def _refresh_slots(self) -> asyncio.Task[None]:
        """Fetch the slot map, off any request's path, and once for all callers that need it."""
        now, last = asyncio.get_running_loop().time(), self._refreshing.task
        if last is not None and (not last.done() or now < self._refresh_not_before):
            return last
        self._refresh_not_before = now + _REFRESH_EVERY_SECONDS
        return self._refreshing.start()

    async def _fetch_map(self) -> None:
        try:
            # redis-py tries one node after the other, in random order, with the one that failed last at the end. The
            # timeout covers nodes that hang, whatever timeouts a custom client has.
            async with asyncio.timeout(self._timeout):
                await self._client.nodes_manager.initialize(last_failed_node_name=self._last_failed)
        except Exception as error:  # noqa: BLE001 - redis-py raises errors that share no base class
            failed = failure(_root(error), addresses_and_user(self._client))
            if not self._client.nodes_manager.slots_cache:
                self._log.failed(failed, level=logging.ERROR)
            raise failed from None
        self._log.succeeded()
        known = {*self._client.nodes_manager.nodes_cache, *self._nodes_not_in_map}
        for name in self._pipelines.keys() - known:
            await self._close_pipeline(name)

    async def call_all_masters(self, command: Command) -> list[Any]:
        """The replies of all masters."""
        await asyncio.shield(self._refresh_slots())
        return [(await self._pipeline(node).call(command)).value for node in self._client.get_primaries()]

    async def why_unfenced(self) -> str | None:
        """Why the fence is off at one of the masters, if it is."""
        reasons = (connection.incarnations.off for _, connection in self._pipelines.values())
        return next((off for off in reasons if off is not None), None)

    async def aclose(self) -> None:
        """Wait for calls in flight, and return the connections."""
        if (refresh := self._refreshing.under_way()) is not None:
            # Another app's calls may be waiting for it.
            await asyncio.wait([refresh])
        while self._pipelines:
            await self._close_pipeline(next(iter(self._pipelines)))

    async def _close_pipeline(self, name: str) -> None:
        pipeline, connection = self._pipelines.pop(name)
        await pipeline.aclose()
        await connection.aclose()


def _connection_to(node: ClusterNode, *, owned: bool, fence: bool) -> RedisConnection:
    async def release(connection: AbstractConnection) -> None:
        node.release(connection)  # type: ignore[arg-type]

    borrowed = Borrowed(node.acquire_connection, release, lambda connection: connection.connect())  # type: ignore[no-untyped-call]
    return RedisConnection(borrowed.acquire, borrowed.release, owned=owned, fence=fence)


def _root(error: Exception) -> Exception:
    """The original error: redis-py reports a wrong password as a cluster that cannot be reached.

    Behind a timeout there is a `CancelledError`, which says nothing.
    """
    while isinstance(earlier := error.__cause__ or error.__context__, Exception):
        error = earlier
    return error
