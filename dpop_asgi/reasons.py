"""Which check a request failed; each reason carries its sentence."""

from enum import StrEnum
from typing import Self

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
    AUTHORIZATION_REPEATED = "authorization_repeated", "More than one Authorization header was sent"
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
    NONCE_REVOKED = "nonce_revoked", _USE_THE_NONCE

    TOKEN_MALFORMED = "token_malformed", "The access token is malformed"
    TOKEN_TYPE = "token_type", "The access token is not of an accepted type (typ)"
    TOKEN_ALGORITHM = "token_algorithm", "The alg of the access token is not accepted"
    TOKEN_ISSUER = "token_issuer", "The access token was issued by an untrusted issuer"
    TOKEN_KEY_UNKNOWN = "token_key_unknown", "The access token is signed with an unknown key"
    TOKEN_SIGNATURE = "token_signature", "The signature of the access token does not verify"
    TOKEN_AUDIENCE = "token_audience", "The access token is for another audience"
    TOKEN_EXPIRED = "token_expired", "The access token has expired"
    TOKEN_NOT_YET_VALID = "token_not_yet_valid", "The access token is not valid yet"
    TOKEN_INACTIVE = "token_inactive", "The access token is not active: expired or revoked or never issued"
    TOKEN_REJECTED = "token_rejected", "The access token is not valid"

    BINDING_MISSING = "binding_missing", "The access token is not bound to a DPoP key"
    BINDING_MALFORMED = "binding_malformed", "The confirmation of the access token is malformed"
    BINDING_UNSUPPORTED = "binding_unsupported", "The access token is bound by a method that is not supported"
    BINDING_MISMATCH = "binding_mismatch", "Invalid DPoP key binding"
    KEY_REVOKED = "key_revoked", "The key of the DPoP proof is revoked"
    BOUND_TOKEN_AS_BEARER = "bound_token_as_bearer", "A DPoP-bound access token must be sent under the DPoP scheme"
    BEARER_NOT_ACCEPTED = "bearer_not_accepted", "Only DPoP-bound access tokens are accepted"

    SCOPE_INSUFFICIENT = "scope_insufficient", "The access token lacks a required scope"
    AUTHENTICATION_INSUFFICIENT = "authentication_insufficient", "The user must sign in again or in a stronger way"

    DPOP_JKT_MALFORMED = "dpop_jkt_malformed", "dpop_jkt must be the base64url SHA-256 thumbprint of a key"
    DPOP_JKT_MISMATCH = "dpop_jkt_mismatch", "dpop_jkt is not the thumbprint of the DPoP proof's key"
    GRANT_KEY_MISMATCH = "grant_key_mismatch", "The grant is bound to a DPoP key that the request does not prove"
