"""DPoP (RFC 9449) for OAuth resource servers on ASGI: proofs, nonces, replay protection, challenges."""

import importlib
import typing

from dpop_asgi.asgi.middleware import DPoPMiddleware
from dpop_asgi.asgi.resource_metadata import ResourceMetadata
from dpop_asgi.asgi.token_endpoint import TokenEndpointDPoP, dpop_from, record_proof
from dpop_asgi.authenticator import Authenticator
from dpop_asgi.core.access_token import AccessToken
from dpop_asgi.core.authorization import Requirement
from dpop_asgi.core.caller import Caller
from dpop_asgi.core.credentials import IncomingRequest
from dpop_asgi.core.decision import Decision, Observer
from dpop_asgi.core.key_binding import check_grant_key, requested_key
from dpop_asgi.core.policy import ProofPolicy
from dpop_asgi.core.ports import Clock, Store, TokenVerifier
from dpop_asgi.decision_log import DecisionLog, log_decisions
from dpop_asgi.errors import (
    DPoPError,
    InsufficientAuthentication,
    InsufficientScope,
    InvalidGrant,
    InvalidProof,
    InvalidRequest,
    InvalidToken,
    IssuerUnavailable,
    MissingCredentials,
    Reason,
    Refusal,
    StoreError,
    StoreUnavailable,
    UseNonce,
)
from dpop_asgi.nonces import NoncePolicy
from dpop_asgi.proof_verifier import CheckedProof, ProofVerifier, VerifiedProof
from dpop_asgi.revocation import Revocations
from dpop_asgi.starlette import caller_from
from dpop_asgi.stores.memory import MemoryStore

if typing.TYPE_CHECKING:
    from dpop_asgi.stores.redis.store import RedisStore
    from dpop_asgi.tokens.by_shape import TokensByShape
    from dpop_asgi.tokens.introspection import IntrospectionVerifier
    from dpop_asgi.tokens.jwt import JWTVerifier
    from dpop_asgi.tokens.trusted_issuer import TrustedIssuer

__version__ = "0.2.0"

__all__ = [
    "AccessToken",
    "Authenticator",
    "Caller",
    "CheckedProof",
    "Clock",
    "DPoPError",
    "DPoPMiddleware",
    "Decision",
    "DecisionLog",
    "IncomingRequest",
    "InsufficientAuthentication",
    "InsufficientScope",
    "IntrospectionVerifier",
    "InvalidGrant",
    "InvalidProof",
    "InvalidRequest",
    "InvalidToken",
    "IssuerUnavailable",
    "JWTVerifier",
    "MemoryStore",
    "MissingCredentials",
    "NoncePolicy",
    "Observer",
    "ProofPolicy",
    "ProofVerifier",
    "Reason",
    "RedisStore",
    "Refusal",
    "Requirement",
    "ResourceMetadata",
    "Revocations",
    "Store",
    "StoreError",
    "StoreUnavailable",
    "TokenEndpointDPoP",
    "TokenVerifier",
    "TokensByShape",
    "TrustedIssuer",
    "UseNonce",
    "VerifiedProof",
    "caller_from",
    "check_grant_key",
    "dpop_from",
    "log_decisions",
    "record_proof",
    "requested_key",
]

# Imported when first used: redis and httpx2 take longer to import than all the rest.
_MODULES = {
    "IntrospectionVerifier": "tokens.introspection",
    "JWTVerifier": "tokens.jwt",
    "RedisStore": "stores.redis.store",
    "TokensByShape": "tokens.by_shape",
    "TrustedIssuer": "tokens.trusted_issuer",
}

# Hidden from type checkers, which would take any name for one of these.
if not typing.TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg, name=name)
        value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
