"""A client for tests, which can create valid and invalid proofs."""

import json
import time
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

import httpx2

from dpop_asgi.client.auth import DPoPAuth
from dpop_asgi.client.key import Key
from dpop_asgi.client.proofs import jwt, proof_header, proof_payload
from dpop_asgi.core.encoding import sha256_b64url
from dpop_asgi.core.ports import Clock
from dpop_asgi.core.private_key import PrivateKey

NOTHING: Mapping[str, Any] = MappingProxyType({})


def changed(members: dict[str, Any], changes: Mapping[str, Any], without: Collection[str]) -> dict[str, Any]:
    """The members of a header or of claims, with some added, replaced or left out."""
    return {name: value for name, value in {**members, **changes}.items() if name not in without}


class AnyHostAuth(DPoPAuth):
    """Sends tokens over plain http to any host: in tests, they don't leave the machine."""

    def _require_encryption(self, url: httpx2.URL) -> None:
        """Whatever the host is called."""


class Client:
    """A client with a key. Each part of its proofs can be changed, to make it invalid.

    Args:
        algorithm: the algorithm of the key, and of its proofs.
        clock: seconds since the epoch, for `iat`.
        key: an existing key, instead of a new one.
    """

    def __init__(self, algorithm: str = "ES256", *, clock: Clock = time.time, key: PrivateKey | None = None) -> None:
        self.key: PrivateKey = key or PrivateKey.generate(algorithm)
        self._clock = clock

    @property
    def thumbprint(self) -> str:
        """The key's thumbprint, which tokens for this client have in `cnf.jkt`."""
        return self.key.thumbprint

    def proof(
        self,
        method: str,
        uri: str,
        access_token: str | None = None,
        *,
        nonce: str | None = None,
        header: Mapping[str, Any] = NOTHING,
        claims: Mapping[str, Any] = NOTHING,
        without: Collection[str] = (),
        signed_by: PrivateKey | None = None,
    ) -> str:
        """A DPoP proof (RFC 9449 §4.2), correct except for the changes.

        Args:
            method: `htm`.
            uri: `htu`, as given.
            access_token: the token to hash for `ath`; `None` leaves it out.
            nonce: the nonce that the server issued.
            header: header parameters to add or replace.
            claims: claims to add or replace.
            without: names of header parameters and claims to leave out.
            signed_by: a key to sign with, other than the one in `jwk`.
        """
        issued_at = int(self._clock())
        token_hash = None if access_token is None else sha256_b64url(access_token)
        payload = proof_payload(method, uri, issued_at=issued_at, token_hash=token_hash, nonce=nonce)
        full_claims = json.loads(payload)
        full_header = changed(proof_header(self.key.algorithm, self.key.public_jwk), header, without)
        return jwt(full_header, changed(full_claims, claims, without), signed_by or self.key)

    def headers(self, method: str, uri: str, access_token: str, **changes: Any) -> dict[str, str]:  # noqa: ANN401
        """The `Authorization` and `DPoP` headers of a request; `changes` as for `proof`."""
        proof = self.proof(method, uri, access_token, **changes)
        return {"Authorization": f"DPoP {access_token}", "DPoP": proof}

    def auth(self, access_token: str) -> DPoPAuth:
        """For `auth=` of httpx2 and of Starlette's `TestClient`: requests that are correct, and that handle nonces."""
        key = Key(self.key.public_jwk, self.key.sign, alg=self.key.algorithm)
        return AnyHostAuth(access_token, key=key, clock=self._clock)
