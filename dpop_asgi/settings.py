"""Reads every option of a resource server from the environment."""

import difflib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from dpop_asgi.asgi.target_uri import PublicURL
from dpop_asgi.authenticator import Authenticator
from dpop_asgi.core.options import require
from dpop_asgi.core.policy import ProofPolicy
from dpop_asgi.core.ports import Store, TokenVerifier
from dpop_asgi.core.proof import CACHED_HEADERS
from dpop_asgi.log import logger
from dpop_asgi.nonces import NoncePolicy
from dpop_asgi.stores.memory import MemoryStore
from dpop_asgi.stores.redis.store import RedisStore
from dpop_asgi.tokens.by_shape import TokensByShape
from dpop_asgi.tokens.introspection import IntrospectionVerifier
from dpop_asgi.tokens.jwt import CACHED_TOKENS, JWTVerifier
from dpop_asgi.tokens.token_types import DEFAULT_TYPES

_Value = TypeVar("_Value")

# The variable for each option, so that messages about an option can name it.
VARIABLES = {
    "public_url": "DPOP_PUBLIC_URL",
    "issuer": "DPOP_ISSUER",
    "jwks_uri": "DPOP_JWKS_URI",
    "audience": "DPOP_AUDIENCE",
    "types": "DPOP_TOKEN_TYPES",
    "client_id": "DPOP_INTROSPECTION_CLIENT_ID",
    "client_secret": "DPOP_INTROSPECTION_CLIENT_SECRET",
    "endpoint": "DPOP_INTROSPECTION_ENDPOINT",
    "cache_seconds": "DPOP_INTROSPECTION_CACHE",
    "insecure_http_hosts": "DPOP_INSECURE_HTTP_HOSTS",
    "store": "DPOP_STORE",
    "redis": "DPOP_STORE",
    "namespace": "DPOP_NAMESPACE",
    "period": "DPOP_NONCE_PERIOD",
    "grace": "DPOP_NONCE_GRACE",
    "lookahead": "DPOP_NONCE_LOOKAHEAD",
    "cached_keys": "DPOP_CACHED_CLIENTS",
    "cached_tokens": "DPOP_CACHED_CLIENTS",
    "algorithms": "DPOP_ALGORITHMS",
    "max_age": "DPOP_PROOF_MAX_AGE",
    "max_future": "DPOP_PROOF_MAX_FUTURE",
    "mode": "DPOP_MODE",
    "timeout": "DPOP_STORE_TIMEOUT",
    "on_store_failure": "DPOP_ON_STORE_FAILURE",
}
_PREFIX = "DPOP_"

# What other programs call some of them.
_OTHER_NAMES = {
    "REDIS_URL": "DPOP_STORE",
    "VALKEY_URL": "DPOP_STORE",
    "REDIS": "DPOP_STORE",
    "BASE_URL": "DPOP_PUBLIC_URL",
    "ALLOWED_HOSTS": "DPOP_PUBLIC_URL",
}


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings read from the environment.

    Attributes:
        authenticator: the configured authenticator.
        public_url: for `DPoPMiddleware`, separated by commas; `None` serves hosts of this machine only.
        insecure_http_hosts: for `DPoPMiddleware`; empty without a public URL.
    """

    authenticator: Authenticator
    public_url: tuple[str, ...] | None
    insecure_http_hosts: tuple[str, ...] = ()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """Read the variables `DPOP_*`; an empty one counts as not set.

        Args:
            environment: the variables, instead of those of the process.

        Raises:
            ValueError: If a variable is missing or invalid; the message names it.
        """
        # Not a default value, which `help` and documentation would print.
        environment = os.environ if environment is None else environment
        _warn_of_unknown(environment)
        try:
            insecure = _listed(environment, "insecure_http_hosts") or ()
            public_url = _public_url(environment, insecure)
            return cls(_authenticator(environment), public_url, () if public_url is None else insecure)
        except ValueError as error:
            option, colon, rest = str(error).partition(":")
            rest = rest.replace("insecure_http_hosts", VARIABLES["insecure_http_hosts"])
            msg = f"{VARIABLES.get(option, option)}{colon}{rest}"
            raise ValueError(msg) from None


def _public_url(environment: Mapping[str, str], insecure: tuple[str, ...]) -> tuple[str, ...] | None:
    urls = _listed(environment, "public_url")
    if urls is not None:
        PublicURL(urls, insecure_http_hosts=insecure)
    return urls


def _authenticator(environment: Mapping[str, str]) -> Authenticator:
    modes: Any = {
        "mode": _given(environment, "mode") or "required",
        "on_store_failure": _given(environment, "on_store_failure") or "refuse",
    }
    return Authenticator(
        verify_token=_verifier(environment),
        store=_store(environment),
        proof_policy=_proof_policy(environment),
        nonces=_nonces(environment),
        namespace=_given(environment, "namespace") or "dpop",
        cached_keys=_number(environment, "cached_keys", int, CACHED_HEADERS),
        **modes,
    )


def _verifier(environment: Mapping[str, str]) -> TokenVerifier:
    issuer, audience = _required(environment, "issuer"), _required(environment, "audience")
    require("audience", "," not in audience, "a single one, without comma; several are a list in Python: JWTVerifier")
    common: Any = {
        "issuer": issuer,
        "audience": audience,
        "cached_tokens": _number(environment, "cached_tokens", int, CACHED_TOKENS),
        "insecure_http_hosts": _listed(environment, "insecure_http_hosts") or (),
    }
    jwt = JWTVerifier(**common, jwks_uri=_given(environment, "jwks_uri"), types=token_types(environment))
    if not any(_given(environment, option) for option in ("client_id", "client_secret", "endpoint")):
        _warn_of_ignored(environment, "cache_seconds", because="client_id")
        return jwt
    opaque = IntrospectionVerifier(
        **common,
        client_id=_required(environment, "client_id"),
        client_secret=_required(environment, "client_secret"),
        endpoint=_given(environment, "endpoint"),
        cache_seconds=_number(environment, "cache_seconds", float, 30.0),
    )
    return TokensByShape(jwt=jwt, opaque=opaque)


def token_types(environment: Mapping[str, str]) -> tuple[str | None, ...]:
    """`DPOP_TOKEN_TYPES`: `none` stands for a token without `typ`."""
    listed = _listed(environment, "types")
    return DEFAULT_TYPES if listed is None else tuple(None if typ.lower() == "none" else typ for typ in listed)


def _proof_policy(environment: Mapping[str, str]) -> ProofPolicy:
    default = ProofPolicy()
    return ProofPolicy(
        algorithms=_listed(environment, "algorithms") or default.algorithms,
        max_age=_number(environment, "max_age", float, default.max_age),
        max_future=_number(environment, "max_future", float, default.max_future),
    )


def _nonces(environment: Mapping[str, str]) -> NoncePolicy | None:
    default = NoncePolicy()
    period = _number(environment, "period", float, default.period)
    grace = _number(environment, "grace", int, default.grace)
    lookahead = _number(environment, "lookahead", int, default.lookahead)
    if period == 0:
        _warn_of_ignored(environment, "grace", "lookahead", because="period")
    return None if period == 0 else NoncePolicy(period=period, grace=grace, lookahead=lookahead)


def _store(environment: Mapping[str, str]) -> Store:
    url = _given(environment, "store") or "memory://"
    timeout = _number(environment, "timeout", float, 0.25)
    if url == "memory://":
        _warn_of_ignored(environment, "timeout", because="store")
        return MemoryStore()
    if url.partition("://")[0] not in RedisStore.SCHEMES:
        schemes = ", ".join(f"{scheme}://" for scheme in ("memory", *RedisStore.SCHEMES))
        # Without the value, which may contain a password.
        msg = f"store: the URL must start with one of {schemes}"
        raise ValueError(msg)
    return RedisStore(url, timeout=timeout)


def _given(environment: Mapping[str, str], option: str) -> str | None:
    return environment.get(VARIABLES[option], "").strip() or None


def _listed(environment: Mapping[str, str], option: str) -> tuple[str, ...] | None:
    listed = _given(environment, option)
    return None if listed is None else tuple(name.strip() for name in listed.split(","))


def _required(environment: Mapping[str, str], option: str) -> str:
    value = _given(environment, option)
    if value is None:
        msg = f"{option}: not set, and required"
        raise ValueError(msg)
    return value


def _number(environment: Mapping[str, str], option: str, parse: Callable[[str], _Value], default: _Value) -> _Value:
    text = _given(environment, option)
    try:
        return default if text is None else parse(text)
    except ValueError:
        msg = f"{option}: {text!r} is not a{' whole' if parse is int else ''} number"
        raise ValueError(msg) from None


def _warn_of_ignored(environment: Mapping[str, str], *options: str, because: str) -> None:
    for option in options:
        if _given(environment, option) is not None:
            value = environment.get(VARIABLES[because], "") or "not set"
            logger.warning("%s has no effect while %s is %s", VARIABLES[option], VARIABLES[because], value)


def _warn_of_unknown(environment: Mapping[str, str]) -> None:
    for name in environment:
        if name.startswith(_PREFIX) and name not in VARIABLES.values():
            meant = _meant(name.removeprefix(_PREFIX))
            logger.warning("Unknown setting %s.%s", name, f" Did you mean {meant}?" if meant else "")


def _meant(name: str) -> str | None:
    """The variable that has most likely been meant by another name without its prefix."""
    known = {variable.removeprefix(_PREFIX): variable for variable in VARIABLES.values()} | _OTHER_NAMES
    close = difflib.get_close_matches(name, known, 1) or [each for each in known if each.endswith(f"_{name}")]
    return known[close[0]] if close else None
