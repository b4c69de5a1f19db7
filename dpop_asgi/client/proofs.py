"""Creates DPoP proofs (RFC 9449 §4.2)."""

import json
import secrets
from collections.abc import Mapping
from typing import Any

from dpop_asgi.core.encoding import b64url_encode, sha256_b64url
from dpop_asgi.core.private_key import PrivateKey

# The length of a `jti`. RFC 9449 §4.2 suggests at least 96 random bits, so that no two are the same.
_JTI_BYTES = 16


def proof_header(key: PrivateKey) -> dict[str, Any]:
    """The JOSE header of proofs signed with `key`."""
    return {"typ": "dpop+jwt", "alg": key.algorithm, "jwk": key.public_jwk}


def proof_claims(
    method: str, uri: str, *, issued_at: int, access_token: str | None = None, nonce: str | None = None
) -> dict[str, Any]:
    """The claims of a proof for one request.

    Args:
        method: `htm`.
        uri: `htu`, as given.
        issued_at: `iat`, seconds since the epoch.
        access_token: the token to hash for `ath`; `None` at a token endpoint.
        nonce: the nonce that the server issued.
    """
    claims: dict[str, Any] = {
        "jti": secrets.token_urlsafe(_JTI_BYTES),
        "htm": method,
        "htu": uri,
        "iat": issued_at,
    }
    if access_token is not None:
        claims["ath"] = sha256_b64url(access_token)
    if nonce is not None:
        claims["nonce"] = nonce
    return claims


def jwt(header: Mapping[str, Any] | bytes, claims: Mapping[str, Any] | bytes, key: PrivateKey) -> str:
    """A compact JWS of exactly this header and payload; bytes are used as they are."""
    segments = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, claims)]
    signing_input = ".".join(b64url_encode(segment) for segment in segments)
    return f"{signing_input}.{b64url_encode(key.sign(signing_input.encode()))}"
