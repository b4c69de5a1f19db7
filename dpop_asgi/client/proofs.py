"""Creates DPoP proofs (RFC 9449 §4.2)."""

import json
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from dpop_asgi.core.encoding import b64url_encode, sha256_b64url
from dpop_asgi.core.private_key import PrivateKey

# The length of a `jti`. RFC 9449 §4.2 suggests at least 96 random bits, so that no two are the same.
_JTI_BYTES = 16

# Hot path: `json.dumps` with separators makes an encoder for each call.
_to_json = json.JSONEncoder(separators=(",", ":")).encode


def proof_header(algorithm: str, public_jwk: Mapping[str, Any]) -> dict[str, Any]:
    """The JOSE header of proofs that are signed with a key."""
    return {"typ": "dpop+jwt", "alg": algorithm, "jwk": dict(public_jwk)}


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


def segment(part: Mapping[str, Any] | bytes) -> str:
    """A header or payload as a segment of a JWS; bytes are used as they are."""
    return b64url_encode(part if isinstance(part, bytes) else _to_json(part).encode())


def signed(header_segment: str, payload: Mapping[str, Any] | bytes, sign: Callable[[bytes], bytes]) -> str:
    """A compact JWS of a header that is a segment already."""
    signing_input = f"{header_segment}.{segment(payload)}"
    return f"{signing_input}.{b64url_encode(sign(signing_input.encode()))}"


def jwt(header: Mapping[str, Any] | bytes, claims: Mapping[str, Any] | bytes, key: PrivateKey) -> str:
    """A compact JWS of exactly this header and payload; bytes are used as they are."""
    return signed(segment(header), claims, key.sign)
