"""Private keys, for clients and tests: make them and sign with them."""

from collections.abc import Mapping
from typing import Any, Self

from joserfc import jwk
from joserfc.jws import JWSRegistry

from dpop_asgi.core.jwk import KEY_TYPES, matches_algorithm


class PrivateKey:
    """A signing key for clients and tests: makes signatures over bytes."""

    def __init__(self, algorithm: str, key: Any) -> None:  # noqa: ANN401 - joserfc's key classes share no public base
        self.algorithm = algorithm
        self._key = key

    @classmethod
    def generate(cls, algorithm: str = "ES256", *, rsa_bits: int = 2048) -> Self:
        """A new key for `algorithm`."""
        kty, crv = KEY_TYPES[algorithm]
        if kty == "RSA":
            return cls(algorithm, jwk.RSAKey.generate_key(rsa_bits, auto_kid=False))
        if kty == "EC":
            return cls(algorithm, jwk.ECKey.generate_key(crv or "", auto_kid=False))
        return cls(algorithm, jwk.OKPKey.generate_key("Ed25519", auto_kid=False))

    @classmethod
    def from_jwk(cls, algorithm: str, members: Mapping[str, Any]) -> Self:
        """The key in a private JWK.

        Raises:
            ValueError: If it isn't a private key for `algorithm`.
        """
        key = jwk.import_key(dict(members))
        if not matches_algorithm(members, algorithm) or not key.is_private:
            msg = "not a private key for this algorithm"
            raise ValueError(msg)
        return cls(algorithm, key)

    @property
    def public_jwk(self) -> dict[str, Any]:
        """The public members of the key."""
        return dict(self._key.as_dict(private=False))

    @property
    def private_jwk(self) -> dict[str, Any]:
        """All members of the key, the private ones too."""
        return dict(self._key.as_dict(private=True))

    @property
    def thumbprint(self) -> str:
        """RFC 7638 SHA-256 thumbprint."""
        return str(self._key.thumbprint())

    def sign(self, message: bytes) -> bytes:
        """The raw JWS signature over `message`."""
        return bytes(JWSRegistry.algorithms[self.algorithm].sign(message, self._key))
