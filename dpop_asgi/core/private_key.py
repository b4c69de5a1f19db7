"""Private keys, for clients and tests: make them and sign with them."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Self

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from joserfc import jwk
from joserfc.jws import JWSRegistry

from dpop_asgi.core.jwk import KEY_TYPES, matches_algorithm

# Each of R and S (RFC 7518 §3.4).
_ES256_BYTES = 32
_ECDSA_SHA256 = ec.ECDSA(Prehashed(hashes.SHA256()))


class PrivateKey:
    """A signing key for clients and tests: makes signatures over bytes."""

    def __init__(self, algorithm: str, key: Any) -> None:  # noqa: ANN401 - joserfc's key classes share no public base
        self.algorithm = algorithm
        self._key = key
        # Hot path of clients, nearly all of which use ES256: joserfc makes a signature take half as long again.
        self._p256 = key.get_op_key("sign") if algorithm == "ES256" else None

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
    def private_pem(self) -> bytes:
        """The private key as PEM (PKCS #8), not encrypted."""
        return bytes(self._key.as_pem(private=True))

    @property
    def thumbprint(self) -> str:
        """RFC 7638 SHA-256 thumbprint."""
        return str(self._key.thumbprint())

    def sign(self, message: bytes) -> bytes:
        """The raw JWS signature over `message`."""
        if self._p256 is None:
            return bytes(JWSRegistry.algorithms[self.algorithm].sign(message, self._key))
        r, s = decode_dss_signature(self._p256.sign(sha256(message).digest(), _ECDSA_SHA256))
        return r.to_bytes(_ES256_BYTES, "big") + s.to_bytes(_ES256_BYTES, "big")


def pem_to_jwk(pem: bytes, password: bytes | None) -> dict[str, Any]:
    """The private JWK of a key in a PEM file.

    Raises:
        ValueError: If it isn't a private key for one of the algorithms, or the password doesn't fit.
        TypeError: If there is a password but the key is not encrypted, or the other way round.
    """
    key = serialization.load_pem_private_key(pem, password)
    plain = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for kind in (jwk.ECKey, jwk.RSAKey, jwk.OKPKey):
        try:
            return dict(kind.import_key(plain).as_dict(private=True))
        except Exception:  # noqa: BLE001, S112 - joserfc says "another kind of key" in several ways
            continue
    msg = "not a kind of key that signs"
    raise ValueError(msg)
