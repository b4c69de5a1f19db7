"""Creates DPoP proofs (RFC 9449 §4.2)."""

import json
import os
from collections.abc import Callable, Mapping
from functools import lru_cache
from json.encoder import encode_basestring_ascii as _quoted
from typing import Any

from dpop_asgi.core.encoding import b64url_encode
from dpop_asgi.core.private_key import PrivateKey

# The length of a `jti`. RFC 9449 §4.2 suggests at least 96 random bits, so that no two are the same.
_JTI_BYTES = 16

# Distinct methods and URIs of which a client calls many times.
_REQUESTS = 256


def proof_header(algorithm: str, public_jwk: Mapping[str, Any]) -> dict[str, Any]:
    """The JOSE header of proofs that are signed with a key."""
    return {"typ": "dpop+jwt", "alg": algorithm, "jwk": dict(public_jwk)}


def proof_payload(
    method: str, uri: str, *, issued_at: int, token_hash: str | None = None, nonce: str | None = None
) -> bytes:
    """The claims of a proof for one request, as JSON.

    Args:
        method: `htm`.
        uri: `htu`, as given.
        issued_at: `iat`, seconds since the epoch.
        token_hash: `ath`, the `sha256_b64url` of the access token; `None` at a token endpoint.
        nonce: the nonce that the server issued.
    """
    # Hot path: to write a dictionary as JSON takes several times as long as its strings one by one.
    jti = b64url_encode(os.urandom(_JTI_BYTES))
    ath = "" if token_hash is None else f',"ath":"{token_hash}"'
    said = "" if nonce is None else f',"nonce":{_quoted(nonce)}'
    return f'{{"jti":"{jti}",{_request_claims(method, uri)},"iat":{issued_at}{ath}{said}}}'.encode()


@lru_cache(_REQUESTS)
def _request_claims(method: str, uri: str) -> str:
    return f'"htm":{_quoted(method)},"htu":{_quoted(uri)}'


def segment(part: Mapping[str, Any] | bytes) -> str:
    """A header or payload as a segment of a JWS; bytes are used as they are."""
    return b64url_encode(part if isinstance(part, bytes) else json.dumps(part).encode())


def signed(header_segment: str, payload: Mapping[str, Any] | bytes, sign: Callable[[bytes], bytes]) -> str:
    """A compact JWS of a header that is a segment already."""
    signing_input = f"{header_segment}.{segment(payload)}"
    return f"{signing_input}.{b64url_encode(sign(signing_input.encode()))}"


def jwt(header: Mapping[str, Any] | bytes, claims: Mapping[str, Any] | bytes, key: PrivateKey) -> str:
    """A compact JWS of exactly this header and payload; bytes are used as they are."""
    return signed(segment(header), claims, key.sign)
