"""Keys, tokens and proofs, made fast: signing must not take longer than what is measured.

They look as those of real clients do: header and claims in the same order and of the same sizes.
"""

import hashlib
import itertools
import json
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

ORIGIN = "https://api.example.com"
PATH = "/orders"
URI = ORIGIN + PATH
ISSUER = "https://id.example.com"
KID = "benchmark"
# What a server hands to the app besides the two headers that matter.
OTHER_FIELDS = ((b"host", b"api.example.com"), (b"accept", b"*/*"), (b"user-agent", b"benchmark/1"))

_ES256 = ec.ECDSA(SHA256())

# `Authorization` and `DPoP`.
Fields = tuple[bytes, bytes]


def b64url(raw: bytes) -> bytes:
    return urlsafe_b64encode(raw).rstrip(b"=")


def _sign(key: ec.EllipticCurvePrivateKey, header: bytes, claims: bytes) -> bytes:
    signing_input = header + b"." + b64url(claims)
    r, s = decode_dss_signature(key.sign(signing_input, _ES256))
    return signing_input + b"." + b64url(r.to_bytes(32, "big") + s.to_bytes(32, "big"))


def _compact(members: dict[str, Any]) -> bytes:
    return json.dumps(members, separators=(",", ":")).encode("ascii")


def _public_jwk(key: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    numbers = key.public_key().public_numbers()
    x, y = (b64url(number.to_bytes(32, "big")).decode() for number in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


def _claims(thumbprint: str, *, now: float, lifetime: float) -> dict[str, Any]:
    return {
        "iss": ISSUER,
        "aud": ORIGIN,
        "sub": secrets.token_hex(8),
        "client_id": "benchmark",
        "scope": "orders:read orders:write",
        "iat": int(now),
        "exp": int(now + lifetime),
        "jti": secrets.token_hex(16),
        "cnf": {"jkt": thumbprint},
    }


class FastIssuer:
    """Signs access tokens (RFC 9068). `secret` is what another process makes the same issuer from."""

    def __init__(self, secret: int | None = None) -> None:
        self.secret = secret or ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value
        self._key = ec.derive_private_key(self.secret, ec.SECP256R1())
        self._header = b64url(_compact({"alg": "ES256", "typ": "at+jwt", "kid": KID}))

    @property
    def jwks(self) -> dict[str, Any]:
        return {"keys": [{**_public_jwk(self._key), "kid": KID, "use": "sig", "alg": "ES256"}]}

    def token(self, thumbprint: str, *, now: float, lifetime: float) -> bytes:
        return _sign(self._key, self._header, _compact(_claims(thumbprint, now=now, lifetime=lifetime)))


class OpaqueIssuer:
    """Issues opaque tokens. `says` is what introspection says about each."""

    def __init__(self) -> None:
        self.says: dict[str, dict[str, Any]] = {}

    def token(self, thumbprint: str, *, now: float, lifetime: float) -> bytes:
        token = secrets.token_urlsafe(32)
        claims = _claims(thumbprint, now=now, lifetime=lifetime)
        self.says[token] = {"active": True, "token_type": "DPoP", **claims}
        return token.encode("ascii")


class FastClient:
    """A client with a key and an access token of its own."""

    __slots__ = ("_ath", "_header", "_key", "authorization")

    def __init__(self, issuer: FastIssuer | OpaqueIssuer, *, now: float, lifetime: float = 3600.0) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        jwk = _public_jwk(self._key)
        self._header = b64url(_compact({"alg": "ES256", "typ": "dpop+jwt", "jwk": jwk}))
        members = {name: jwk[name] for name in ("crv", "kty", "x", "y")}
        thumbprint = b64url(hashlib.sha256(_compact(members)).digest()).decode()
        token = issuer.token(thumbprint, now=now, lifetime=lifetime)
        self.authorization = b"DPoP " + token
        self._ath = b64url(hashlib.sha256(token).digest()).decode()

    def proof(self, *, now: float, nonce: str | None) -> bytes:
        said = "" if nonce is None else f',"nonce":"{nonce}"'
        jti = secrets.token_urlsafe(32)
        claims = f'{{"iat":{int(now)},"jti":"{jti}","htm":"GET","htu":"{URI}","ath":"{self._ath}"{said}}}'
        return _sign(self._key, self._header, claims.encode("ascii"))

    def fields(self, *, now: float, nonce: str | None) -> Fields:
        return (self.authorization, self.proof(now=now, nonce=nonce))


def scope(fields: Fields) -> dict[str, Any]:
    """A request as uvicorn hands it to the app."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": PATH,
        "raw_path": PATH.encode("ascii"),
        "query_string": b"",
        "root_path": "",
        "headers": [*OTHER_FIELDS, (b"authorization", fields[0]), (b"dpop", fields[1])],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
        "state": {},
    }


def fields_of(clients: list[FastClient], count: int, *, now: float, nonce: str | None) -> Iterator[Fields]:
    """`count` requests, each with a proof of its own, of the clients in turn."""
    for client in itertools.islice(itertools.cycle(clients), count):
        yield client.fields(now=now, nonce=nonce)


class RawVerification:
    """The denominator: one P-256 verification by `cryptography` on a loaded key, and nothing around it."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._public = self._key.public_key()

    def signed(self, count: int) -> list[tuple[bytes, bytes]]:
        """Signatures over distinct messages of the size that a proof's signing input has."""
        messages = [secrets.token_bytes(470) for _ in range(count)]
        return [(self._key.sign(message, _ES256), message) for message in messages]

    def verify(self, signature: bytes, message: bytes) -> None:
        self._public.verify(signature, message, _ES256)
