"""For tests of protected APIs, yours and ours: an issuer, keys, proofs in which each part can be broken alone, a clock.

clock = ManualClock()
issuer = Issuer("https://id.example.com", audience="https://api.example.com", clock=clock)
client = Client(clock=clock)
token = issuer.access_token(client)
headers = client.headers("GET", "https://api.example.com/orders", token)
"""

import json
import secrets
import time
from collections.abc import Collection, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from dpop_asgi.core.encoding import b64url_encode, sha256_b64url
from dpop_asgi.core.ports import Clock
from dpop_asgi.core.private_key import PrivateKey

_NOTHING: Mapping[str, Any] = {}


class ManualClock:
    """A clock that stands until it is moved: pass it wherever a `clock` is taken."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now: float = now

    def __call__(self) -> float:
        """Seconds since the epoch."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Move on, or back."""
        self.now += seconds


def jwt(header: Mapping[str, Any] | bytes, claims: Mapping[str, Any] | bytes, key: PrivateKey) -> str:
    """A compact JWS over exactly this header and payload; bytes are taken as they are."""
    segments = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, claims)]
    signing_input = ".".join(b64url_encode(segment) for segment in segments)
    return f"{signing_input}.{b64url_encode(key.sign(signing_input.encode()))}"


def _changed(members: dict[str, Any], changes: Mapping[str, Any], without: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in {**members, **changes}.items() if name not in without}


class Client:
    """A client with a key of its own.

    Args:
        algorithm: of the key and the proofs.
        clock: for `iat`.
    """

    def __init__(self, algorithm: str = "ES256", *, clock: Clock = time.time, key: PrivateKey | None = None) -> None:
        self.key: PrivateKey = key or PrivateKey.generate(algorithm)
        self._clock = clock

    @property
    def thumbprint(self) -> str:
        """What a token for this client has in `cnf.jkt`."""
        return self.key.thumbprint

    def proof(
        self,
        method: str,
        uri: str,
        access_token: str | None = None,
        *,
        nonce: str | None = None,
        header: Mapping[str, Any] = _NOTHING,
        claims: Mapping[str, Any] = _NOTHING,
        without: Collection[str] = (),
        signed_by: PrivateKey | None = None,
    ) -> str:
        """A DPoP proof (RFC 9449 §4.2), correct but for what is asked otherwise.

        Args:
            method: `htm`.
            uri: `htu`, as given.
            access_token: what `ath` is the hash of.
            nonce: the server's.
            header: header parameters to add or replace.
            claims: claims to add or replace.
            without: names of header parameters and claims to leave out.
            signed_by: another key than the one in `jwk`.
        """
        full_header = {"typ": "dpop+jwt", "alg": self.key.algorithm, "jwk": self.key.public_jwk}
        full_claims: dict[str, Any] = {
            "jti": secrets.token_urlsafe(16),
            "htm": method,
            "htu": uri,
            "iat": int(self._clock()),
        }
        if access_token is not None:
            full_claims["ath"] = sha256_b64url(access_token)
        if nonce is not None:
            full_claims["nonce"] = nonce
        return jwt(
            _changed(full_header, header, without), _changed(full_claims, claims, without), signed_by or self.key
        )

    def headers(self, method: str, uri: str, access_token: str, **changes: Any) -> dict[str, str]:  # noqa: ANN401
        """The two fields of a request; `changes` as for `proof`."""
        proof = self.proof(method, uri, access_token, **changes)
        return {"Authorization": f"DPoP {access_token}", "DPoP": proof}


class Issuer:
    """An authorization server that issues signed access tokens (RFC 9068) and publishes its keys.

    `app` is an ASGI app with its metadata (RFC 8414) and key set; `fetches` counts requests to the key set.

    Args:
        url: issuer identifier.
        audience: of its tokens.
        algorithm: of its signing key.
        clock: for `iat` and `exp`.
    """

    def __init__(self, url: str, *, audience: str, algorithm: str = "ES256", clock: Clock = time.time) -> None:
        self.url = url
        self.audience = audience
        self.fetches: int = 0
        self._algorithm = algorithm
        self._clock = clock
        self.keys: dict[str, PrivateKey] = {}
        self.rotate()
        self.app: Starlette = Starlette(
            routes=[
                Route("/.well-known/oauth-authorization-server", self._serve_metadata),
                Route("/jwks", self._serve_jwks),
            ]
        )

    def rotate(self, *, keep_old: bool = True) -> None:
        """Sign with a new key from now on."""
        if not keep_old:
            self.keys.clear()
        self.kid: str = secrets.token_hex(4)
        self.keys[self.kid] = PrivateKey.generate(self._algorithm)

    @property
    def jwks(self) -> dict[str, Any]:
        """The published key set (RFC 7517 §5)."""
        return {"keys": [{**key.public_jwk, "kid": kid, "use": "sig"} for kid, key in self.keys.items()]}

    @property
    def metadata(self) -> dict[str, Any]:
        """RFC 8414 §2, as far as a resource server reads it."""
        return {"issuer": self.url, "jwks_uri": f"{self.url}/jwks"}

    def access_token(
        self,
        client: Client | None = None,
        *,
        header: Mapping[str, Any] = _NOTHING,
        claims: Mapping[str, Any] = _NOTHING,
        without: Collection[str] = (),
        signed_by: PrivateKey | None = None,
    ) -> str:
        """An access token bound to the client's key, unbound without a client; changes as for `Client.proof`."""
        now = int(self._clock())
        full_header = {"typ": "at+jwt", "alg": self._algorithm, "kid": self.kid}
        full_claims = {
            "iss": self.url,
            "aud": self.audience,
            "sub": "alice",
            "client_id": "demo-client",
            "scope": "orders:read",
            "iat": now,
            "exp": now + 3600,
            "jti": secrets.token_urlsafe(8),
        }
        if client is not None:
            full_claims["cnf"] = {"jkt": client.thumbprint}
        key = signed_by or self.keys[self.kid]
        return jwt(_changed(full_header, header, without), _changed(full_claims, claims, without), key)

    async def _serve_metadata(self, _: Request) -> JSONResponse:
        return JSONResponse(self.metadata)

    async def _serve_jwks(self, _: Request) -> JSONResponse:
        self.fetches += 1
        return JSONResponse(self.jwks)
