"""A set of keys, and which of them may have signed a token."""

import logging
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from dpop_asgi.core import jwk

logger: logging.Logger = logging.getLogger("dpop_asgi")

_MAX_KEYS = 100


class KeySet:
    """A JWK Set (RFC 7517 §5).

    Raises:
        ValueError: If it isn't valid, or has more than 100 keys.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        keys = document.get("keys")
        if not isinstance(keys, list) or len(keys) > _MAX_KEYS:
            msg = "not a JWK Set, or too large"
            raise ValueError(msg)
        self.keys: list[dict[str, Any]] = [key for key in keys if isinstance(key, dict)]
        # Cached by algorithm alone: with invented `kid`s anyone could have all keys imported again.
        self._matching = lru_cache(len(jwk.KEY_TYPES))(self._import)

    def candidates(self, algorithm: str, kid: str | None) -> list[jwk.PublicKey]:
        """The keys that may have signed a token with this `alg` and `kid`; without a `kid`, all that match `alg`."""
        matching = self._matching(algorithm)
        return [key for members, key in matching if kid is None or members.get("kid", kid) == kid]

    def _import(self, algorithm: str) -> list[tuple[dict[str, Any], jwk.PublicKey]]:
        found = []
        for members in self.keys:
            if _may_sign(members, algorithm):
                try:
                    found.append((members, jwk.import_public_key(members, algorithm)))
                except ValueError:
                    logger.warning(
                        "a key in the issuer's key set isn't acceptable, and is ignored (kty %s)", members.get("kty")
                    )
        return found


def _may_sign(members: Mapping[str, Any], algorithm: str) -> bool:
    operations = members.get("key_ops", ["verify"])
    return (
        jwk.matches_algorithm(members, algorithm)
        and members.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
        and members.get("alg", algorithm) == algorithm
    )


class StaticKeys:
    """A configured key set, which does not change."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._keys = KeySet(document)

    def current(self, _now: float) -> KeySet:
        """The configured keys."""
        return self._keys

    async def key_set(self) -> KeySet:
        """The configured keys."""
        return self._keys

    key_set_for_unknown_key = key_set
