"""An authorization server for tests."""

import secrets
import time
from collections.abc import Collection, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from dpop_asgi.client.proofs import jwt
from dpop_asgi.core.ports import Clock
from dpop_asgi.core.private_key import PrivateKey
from dpop_asgi.testing.client import NOTHING, Client, changed


class Issuer:
    """An authorization server that issues signed access tokens (RFC 9068) and publishes its keys.

    `app` is an ASGI app that serves its metadata (RFC 8414) and key set; `fetches` counts requests for the key set.

    Args:
        url: the issuer identifier.
        audience: the audience of its tokens.
        algorithm: the algorithm of its signing key.
        clock: seconds since the epoch, for `iat` and `exp`.
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
        """The metadata (RFC 8414 §2) that a resource server needs."""
        return {"issuer": self.url, "jwks_uri": f"{self.url}/jwks"}

    def access_token(
        self,
        client: Client | None = None,
        *,
        header: Mapping[str, Any] = NOTHING,
        claims: Mapping[str, Any] = NOTHING,
        without: Collection[str] = (),
        signed_by: PrivateKey | None = None,
    ) -> str:
        """An access token bound to the client's key, or unbound without a client. Changes as for `Client.proof`."""
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
        return jwt(changed(full_header, header, without), changed(full_claims, claims, without), key)

    async def _serve_metadata(self, _: Request) -> JSONResponse:
        return JSONResponse(self.metadata)

    async def _serve_jwks(self, _: Request) -> JSONResponse:
        self.fetches += 1
        return JSONResponse(self.jwks)
