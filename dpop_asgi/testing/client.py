"""A client whose proofs can be broken in each part."""

import time
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

from dpop_asgi.client.proofs import jwt, proof_claims, proof_header
from dpop_asgi.core.ports import Clock
from dpop_asgi.core.private_key import PrivateKey

NOTHING: Mapping[str, Any] = MappingProxyType({})


def changed(members: dict[str, Any], changes: Mapping[str, Any], without: Collection[str]) -> dict[str, Any]:
    """Members of a header or of claims, with some added, replaced or left out."""
    return {name: value for name, value in {**members, **changes}.items() if name not in without}


class Client:
    """A client with a key, whose proofs can be broken in each part.

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
        header: Mapping[str, Any] = NOTHING,
        claims: Mapping[str, Any] = NOTHING,
        without: Collection[str] = (),
        signed_by: PrivateKey | None = None,
    ) -> str:
        """A DPoP proof (RFC 9449 §4.2), correct except for the changes.

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
        issued_at = int(self._clock())
        full_claims = proof_claims(method, uri, issued_at=issued_at, access_token=access_token, nonce=nonce)
        full_header = changed(proof_header(self.key), header, without)
        return jwt(full_header, changed(full_claims, claims, without), signed_by or self.key)

    def headers(self, method: str, uri: str, access_token: str, **changes: Any) -> dict[str, str]:  # noqa: ANN401
        """The two headers of a request; `changes` as for `proof`."""
        proof = self.proof(method, uri, access_token, **changes)
        return {"Authorization": f"DPoP {access_token}", "DPoP": proof}
