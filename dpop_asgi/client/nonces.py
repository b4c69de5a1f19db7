"""The nonces that servers have issued, one per origin."""

import re
from threading import Lock

from dpop_asgi.core.bounded_cache import BoundedCache

# RFC 9449 §8.1: 1*NQCHAR. A longer one would make a proof that servers reject, most of which allow 8 KB at most.
_NONCE = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]{1,1024}")
# A client talks to few servers. At 1 KB each this is at most a quarter of a megabyte.
_MOST_ORIGINS = 256


class Nonces:
    """The last nonce of each origin. Threads and event loops may share one.

    A nonce that is malformed, or longer than 1,024 characters, is not kept (RFC 9449 §8.1). Of more than 256 origins
    the one whose nonce is the oldest is forgotten.
    """

    def __init__(self) -> None:
        self._last: BoundedCache[str, str] = BoundedCache(_MOST_ORIGINS)
        self._lock = Lock()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self._last)} origins>"

    def last(self, origin: str) -> str | None:
        """The last nonce of an origin."""
        return self._last.get(origin)

    def learn(self, origin: str, nonce: str | None) -> str | None:
        """Keep the value of a `DPoP-Nonce` header, if there is one and it is well-formed. Returns it if it is."""
        # Most responses repeat the one that is kept.
        if nonce is None or self._last.get(origin) == nonce:
            return nonce
        if _NONCE.fullmatch(nonce) is None:
            return None
        with self._lock:
            self._last.keep(origin, nonce)
        return nonce
