"""A store that knows which incarnation it is, and of which hash tags there are several: the servers of a cluster."""

from collections import Counter

from dpop_asgi import MemoryStore, StoreError, StoreUnavailable
from dpop_asgi.errors import Superseded
from dpop_asgi.testing import ManualClock


class FencedStore:
    """What one worker reaches: `moved` at another worker's view of it means that this one has not noticed yet.

    Attributes:
        tags: see `dpop_asgi.core.ports.Fenced`.
        now: the incarnation of each tag's server; `None` where it cannot be known.
        away: tags whose server does not answer.
        asked: how often each tag's incarnation was asked for.
        keys: that were written.
    """

    def __init__(self, clock: ManualClock, *, tags: tuple[str, ...] = ("",)) -> None:
        self._clock = clock
        self.tags = tags
        self.now: dict[str, str | None] = dict.fromkeys(tags, "one")
        self.away: set[str] = set()
        self.asked: Counter[str] = Counter()
        self.keys: list[str] = []
        self._servers: dict[str | None, MemoryStore] = {}

    def become(self, incarnation: str | None, *tags: str) -> None:
        """Be restarted, or replaced; one that was there before has its data still."""
        self.now |= dict.fromkeys(tags or self.tags, incarnation)

    def tag_of(self, key: str) -> str:
        return next((tag for tag in self.tags if tag and f"{{{tag}}}" in key), self.tags[0])

    async def incarnation(self, key: str) -> str | None:
        tag = self.tag_of(key)
        self.asked[tag] += 1
        if tag in self.away:
            raise StoreError("the server is away")
        return self.now[tag]

    async def put_if_absent(self, key: str, value: str, *, ttl: float, under: str | None = None) -> str:
        tag = self.tag_of(key)
        if tag in self.away:
            raise StoreError("the server is away")
        self.keys.append(key)
        server = self._servers.setdefault(self.now[tag], MemoryStore(clock=self._clock))
        standing = await server.put_if_absent(key, value, ttl=ttl)
        # Compared after the write, as a reply is: a connection may break in the very call.
        if under is not None and under != self.now[tag]:
            raise Superseded(self.now[tag])
        return standing

    async def aclose(self) -> None:
        """Nothing to release."""


class RevocableStore(FencedStore):
    """One in which values can be replaced.

    Attributes:
        reads: how often values were read.
    """

    reads: int = 0

    async def read(self, key: str) -> str:
        self.reads += 1
        return await self._server(key).read(key)

    async def replace(self, key: str, value: str, *, ttl: float) -> None:
        await self._server(key).replace(key, value, ttl=ttl)

    def _server(self, key: str) -> MemoryStore:
        tag = self.tag_of(key)
        if tag in self.away:
            raise StoreUnavailable("the server is away")
        return self._servers.setdefault(self.now[tag], MemoryStore(clock=self._clock))


class LateView:
    """The same store as a worker reaches it that has not noticed what happened: its connection is to the old server.

    A look at the store (`incarnation`) goes the way of a new connection, and gets there.
    """

    def __init__(self, store: FencedStore) -> None:
        self._store = store
        self.tags = store.tags
        self.reconnect()

    def reconnect(self) -> None:
        """To the servers that are there now."""
        self._connected: dict[str, str | None] = dict(self._store.now)

    async def incarnation(self, key: str) -> str | None:
        found = await self._store.incarnation(key)
        self._connected[self._store.tag_of(key)] = found
        return found

    async def put_if_absent(self, key: str, value: str, *, ttl: float, under: str | None = None) -> str:
        real, self._store.now = self._store.now, {**self._store.now, **self._connected}
        try:
            return await self._store.put_if_absent(key, value, ttl=ttl, under=under)
        finally:
            self._store.now = real

    async def aclose(self) -> None:
        """Nothing to release."""
