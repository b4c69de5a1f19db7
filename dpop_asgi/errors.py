"""Why a request may not pass, as data.

    DPoPError
    ├── StoreError                    the store cannot say: 503
    │   └── StoreUnavailable          since it is down: 503, or accepted by `on_store_failure="accept"`
    ├── IssuerUnavailable             the issuer's keys cannot be had: 503
    └── Refusal                       the request is at fault
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
from typing import ClassVar

_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+")


class Reason(StrEnum):
    """Which check a request failed: one member per check, for logs, metrics and tests."""

    AUTHORIZATION_MISSING = "authorization_missing"
    AUTHORIZATION_SCHEME = "authorization_scheme"
    AUTHORIZATION_REPEATED = "authorization_repeated"
    AUTHORIZATION_MALFORMED = "authorization_malformed"
    AUTHORIZATION_TOO_LARGE = "authorization_too_large"

    HOST_MALFORMED = "host_malformed"
    HOST_NOT_ALLOWED = "host_not_allowed"
    FORWARDED_MALFORMED = "forwarded_malformed"
    TARGET_MALFORMED = "target_malformed"

    PROOF_MISSING = "proof_missing"
    PROOF_REPEATED = "proof_repeated"
    PROOF_TOO_LARGE = "proof_too_large"
    PROOF_MALFORMED = "proof_malformed"
    PROOF_TYPE = "proof_type"
    PROOF_ALGORITHM = "proof_algorithm"
    PROOF_CRITICAL = "proof_critical"
    KEY_MISSING = "key_missing"
    KEY_PRIVATE = "key_private"
    KEY_UNFIT = "key_unfit"
    KEY_INVALID = "key_invalid"
    CLAIM_MISSING = "claim_missing"
    CLAIM_MALFORMED = "claim_malformed"
    METHOD_MISMATCH = "method_mismatch"
    TARGET_MISMATCH = "target_mismatch"
    ISSUED_TOO_EARLY = "issued_too_early"
    ISSUED_IN_FUTURE = "issued_in_future"
    PROOF_EXPIRED = "proof_expired"
    PROOF_NOT_YET_VALID = "proof_not_yet_valid"
    TOKEN_HASH_MISMATCH = "token_hash_mismatch"
    SIGNATURE_INVALID = "signature_invalid"
    PROOF_REPLAYED = "proof_replayed"

    NONCE_MISSING = "nonce_missing"
    NONCE_MALFORMED = "nonce_malformed"
    NONCE_EXPIRED = "nonce_expired"
    NONCE_UNKNOWN = "nonce_unknown"
    NONCE_SUPERSEDED = "nonce_superseded"

    TOKEN_MALFORMED = "token_malformed"
    TOKEN_TYPE = "token_type"
    TOKEN_ALGORITHM = "token_algorithm"
    TOKEN_ISSUER = "token_issuer"
    TOKEN_KEY_UNKNOWN = "token_key_unknown"
    TOKEN_SIGNATURE = "token_signature"
    TOKEN_AUDIENCE = "token_audience"
    TOKEN_EXPIRED = "token_expired"
    TOKEN_NOT_YET_VALID = "token_not_yet_valid"
    TOKEN_REJECTED = "token_rejected"

    BINDING_MISSING = "binding_missing"
    BINDING_MALFORMED = "binding_malformed"
    BINDING_UNSUPPORTED = "binding_unsupported"
    BINDING_MISMATCH = "binding_mismatch"
    BOUND_TOKEN_AS_BEARER = "bound_token_as_bearer"
    BEARER_NOT_ACCEPTED = "bearer_not_accepted"

    SCOPE_INSUFFICIENT = "scope_insufficient"


DESCRIPTIONS: dict[Reason, str] = {
    Reason.AUTHORIZATION_MISSING: "An access token under the DPoP scheme and a DPoP proof are needed",
    Reason.AUTHORIZATION_SCHEME: "This authorization scheme is not supported here",
    Reason.AUTHORIZATION_REPEATED: "More than one Authorization field or access token was sent",
    Reason.AUTHORIZATION_MALFORMED: "The Authorization field must be a scheme and one token with a space between",
    Reason.AUTHORIZATION_TOO_LARGE: "The Authorization field is too large",
    Reason.HOST_MALFORMED: "The request needs exactly one well-formed Host",
    Reason.HOST_NOT_ALLOWED: (
        "This Host is not served here; the server's settings public_url and allowed_hosts say which are"
    ),
    Reason.FORWARDED_MALFORMED: "The forwarding fields of the proxy are malformed or ambiguous",
    Reason.TARGET_MALFORMED: "The request target is malformed",
    Reason.PROOF_MISSING: "The DPoP field is missing",
    Reason.PROOF_REPEATED: "More than one DPoP proof was sent",
    Reason.PROOF_TOO_LARGE: "The DPoP proof is too large",
    Reason.PROOF_MALFORMED: "The DPoP proof is not a well-formed JWT",
    Reason.PROOF_TYPE: "The typ of the DPoP proof must be dpop+jwt",
    Reason.PROOF_ALGORITHM: "The alg of the DPoP proof is not one of the accepted algs",
    Reason.PROOF_CRITICAL: "The DPoP proof has a critical header parameter that is not supported",
    Reason.KEY_MISSING: "The DPoP proof needs a public key in its jwk header parameter",
    Reason.KEY_PRIVATE: "The jwk of the DPoP proof must not hold a private or symmetric key",
    Reason.KEY_UNFIT: "The jwk of the DPoP proof does not fit its alg",
    Reason.KEY_INVALID: "The jwk of the DPoP proof is not an acceptable public key",
    Reason.CLAIM_MISSING: "The DPoP proof lacks a required claim",
    Reason.CLAIM_MALFORMED: "A claim of the DPoP proof has the wrong type",
    Reason.METHOD_MISMATCH: "The htm of the DPoP proof is not the method of this request",
    Reason.TARGET_MISMATCH: "The htu of the DPoP proof is not the URI of this request",
    Reason.ISSUED_TOO_EARLY: "The iat of the DPoP proof is too long ago",
    Reason.ISSUED_IN_FUTURE: "The iat of the DPoP proof is in the future",
    Reason.PROOF_EXPIRED: "The DPoP proof has expired",
    Reason.PROOF_NOT_YET_VALID: "The DPoP proof is not valid yet",
    Reason.TOKEN_HASH_MISMATCH: "The ath of the DPoP proof is not the hash of the access token",
    Reason.SIGNATURE_INVALID: "The signature of the DPoP proof does not verify with its jwk",
    Reason.PROOF_REPLAYED: "The DPoP proof was used before",
    Reason.NONCE_MISSING: "The DPoP proof must carry the nonce of the DPoP-Nonce field",
    Reason.NONCE_MALFORMED: "The DPoP proof must carry the nonce of the DPoP-Nonce field",
    Reason.NONCE_EXPIRED: "The DPoP proof must carry the nonce of the DPoP-Nonce field",
    Reason.NONCE_UNKNOWN: "The DPoP proof must carry the nonce of the DPoP-Nonce field",
    Reason.NONCE_SUPERSEDED: "The DPoP proof must carry the nonce of the DPoP-Nonce field",
    Reason.TOKEN_MALFORMED: "The access token is malformed",
    Reason.TOKEN_TYPE: "The typ of the access token must be at+jwt",
    Reason.TOKEN_ALGORITHM: "The alg of the access token is not accepted",
    Reason.TOKEN_ISSUER: "The access token is of an issuer that is not trusted here",
    Reason.TOKEN_KEY_UNKNOWN: "The access token is signed with an unknown key",
    Reason.TOKEN_SIGNATURE: "The signature of the access token does not verify",
    Reason.TOKEN_AUDIENCE: "The access token is for another audience",
    Reason.TOKEN_EXPIRED: "The access token has expired",
    Reason.TOKEN_NOT_YET_VALID: "The access token is not valid yet",
    Reason.TOKEN_REJECTED: "The access token is not valid",
    Reason.BINDING_MISSING: "The access token is not bound to a DPoP key",
    Reason.BINDING_MALFORMED: "The confirmation of the access token is malformed",
    Reason.BINDING_UNSUPPORTED: "The access token is bound by a method that is not supported here",
    Reason.BINDING_MISMATCH: "Invalid DPoP key binding",
    Reason.BOUND_TOKEN_AS_BEARER: "A DPoP-bound access token must be sent under the DPoP scheme",
    Reason.BEARER_NOT_ACCEPTED: "Only DPoP-bound access tokens are accepted here",
    Reason.SCOPE_INSUFFICIENT: "The access token does not have the scope that is needed",
}


class DPoPError(Exception):
    """Base of all that this library raises at run time."""


class StoreError(DPoPError):
    """The store cannot say, for whatever reason: it is full, it refuses, we ask too much of it. Answered with 503."""


class StoreUnavailable(StoreError):
    """The store was seen to be unavailable: 503, or accepted where `on_store_failure` is `accept`.

    Its connection was refused or broken, it left what was sent to it unanswered for the whole timeout, or it says so
    itself. To be too busy to hear it, or too many at a time, is a plain `StoreError`: whoever can cause that must not
    be able to use a proof again. A store of your own raises this class only for what no client can bring about.
    """


class Superseded(StoreError):
    """The store is another incarnation (`by`, if known) than a call was meant for: it may have forgotten something."""

    def __init__(self, by: str | None) -> None:
        super().__init__("the store was restarted or replaced")
        self.by: str | None = by


class IssuerUnavailable(DPoPError):
    """The issuer's keys are not known and cannot be fetched now. The request is answered with 503."""


class Refusal(DPoPError):
    """The request may not pass.

    Attributes:
        code: the OAuth error code that the client is told, `None` for no code.
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
        return DESCRIPTIONS[self.reason]


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
        scopes: what would be needed; told to the client.

    Raises:
        ValueError: when one is not a scope-token (RFC 6749 §3.3).
    """

    code: ClassVar[str | None] = "insufficient_scope"

    def __init__(self, *scopes: str) -> None:
        if not all(_SCOPE_TOKEN.fullmatch(scope) for scope in scopes):
            msg = f"scopes: one of {scopes!r} is not a scope-token"
            raise ValueError(msg)
        super().__init__(Reason.SCOPE_INSUFFICIENT, needed=scopes)
        self.scopes = scopes
        if scopes:
            self.parameters = {"scope": " ".join(scopes)}
