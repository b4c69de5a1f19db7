"""A set of keys, and which of them may have signed a token."""

import logging
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from dpop_asgi.core import jose

logger: logging.Logger = logging.getLogger("dpop_asgi")

_MAX_KEYS = 100


class KeySet:
    """A JWK Set (RFC 7517 §5).

    Raises:
        ValueError: when it is not one, or has more than 100 keys.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        keys = document.get("keys")
        if not isinstance(keys, list) or len(keys) > _MAX_KEYS:
            msg = "not a JWK Set, or too large"
            raise ValueError(msg)
        self.keys: list[dict[str, Any]] = [key for key in keys if isinstance(key, dict)]
        self._candidates = lru_cache(128)(self._find)

    def candidates(self, algorithm: str, kid: str | None) -> tuple[jose.PublicKey, ...]:
        """The keys that may have signed a token with this `alg` and `kid`; all that fit when it has no `kid`."""
        return self._candidates(algorithm, kid)

    def _find(self, algorithm: str, kid: str | None) -> tuple[jose.PublicKey, ...]:
        found = []
        for members in self.keys:
            if _may_sign(members, algorithm, kid):
                try:
                    found.append(jose.import_public_key(members, algorithm))
                except ValueError:
                    logger.warning(
                        "a key of the issuer's key set is not acceptable and left out (kty %s)", members.get("kty")
                    )
        return tuple(found)


def _may_sign(members: Mapping[str, Any], algorithm: str, kid: str | None) -> bool:
    operations = members.get("key_ops", ["verify"])
    return (
        jose.fits(members, algorithm)
        and (kid is None or members.get("kid", kid) == kid)
        and members.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
        and members.get("alg", algorithm) == algorithm
    )


class StaticKeys:
    """A key set that is configured and does not change."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.current: KeySet | None = KeySet(document)

    async def key_set(self) -> KeySet:
        """The configured keys."""
        assert self.current is not None  # noqa: S101 - set once above
        return self.current

    key_set_for_unknown_key = key_set
