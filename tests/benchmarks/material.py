"""Keys, tokens and proofs, made fast: signing must not take longer than what is measured.

They look as those of real clients do: header and claims in the same order and of the same sizes.
"""

import itertools
import json
import secrets
import time
from collections.abc import Iterator
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from dpop_asgi.client.proofs import jwt, segment, signed
from dpop_asgi.core.encoding import sha256_b64url
from dpop_asgi.core.private_key import PrivateKey

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


def _compact(members: dict[str, Any]) -> bytes:
    return json.dumps(members, separators=(",", ":")).encode("ascii")


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

    def __init__(self, secret: str | None = None) -> None:
        self._key = PrivateKey.from_jwk("ES256", json.loads(secret)) if secret else PrivateKey.generate()
        self.secret = json.dumps(self._key.private_jwk)

    @property
    def jwks(self) -> dict[str, Any]:
        return {"keys": [{**self._key.public_jwk, "kid": KID, "use": "sig", "alg": "ES256"}]}

    def token(self, thumbprint: str, *, now: float, lifetime: float) -> str:
        claims = _claims(thumbprint, now=now, lifetime=lifetime)
        return jwt(_compact({"alg": "ES256", "typ": "at+jwt", "kid": KID}), _compact(claims), self._key)


class OpaqueIssuer:
    """Issues opaque tokens. `says` is what introspection says about each."""

    def __init__(self) -> None:
        self.says: dict[str, dict[str, Any]] = {}

    def token(self, thumbprint: str, *, now: float, lifetime: float) -> str:
        token = secrets.token_urlsafe(32)
        claims = _claims(thumbprint, now=now, lifetime=lifetime)
        self.says[token] = {"active": True, "token_type": "DPoP", **claims}
        return token


class FastClient:
    """A client with a key and an access token of its own."""

    __slots__ = ("_ath", "_header", "_key", "authorization")

    def __init__(self, issuer: FastIssuer | OpaqueIssuer, *, now: float, lifetime: float = 3600.0) -> None:
        self._key = PrivateKey.generate()
        self._header = segment(_compact({"alg": "ES256", "typ": "dpop+jwt", "jwk": self._key.public_jwk}))
        token = issuer.token(self._key.thumbprint, now=now, lifetime=lifetime)
        self.authorization = f"DPoP {token}".encode("ascii")
        self._ath = sha256_b64url(token)

    def proof(self, *, now: float, nonce: str | None) -> bytes:
        said = "" if nonce is None else f',"nonce":"{nonce}"'
        jti = secrets.token_urlsafe(32)
        claims = f'{{"iat":{int(now)},"jti":"{jti}","htm":"GET","htu":"{URI}","ath":"{self._ath}"{said}}}'
        return signed(self._header, claims.encode("ascii"), self._key.sign).encode("ascii")

    def fields(self, *, now: float, nonce: str | None) -> Fields:
        return (self.authorization, self.proof(now=now, nonce=nonce))


@cache
def clients_of(secret: str, count: int) -> list[FastClient]:
    """Of the issuer with this secret; they outlast every run."""
    issuer, now = FastIssuer(secret), time.time()
    return [FastClient(issuer, now=now, lifetime=86_400) for _ in range(count)]


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
