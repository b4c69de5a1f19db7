"""Notices workers of one service that don't agree on nonces. Their clients would get one challenge after another."""

import math
from hashlib import sha256

from dpop_asgi.core.bounded_cache import BoundedCache
from dpop_asgi.core.ports import Store
from dpop_asgi.errors import StoreError
from dpop_asgi.log import logger
from dpop_asgi.single_flight import SingleFlight

# The number of clients whose last unknown nonce is remembered, 200 bytes each.
_MOST_CLIENTS = 1024
# Clients choose how long a header is.
_DIGEST_BYTES = 16
# One or two may be chance: a client that sends several old nonces at once.
_FEW = 3
_WARN_EVERY_SECONDS = 60.0
# The number of intervals for which other workers see the settings of one that has stopped.
_KEPT_INTERVALS = 3


class UnknownNonces:
    """Warns about clients that send one unknown nonce after another.

    A client that returns after an hour sends an old nonce, is challenged once, and then sends the new one. If it sends
    another unknown nonce after the challenge, it also talks to a worker that has different nonces.
    """

    def __init__(self) -> None:
        self._last: BoundedCache[bytes, str] = BoundedCache(_MOST_CLIENTS)
        self._again = 0
        self._not_before = 0.0

    def note(self, client: bytes, nonce: str, now: float) -> None:
        """An unknown `nonce` in a proof whose header, which has the key, is `client`."""
        client = sha256(client).digest()[:_DIGEST_BYTES]
        before = self._last.get(client, nonce)
        self._last.keep(client, nonce)
        self._again += before != nonce
        if self._again >= _FEW and now >= self._not_before:
            logger.warning(
                "nonces: clients that were challenged by this worker return with other nonces that it doesn't know"
                " (%d times): does another worker use another Redis, database, namespace or nonce period? (Anyone can"
                " send such proofs. If all clients get along, nothing is wrong.)",
                self._again,
            )
            self._again, self._not_before = 0, now + _WARN_EVERY_SECONDS


class SharedSettings:
    """Compares, through the store, the settings on which all workers have to agree.

    Args:
        store: of the workers.
        namespace: prefix of the key.
        settings: at most 64 ASCII characters.
        every: seconds from one comparison to the next.

    Attributes:
        comparing: the comparison in the background.
    """

    def __init__(self, store: Store, *, namespace: str, settings: str, every: float) -> None:
        self._store = store
        self._key = f"{namespace}:settings:v1"
        self._settings = settings
        self._every = every
        self._due = -math.inf
        self._theirs = settings
        self.comparing: SingleFlight[None] = SingleFlight(self._compare)

    def compare(self, now: float) -> None:
        """Compare in the background, when it is time. Logs a warning, once per change, about workers that differ."""
        if self._settings and not self._due - self._every <= now < self._due:
            self._due = now + self._every
            self.comparing.start()

    async def _compare(self) -> None:
        try:
            theirs = await self._store.put_if_absent(self._key, self._settings, ttl=_KEPT_INTERVALS * self._every)
        except StoreError:
            return
        if theirs not in {self._theirs, self._settings}:
            logger.warning(
                "another worker with this store and namespace has other settings (%.64s) than this one (%s): requests"
                " that one accepts the other may reject, and used proofs may be forgotten too early",
                theirs,
                self._settings,
            )
        self._theirs = theirs
