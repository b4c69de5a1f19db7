"""Which of a cluster's masters has a key."""

import asyncio
import contextlib
from typing import Any

from redis.asyncio import RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import AskError, MovedError, ResponseError, SlotNotCoveredError

from dpop_asgi.errors import StoreError
from dpop_asgi.stores.redis.borrowed import Borrowed
from dpop_asgi.stores.redis.connection import Command, RedisConnection
from dpop_asgi.stores.redis.errors import failure
from dpop_asgi.stores.redis.incarnation import Reply
from dpop_asgi.stores.redis.pipeline import Pipeline

# A slot moves once; a second redirection means that the nodes themselves do not agree yet.
_MAX_REDIRECTIONS = 3

# The map of slots is asked for again after a failure, so often: a new master is found within a blink, and nodes
# that are busy with an election are not flooded.
_REFRESH_EVERY_SECONDS = 0.1

# The key is not where it was looked for.
_ELSEWHERE = (MovedError, AskError, SlotNotCoveredError)


class Cluster:
    """A cluster: a pipeline for each master, so that one that is gone delays nobody else's calls.

    Args:
        client: of redis-py; its map of slots is used and kept fresh, its way of sending commands is not.
        timeout: seconds until a call fails.
        ours: whether connections are to be ended by `aclose`.
        fence: whether to find out which incarnation of each server answers.
    """

    def __init__(self, client: RedisCluster, *, timeout: float, ours: bool, fence: bool) -> None:
        self._client = client
        self._timeout = timeout
        self._ours = ours
        self._fence = fence
        self._pipelines: dict[str, tuple[Pipeline, RedisConnection]] = {}
        self._nodes_not_in_map: dict[str, ClusterNode] = {}
        self._last_failed: str | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self._refresh_not_before = 0.0

    async def call(self, command: Command) -> Reply:
        """The reply, from whichever node has the key (the command's second word). See `Pipeline.call`."""
        try:
            node = self._owner(command[1])
            reply: Reply = await self._pipeline(node).call(command)
        except _ELSEWHERE as error:
            try:
                async with asyncio.timeout(self._timeout):
                    return await self._redirected(command, error)
            except TimeoutError:
                msg = f"the Redis Cluster did not answer within {self._timeout:g} s"
                raise StoreError(msg) from None
        except (StoreError, ResponseError):
            self._last_failed = node.name
            self._refresh_slots()
            raise
        return reply

    async def look(self, key: str) -> None:
        """Have the next call for `key` find out which incarnation answers, after a look at the map of slots."""
        await asyncio.shield(self._refresh_slots())
        with contextlib.suppress(SlotNotCoveredError):
            name = self._owner(key).name
            if name in self._pipelines:
                self._pipelines[name][1].ask_again()

    async def _redirected(self, command: Command, error: Exception) -> Reply:
        for _ in range(_MAX_REDIRECTIONS):
            try:
                # In this order: to redis-py a slot that has moved is a kind of one that is moving.
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
        raise failure(error)

    def _owner(self, key: str | int) -> ClusterNode:
        slot = self._client.keyslot(key)
        nodes = self._client.nodes_manager.slots_cache.get(slot)
        if not nodes:
            raise SlotNotCoveredError(f"slot {slot} has no master")
        return nodes[0]

    def _pipeline(self, node: ClusterNode) -> Pipeline:
        known = self._pipelines.get(node.name)
        if known is None:
            connection = _connection_to(node, ours=self._ours or node.name in self._nodes_not_in_map, fence=self._fence)
            pipeline = Pipeline(f"the Redis node {node.name}", connection.exchange, timeout=self._timeout)
            known = self._pipelines[node.name] = pipeline, connection
        return known[0]

    async def _ask(self, error: AskError, command: Command) -> Reply:
        """A slot that is moving: this key is at the new node already, which wants to be asked in so many words."""
        node = self._client.get_node(host=error.host, port=error.port)
        if node is None:
            # A new master's first slot: until it has come, the map does not name that master.
            new = ClusterNode(error.host, error.port, **self._client.nodes_manager.connection_kwargs)
            node = self._nodes_not_in_map.setdefault(new.name, new)
        reply: Reply = await self._pipeline(node).call(("ASKING", *command))
        return reply

    def _refresh_slots(self) -> asyncio.Task[None]:
        """Ask for the map of slots, off any request's path, and once for all who want it."""
        loop = asyncio.get_running_loop()
        if self._refreshing is None or (self._refreshing.done() and loop.time() >= self._refresh_not_before):
            self._refresh_not_before = loop.time() + _REFRESH_EVERY_SECONDS
            self._refreshing = loop.create_task(self._fetch_map())
            self._refreshing.add_done_callback(_retrieve)
        return self._refreshing

    async def _fetch_map(self) -> None:
        try:
            # redis-py asks one node after the other, in random order but the one that failed us last of all. None that
            # hangs is waited for, however patient a client of yours may be.
            async with asyncio.timeout(self._timeout):
                await self._client.nodes_manager.initialize(last_failed_node_name=self._last_failed)
        except Exception as error:  # noqa: BLE001 - redis-py wraps what happened in kinds that share no base
            raise failure(_root(error)) from None
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
        """Bring to its end what is under way, and give the connections back."""
        if self._refreshing is not None:
            # Calls that wait for it may be another app's.
            await asyncio.wait([self._refreshing])
        while self._pipelines:
            await self._close_pipeline(next(iter(self._pipelines)))

    async def _close_pipeline(self, name: str) -> None:
        pipeline, connection = self._pipelines.pop(name)
        await pipeline.aclose()
        await connection.aclose()


def _connection_to(node: ClusterNode, *, ours: bool, fence: bool) -> RedisConnection:
    async def release(connection: AbstractConnection) -> None:
        node.release(connection)  # type: ignore[arg-type]

    borrowed = Borrowed(node.acquire_connection, release, lambda connection: connection.connect())  # type: ignore[no-untyped-call]
    return RedisConnection(borrowed.acquire, borrowed.release, ours=ours, fence=fence)


def _root(error: BaseException) -> Exception:
    """What happened first: redis-py tells of a refused password as a cluster that cannot be reached."""
    while (earlier := error.__cause__ or error.__context__) is not None:
        error = earlier
    return error if isinstance(error, Exception) else StoreError(str(error))


def _retrieve(task: asyncio.Task[None]) -> None:
    """A failure off the request's path has no other reader; what fails for it is told by the calls."""
    if not task.cancelled():
        task.exception()
