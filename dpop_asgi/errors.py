"""Why a request is rejected, as data.

    DPoPError
    ├── StoreError                    the store can't tell: 503
    │   └── StoreUnavailable          it is unavailable: 503, or accepted by `on_store_failure="accept"`
    ├── IssuerUnavailable             the issuer's keys or its answer about a token can't be fetched: 503
    └── Refusal                       the request is rejected
        ├── MissingCredentials        401, no error code
        ├── InvalidRequest            400 invalid_request
        ├── InvalidToken              401 invalid_token
        ├── InvalidProof              401 invalid_dpop_proof
        ├── UseNonce                  401 use_dpop_nonce
        └── InsufficientScope         403 insufficient_scope

Nothing in this module knows HTTP: `dpop_asgi.core.challenge` gives each its status.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import ClassVar, Self

_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+")


_USE_THE_NONCE = "The DPoP proof must contain the nonce from the DPoP-Nonce header"


class Reason(StrEnum):
    """Which check a request failed: one member per check, for logs, metrics and tests.

    Attributes:
        description: one sentence for the client, without anything of the request in it.
    """

    description: str

    def __new__(cls, value: str, description: str) -> Self:
        """Attach the sentence to the value."""
        reason = str.__new__(cls, value)
        reason._value_ = value
        reason.description = description
        return reason

    AUTHORIZATION_MISSING = (
        "authorization_missing",
        "An access token under the DPoP scheme and a proof are required",
    )
    AUTHORIZATION_SCHEME = "authorization_scheme", "This authorization scheme is not supported"
    AUTHORIZATION_REPEATED = "authorization_repeated", "More than one Authorization header or access token was sent"
    AUTHORIZATION_MALFORMED = (
        "authorization_malformed",
        "The Authorization header must contain a scheme and a single token",
    )
    AUTHORIZATION_TOO_LARGE = "authorization_too_large", "The Authorization header is too large"

    HOST_MALFORMED = "host_malformed", "The request must have exactly one well-formed Host header"
    HOST_NOT_ALLOWED = "host_not_allowed", "Unknown host (server operator: set public_url or allowed_hosts)"
    FORWARDED_MALFORMED = "forwarded_malformed", "The forwarding headers of the proxy are malformed or ambiguous"
    TARGET_MALFORMED = "target_malformed", "The request target is malformed"

    PROOF_MISSING = "proof_missing", "The DPoP header is missing"
    PROOF_REPEATED = "proof_repeated", "More than one DPoP proof was sent"
    PROOF_TOO_LARGE = "proof_too_large", "The DPoP proof is too large"
    PROOF_MALFORMED = "proof_malformed", "The DPoP proof is not a well-formed JWT"
    PROOF_TYPE = "proof_type", "The typ of the DPoP proof must be dpop+jwt"
    PROOF_ALGORITHM = "proof_algorithm", "The alg of the DPoP proof is not one of the accepted algs"
    PROOF_CRITICAL = "proof_critical", "The DPoP proof has a critical header parameter that is not supported"
    KEY_MISSING = "key_missing", "The DPoP proof must have a public key in its jwk header parameter"
    KEY_PRIVATE = "key_private", "The jwk of the DPoP proof must not contain a private or symmetric key"
    KEY_UNFIT = "key_unfit", "The jwk of the DPoP proof does not match its alg"
    KEY_INVALID = "key_invalid", "The jwk of the DPoP proof is not an acceptable public key"
    CLAIM_MISSING = "claim_missing", "The DPoP proof lacks a required claim"
    CLAIM_MALFORMED = "claim_malformed", "A claim of the DPoP proof has the wrong type"
    METHOD_MISMATCH = "method_mismatch", "The htm of the DPoP proof is not the method of this request"
    TARGET_MISMATCH = "target_mismatch", "The htu of the DPoP proof is not the URI of this request"
    ISSUED_TOO_EARLY = "issued_too_early", "The DPoP proof is too old (iat)"
    ISSUED_IN_FUTURE = "issued_in_future", "The DPoP proof was issued in the future (iat)"
    PROOF_EXPIRED = "proof_expired", "The DPoP proof has expired"
    PROOF_NOT_YET_VALID = "proof_not_yet_valid", "The DPoP proof is not valid yet"
    TOKEN_HASH_MISMATCH = "token_hash_mismatch", "The ath of the DPoP proof is not the hash of the access token"
    SIGNATURE_INVALID = "signature_invalid", "The signature of the DPoP proof does not verify with its jwk"
    PROOF_REPLAYED = "proof_replayed", "The DPoP proof was used before"

    NONCE_MISSING = "nonce_missing", _USE_THE_NONCE
    NONCE_MALFORMED = "nonce_malformed", _USE_THE_NONCE
    NONCE_EXPIRED = "nonce_expired", _USE_THE_NONCE
    NONCE_UNKNOWN = "nonce_unknown", _USE_THE_NONCE
    NONCE_SUPERSEDED = "nonce_superseded", _USE_THE_NONCE

    TOKEN_MALFORMED = "token_malformed", "The access token is malformed"
    TOKEN_TYPE = "token_type", "The access token is not of an accepted type (typ)"
    TOKEN_ALGORITHM = "token_algorithm", "The alg of the access token is not accepted"
    TOKEN_ISSUER = "token_issuer", "The access token was issued by an untrusted issuer"
    TOKEN_KEY_UNKNOWN = "token_key_unknown", "The access token is signed with an unknown key"
    TOKEN_SIGNATURE = "token_signature", "The signature of the access token does not verify"
    TOKEN_AUDIENCE = "token_audience", "The access token is for another audience"
    TOKEN_EXPIRED = "token_expired", "The access token has expired"
    TOKEN_NOT_YET_VALID = "token_not_yet_valid", "The access token is not valid yet"
    TOKEN_INACTIVE = "token_inactive", "The access token is not active: it has expired, or was revoked or never issued"
    TOKEN_REJECTED = "token_rejected", "The access token is not valid"

    BINDING_MISSING = "binding_missing", "The access token is not bound to a DPoP key"
    BINDING_MALFORMED = "binding_malformed", "The confirmation of the access token is malformed"
    BINDING_UNSUPPORTED = "binding_unsupported", "The access token is bound by a method that is not supported"
    BINDING_MISMATCH = "binding_mismatch", "Invalid DPoP key binding"
    BOUND_TOKEN_AS_BEARER = "bound_token_as_bearer", "A DPoP-bound access token must be sent under the DPoP scheme"
    BEARER_NOT_ACCEPTED = "bearer_not_accepted", "Only DPoP-bound access tokens are accepted"

    SCOPE_INSUFFICIENT = "scope_insufficient", "The access token lacks a required scope"


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
    """The issuer's keys, or its answer about a token, are not known and can't be fetched now. The response is 503."""


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
        self.facts = facts

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


class UseNonce(Refusal):
    """The proof has no nonce, or none that is good now (RFC 9449 §9)."""

    code: ClassVar[str | None] = "use_dpop_nonce"


class InsufficientScope(Refusal):
    """The token's scope does not cover the request (RFC 6750 §3.1).

    Args:
        scopes: what is required; sent to the client.

    Raises:
        ValueError: If one is not a scope-token (RFC 6749 §3.3).
    """

    code: ClassVar[str | None] = "insufficient_scope"

    def __init__(self, *scopes: str) -> None:
        if not all(_SCOPE_TOKEN.fullmatch(scope) for scope in scopes):
            msg = f"scopes: one of {scopes!r} is not a scope-token"
            raise ValueError(msg)
        super().__init__(Reason.SCOPE_INSUFFICIENT, needed=scopes)
        self.scopes = scopes
        if scopes:
            self.parameters: Mapping[str, str] = {"scope": " ".join(scopes)}
