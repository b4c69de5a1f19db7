"""The effective configuration: each setting, its value, and where that comes from."""

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from dpop_asgi.cli.check.text import is_secret, value_without_secrets
from dpop_asgi.core.policy import ProofPolicy
from dpop_asgi.core.proof import CACHED_HEADERS
from dpop_asgi.nonces import NoncePolicy
from dpop_asgi.settings import VARIABLES
from dpop_asgi.stores.redis.store import RedisStore
from dpop_asgi.tokens.introspection import IntrospectionVerifier

Source = Literal["environment", "default", "not set"]

_HIDDEN = "set, hidden"

_PROOFS, _NONCES = ProofPolicy(), NoncePolicy()
_INTROSPECTION = inspect.signature(IntrospectionVerifier).parameters
_REDIS = inspect.signature(RedisStore).parameters

# As they would be written in the environment. A variable that isn't here has no default.
DEFAULTS = {
    "DPOP_TOKEN_TYPES": "at+jwt",
    "DPOP_INTROSPECTION_CACHE": f"{_INTROSPECTION['cache_seconds'].default:g}",
    "DPOP_STORE": "memory://",
    "DPOP_NAMESPACE": "dpop",
    "DPOP_NONCE_PERIOD": f"{_NONCES.period:g}",
    "DPOP_NONCE_GRACE": f"{_NONCES.grace}",
    "DPOP_NONCE_LOOKAHEAD": f"{_NONCES.lookahead}",
    "DPOP_CACHED_CLIENTS": f"{CACHED_HEADERS}",
    "DPOP_ALGORITHMS": ",".join(_PROOFS.algorithms),
    "DPOP_PROOF_MAX_AGE": f"{_PROOFS.max_age:g}",
    "DPOP_PROOF_MAX_FUTURE": f"{_PROOFS.max_future:g}",
    "DPOP_MODE": "required",
    "DPOP_STORE_TIMEOUT": f"{_REDIS['timeout'].default:g}",
    "DPOP_ON_STORE_FAILURE": "refuse",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting that is in effect; `value` has no secrets in it, and is `None` if there is none."""

    name: str
    value: str | None
    source: Source


def effective_settings(environment: Mapping[str, str]) -> Iterator[Setting]:
    """Every variable that `dpop_asgi.settings` reads, in its order."""
    for name in dict.fromkeys(VARIABLES.values()):
        given = environment.get(name, "").strip()
        if given:
            yield Setting(name, _HIDDEN if is_secret(name) else value_without_secrets(given), "environment")
        elif name in DEFAULTS:
            yield Setting(name, DEFAULTS[name], "default")
        else:
            yield Setting(name, None, "not set")


def value_of(environment: Mapping[str, str], name: str) -> str:
    """The value that is in effect, secrets included; empty if there is none."""
    return environment.get(name, "").strip() or DEFAULTS.get(name, "")


def listed(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    """The values of a comma-separated list."""
    return tuple(entry.strip() for entry in value_of(environment, name).split(",") if entry.strip())
