"""What a command has to know about the workers: their store, the prefix of their keys, and how their nonces rotate."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from dpop_asgi.cli.check.environment import settings_by
from dpop_asgi.cli.unusable import Unusable
from dpop_asgi.nonces import NoncePolicy
from dpop_asgi.stores.redis.store import RedisStore

S = TypeVar("S", bound=RedisStore)

# Longer than a worker waits: nobody's request depends on it.
_TIMEOUT_SECONDS = 2.0
_VARIABLES = ("DPOP_NAMESPACE", "DPOP_NONCE_PERIOD", "DPOP_NONCE_GRACE", "DPOP_NONCE_LOOKAHEAD")


@dataclass(frozen=True, slots=True)
class Workers:
    """What the workers of a service share.

    Attributes:
        namespace: prefix of their keys.
        nonces: how they rotate; `None` if they are off.
    """

    namespace: str
    nonces: NoncePolicy | None


def workers_of(environment: Mapping[str, str]) -> Workers:
    """What their environment says about them.

    Raises:
        Unusable: If they couldn't start with it.
    """
    try:
        authenticator = settings_by(environment, _VARIABLES).authenticator
    except ValueError as error:
        raise Unusable(str(error)) from None
    return Workers(authenticator.namespace, authenticator.nonce_policy)


def store_of(url: str | None, environment: Mapping[str, str], kind: type[S]) -> S:
    """The store of the workers.

    Raises:
        Unusable: If it isn't one that several processes share.
    """
    url = url or environment.get("DPOP_STORE", "").strip() or "memory://"
    if url == "memory://":
        raise Unusable(
            "--store: must be the store of the workers, such as redis://…, unless DPOP_STORE is set. What a process"
            " keeps in memory, only that process can revoke: see docs/revocation.md."
        )
    try:
        return kind(url, timeout=_TIMEOUT_SECONDS)
    except ValueError as error:
        raise Unusable(f"--store:{str(error).removeprefix('redis:')}") from None
