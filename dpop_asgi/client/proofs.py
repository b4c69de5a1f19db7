"""Makes DPoP proofs (RFC 9449 §4.2)."""

import json
import secrets
from collections.abc import Mapping
from typing import Any

from dpop_asgi.core.encoding import b64url_encode, sha256_b64url
from dpop_asgi.core.private_key import PrivateKey

# Of a `jti`: cannot be guessed, and no two are the same (RFC 9449 §4.2: at least 96 bits).
_JTI_BYTES = 16


def proof_header(key: PrivateKey) -> dict[str, Any]:
    """The JOSE header of proofs that are signed with `key`."""
    return {"typ": "dpop+jwt", "alg": key.algorithm, "jwk": key.public_jwk}


def proof_claims(
    method: str, uri: str, *, issued_at: int, access_token: str | None = None, nonce: str | None = None
) -> dict[str, Any]:
    """The claims of a proof for one request.

    Args:
        method: `htm`.
        uri: `htu`, as given.
        issued_at: `iat`, seconds since the epoch.
        access_token: what `ath` is the hash of; `None` at a token endpoint.
        nonce: that the server issued.
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
    """A compact JWS over exactly this header and payload; bytes are taken as they are."""
    segments = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, claims)]
    signing_input = ".".join(b64url_encode(segment) for segment in segments)
    return f"{signing_input}.{b64url_encode(key.sign(signing_input.encode()))}"
