"""Why a request is rejected, as data.

    DPoPError
    ├── StoreError                    the store can't tell: 503
    │   └── StoreUnavailable          it is unavailable: 503, or accepted by `on_store_failure="accept"`
    ├── IssuerUnavailable             the issuer's keys or its response about a token can't be fetched: 503
    └── Refusal                       the request is rejected
        ├── MissingCredentials        401, no error code
        ├── InvalidRequest            400 invalid_request
        ├── InvalidGrant              400 invalid_grant, at token endpoints
        ├── InvalidToken              401 invalid_token
        ├── InvalidProof              401 invalid_dpop_proof
        ├── UseNonce                  401 use_dpop_nonce
        ├── InsufficientScope         403 insufficient_scope
        └── InsufficientAuthentication  401 insufficient_user_authentication

Nothing in this module knows HTTP: `dpop_asgi.core.challenge` gives each its status.
"""

import json
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import ClassVar

from dpop_asgi.reasons import Reason as Reason  # noqa: PLC0414 - it is imported from here

# RFC 6749 §3.3; an `acr` that is sent in a list, too.
_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+")


class DPoPError(Exception):
    """Base of every exception that this library raises at run time."""


class StoreError(DPoPError):
    """The store can't tell: it is full, rejects the call, or is overloaded. The response is 503."""


class StoreUnavailable(StoreError):
    """The store was seen to be unavailable: 503, or accepted where `on_store_failure` is `accept`.

    Its connection was refused or broken, it did not respond for the whole timeout, or it says so itself. A process that
    is too busy to read the response, or has too many calls waiting, gets a plain `StoreError`: clients that can cause
    that must not be able to use a proof again. A custom store raises this class only for what no client can cause.
    """


class Superseded(StoreError):
    """The store is another incarnation (`by`, if known) than a call was meant for: it may have forgotten something."""

    def __init__(self, by: str | None) -> None:
        super().__init__("the store was restarted or replaced")
        self.by: str | None = by


class IssuerUnavailable(DPoPError):
    """The issuer's keys, or its response about a token, are not known and can't be fetched now. The response is 503."""


class Facts(dict[str, object]):
    """Names and values for a line of a log, each after a space. JSON, so that what clients send can't forge a line."""

    def __str__(self) -> str:
        return "".join(f" {name}={json.dumps(value, default=repr)}" for name, value in self.items())


class Refusal(DPoPError):
    """The request is rejected.

    Attributes:
        code: the OAuth error code that is sent to the client, `None` for no code.
        reason: the check that failed.
        description: one sentence that is safe to send.
        facts: numbers and names for the log; never a token, proof, nonce or `jti`.
        parameters: what the challenge says besides code and description.
    """

    code: ClassVar[str | None] = None
    parameters: Mapping[str, str] = MappingProxyType({})

    def __init__(self, reason: Reason, **facts: object) -> None:
        super().__init__(reason)
        self.reason = reason
        self.facts: dict[str, object] = Facts(facts)

    @property
    def description(self) -> str:
        """One sentence for the client, without anything of the request in it."""
        return self.reason.description


class MissingCredentials(Refusal):
    """No usable credentials were sent (RFC 6750 §3.1: the challenge carries no error code)."""


class InvalidRequest(Refusal):
    """The request is malformed or ambiguous (RFC 6750 §3.1)."""

    code: ClassVar[str | None] = "invalid_request"


class InvalidToken(Refusal):
    """The access token is not valid here, or not with this key (RFC 6750 §3.1, RFC 9449 §7.1)."""

    code: ClassVar[str | None] = "invalid_token"


class InvalidProof(Refusal):
    """The DPoP proof fails a check of RFC 9449 §4.3."""

    code: ClassVar[str | None] = "invalid_dpop_proof"


class InvalidGrant(Refusal):
    """The authorization code or refresh token is bound to another key: at token endpoints (RFC 6749 §5.2)."""

    code: ClassVar[str | None] = "invalid_grant"


class UseNonce(Refusal):
    """The proof has no nonce, or none that is valid now (RFC 9449 §9)."""

    code: ClassVar[str | None] = "use_dpop_nonce"


def names(option: str, given: str | Iterable[str]) -> tuple[str, ...]:
    """One name, or several, that clients get as a list with spaces.

    Raises:
        ValueError: If one is not a scope-token (RFC 6749 §3.3); the message has the `option`.
    """
    listed = (given,) if isinstance(given, str) else tuple(given)
    for name in listed:
        if not _SCOPE_TOKEN.fullmatch(name):
            msg = f"{option}: {name!r} has a space or another character that can't be in a name (RFC 6749 §3.3)"
            raise ValueError(msg)
    return listed


class InsufficientScope(Refusal):
    """The token's scope does not cover the request (RFC 6750 §3.1).

    Args:
        scopes: what is required; sent to the client.

    Raises:
        ValueError: If one is not a scope-token (RFC 6749 §3.3).
    """

    code: ClassVar[str | None] = "insufficient_scope"

    def __init__(self, *scopes: str) -> None:
        self.scopes: tuple[str, ...] = names("scopes", scopes)
        super().__init__(Reason.SCOPE_INSUFFICIENT, needed=scopes)
        if scopes:
            self.parameters: Mapping[str, str] = {"scope": " ".join(scopes)}


class InsufficientAuthentication(Refusal):
    """The user has to sign in again, or in a stronger way: step-up (RFC 9470 §3).

    Args:
        acr_values: the accepted authentication contexts, the preferred one first; sent to the client.
        max_age: how many seconds ago the user may have signed in; sent to the client.
        scopes: what is required, if a scope is lacking too; sent to the client.
        facts: for the log.

    Raises:
        ValueError: If a name could not be sent in a list, or `max_age` is below 0.
    """

    code: ClassVar[str | None] = "insufficient_user_authentication"

    def __init__(
        self,
        acr_values: str | Iterable[str] = (),
        max_age: int | None = None,
        scopes: Iterable[str] = (),
        **facts: object,
    ) -> None:
        self.acr_values: tuple[str, ...] = names("acr_values", acr_values)
        self.max_age: int | None = max_age
        self.scopes: tuple[str, ...] = names("scopes", scopes)
        super().__init__(Reason.AUTHENTICATION_INSUFFICIENT, acr_values=self.acr_values, max_age=max_age, **facts)
        age = () if max_age is None else (f"{max_age:d}",)
        if age and not age[0].isdigit():
            msg = f"max_age: {max_age!r} is below 0"
            raise ValueError(msg)
        told = {"acr_values": self.acr_values, "max_age": age, "scope": self.scopes}
        self.parameters: Mapping[str, str] = {name: " ".join(values) for name, values in told.items() if values}
