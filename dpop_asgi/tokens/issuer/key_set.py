"""A set of keys, and which of them may have signed a token."""

from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import Any

from dpop_asgi.core import jwk
from dpop_asgi.core.encoding import b64url_decode, b64url_encode
from dpop_asgi.core.ports import Health
from dpop_asgi.core.strict_json import json_type, shown
from dpop_asgi.log import logger

# A warning of each may be logged, and importing a hundred RSA keys takes some milliseconds.
_MAX_KEYS = 100

# RFC 9864 §2.2: two names for one algorithm, since only Ed25519 keys are accepted for both.
_SAME = {"EdDSA": "Ed25519"}

_Known = tuple[dict[str, Any], jwk.PublicKey]


class KeySet:
    """A JWK Set (RFC 7517 §5). Keys that can't be used are left out, and warned of once.

    Raises:
        ValueError: If it isn't valid, or has more than 100 keys.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        keys = document.get("keys")
        if not isinstance(keys, list):
            msg = "not a JWK Set: keys must be an array"
            raise ValueError(msg)
        if len(keys) > _MAX_KEYS:
            msg = f"a JWK Set of {len(keys)} keys: the most are {_MAX_KEYS}"
            raise ValueError(msg)
        self.keys: list[Any] = keys
        # Cached by algorithm alone: with invented `kid`s anyone could have all keys searched again.
        self._matching = lru_cache(len(jwk.KEY_TYPES))(self._for_algorithm)

    def candidates(self, algorithm: str, kid: str | None) -> list[jwk.PublicKey]:
        """The keys that may have signed a token with this `alg` and `kid`; without a `kid`, all that match `alg`."""
        matching = self._matching(algorithm)
        return [key for members, key in matching if kid is None or members.get("kid", kid) == kid]

    def _for_algorithm(self, algorithm: str) -> list[_Known]:
        return [known for known in self._known if _fits(known[0], algorithm)]

    @cached_property
    def _known(self) -> list[_Known]:
        """The keys that may sign, imported when the first token needs one."""
        known = []
        for members in self.keys:
            if isinstance(members, dict) and members.get("use") == "enc":
                # Many issuers publish one for encryption, too.
                continue
            try:
                known.append((members, import_key(members)))
            except ValueError as error:
                kid = shown(members.get("kid")) if isinstance(members, dict) else None
                logger.warning("the key with kid %r in the issuer's key set is ignored: %s", kid, error)
        return known


def import_key(members: object) -> jwk.PublicKey:
    """The key that these members of a key set are.

    Raises:
        ValueError: If it can't verify tokens; the message says why.
    """
    if not isinstance(members, dict):
        msg = f"it is {json_type(members)}, not an object"
        raise ValueError(msg)
    algorithms = [name for name in jwk.KEY_TYPES if jwk.matches_algorithm(members, name)]
    if not algorithms:
        kty, curve = shown(members.get("kty")), shown(members.get("crv"))
        msg = f"its kty is {kty!r} and its crv {curve!r}: no accepted algorithm has these"
        raise ValueError(msg)
    if "use" in members and members["use"] != "sig":
        msg = f"its use is {shown(members['use'])!r}, not sig"
        raise ValueError(msg)
    operations = members.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        msg = "its key_ops lack verify"
        raise ValueError(msg)
    if not any(_fits(members, name) for name in algorithms):
        msg = f"its alg is {shown(members.get('alg'))!r}: keys like it have {' '.join(algorithms)}"
        raise ValueError(msg)
    return _public_key(_canonical(members), algorithms[0])


def _public_key(members: dict[str, Any], algorithm: str) -> jwk.PublicKey:
    try:
        return jwk.import_public_key(members, algorithm)
    except ValueError as error:
        bounds = "; RSA keys must have 2048 to 4096 bits" if members["kty"] == "RSA" else ""
        # Without the cause: messages of the libraries below may contain key material.
        msg = f"it isn't acceptable ({error}{bounds})"
        raise ValueError(msg) from None


def _fits(members: dict[str, Any], algorithm: str) -> bool:
    named = members.get("alg", algorithm)
    same = isinstance(named, str) and _SAME.get(named, named) == _SAME.get(algorithm, algorithm)
    return same and jwk.matches_algorithm(members, algorithm)


def _canonical(members: dict[str, Any]) -> dict[str, Any]:
    """An RSA key without leading zero bytes and padding, as some issuers write them.

    Clients may not: by its thumbprint a proof's key must be one key. An issuer's keys are not distinguished by it.
    """
    if members["kty"] != "RSA":
        return members
    numbers = {name: members[name] for name in ("n", "e") if isinstance(members.get(name), str)}
    return {**members, **{name: _shortest(value) for name, value in numbers.items()}}


def _shortest(number: str) -> str:
    try:
        return b64url_encode(b64url_decode(number.rstrip("=").encode("ascii")).lstrip(b"\0"))
    except ValueError:
        return number


class StaticKeys:
    """A configured key set, which does not change."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._keys = KeySet(document)

    def current(self, _now: float) -> KeySet:
        """The configured keys."""
        return self._keys

    def health(self) -> list[Health]:
        """See `dpop_asgi.core.ports.Monitored`: nothing is called."""
        return []

    async def key_set(self, *, quiet: bool = False) -> KeySet:  # noqa: ARG002 - of RemoteKeys
        """The configured keys."""
        return self._keys

    key_set_for_unknown_key = key_set

    async def aclose(self) -> None:
        """Nothing is called, so there is nothing to end."""
