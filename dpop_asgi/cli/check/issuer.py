"""The issuer, looked at in the way in which a server fetches its keys."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

from dpop_asgi.cli.check.clock import Ahead
from dpop_asgi.cli.check.configuration import listed, value_of
from dpop_asgi.core.ports import Clock
from dpop_asgi.errors import IssuerUnavailable
from dpop_asgi.tokens.issuer.key_set import KeySet
from dpop_asgi.tokens.issuer.remote_keys import RemoteKeys

# As long as a request waits: the default of `JWTVerifier`.
_SECONDS = 3.0

_MOST_AGE = 2**31

_METADATA = (".well-known/oauth-authorization-server", ".well-known/openid-configuration")


@dataclass(slots=True)
class IssuerSeen:
    """What an issuer's responses say.

    Attributes:
        issuer: its identifier, as configured.
        jwks_uri: the configured URL of its keys; empty if that is looked up in the metadata.
        metadata: the metadata that it sent last.
        metadata_url: where that was; empty if there was none, or none was asked for.
        keys: its keys; `None` if they cannot be fetched.
        failure: why not.
        ahead: how far its clock is ahead of ours, by each response that has a date.
    """

    issuer: str
    jwks_uri: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    metadata_url: str = ""
    keys: KeySet | None = None
    failure: str = ""
    ahead: list[Ahead] = field(default_factory=list)


async def look_at_issuer(environment: Mapping[str, str], clock: Clock) -> IssuerSeen:
    """Fetch the metadata and the keys of the configured issuer, which is valid; twice if the first time fails."""
    seen = await _look(environment, clock)
    return await _look(environment, clock) if seen.keys is None else seen


async def _look(environment: Mapping[str, str], clock: Clock) -> IssuerSeen:
    seen = IssuerSeen(value_of(environment, "DPOP_ISSUER"), value_of(environment, "DPOP_JWKS_URI"))
    asked_at = clock()

    def observe(url: str, document: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        if any(address in url for address in _METADATA) and url != seen.jwks_uri:
            seen.metadata, seen.metadata_url = document, url
        seen.ahead += _ahead(headers, asked_at, clock())

    keys = RemoteKeys(
        seen.issuer,
        jwks_uri=seen.jwks_uri or None,
        timeout=_SECONDS,
        max_stale_seconds=0.0,
        insecure_http_hosts=listed(environment, "DPOP_INSECURE_HTTP_HOSTS"),
        clock=time.time,
        observe=observe,
    )
    try:
        seen.keys = await keys.key_set()
    except IssuerUnavailable as error:
        seen.failure = str(error)
    return seen


def _ahead(headers: Mapping[str, str], asked_at: float, arrived_at: float) -> list[Ahead]:
    """By the `Date` of a response: it was rounded down, and some time ago if the response comes from a cache."""
    try:
        date = parsedate_to_datetime(headers.get("date", "")).timestamp() + _age(headers.get("age", "0"))
    except (ValueError, OverflowError):
        return []
    return [Ahead(date - arrived_at, date + 1.0 - asked_at)]


def _age(seconds: str) -> int:
    """RFC 9111 §1.2.2: of what doesn't fit into 32 bits, nothing is known."""
    age = int(seconds)
    if not 0 <= age < _MOST_AGE:
        msg = "no age"
        raise ValueError(msg)
    return age
