"""A client's key, in memory or in hardware, and the proofs that it signs."""

import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Self

from dpop_asgi.client.proofs import proof_header, proof_payload, segment, signed
from dpop_asgi.core.encoding import sha256_b64url
from dpop_asgi.core.htu import CACHED_URIS, normalise
from dpop_asgi.core.jwk import KEY_TYPES, PRIVATE_MEMBERS, import_public_key, matches_algorithm
from dpop_asgi.core.options import require
from dpop_asgi.core.private_key import PrivateKey, pem_to_jwk

# RFC 7518 §3.4: R and S. What speaks to hardware often returns DER instead.
_ECDSA_BYTES = {"ES256": 64, "ES384": 96, "ES512": 132}

_JWK_MEMBERS = ("kty", "crv", "x", "y", "n", "e")


def target(url: str) -> tuple[str, str]:
    """Of a URL the `htu` of a proof and the origin, both in normal form.

    The `htu` has no query and no fragment; `wss` counts as `https`.
    """
    return _target(url.partition("?")[0].partition("#")[0])


@lru_cache(CACHED_URIS)
def _target(bare: str) -> tuple[str, str]:
    # What has no normal form is signed as it is sent: the server judges it.
    htu = normalise(bare, websocket=True) or bare
    scheme, _, rest = htu.partition("://")
    return htu, f"{scheme}://{rest.partition('/')[0]}"


class Key:
    """A key that signs DPoP proofs.

    `Key(...)` is for a key that never leaves its hardware or its service; `generate`, `from_jwk` and `from_pem` make
    one that is kept in memory. The private key is in no `repr`, log or exception.

    Args:
        public_jwk: the public key (RFC 7517).
        sign: takes the bytes to sign, and returns the JWS signature (for ECDSA R and S, not DER). Called once per
            proof, in whatever thread sends the request.
        alg: the algorithm of the signatures.

    Raises:
        ValueError: If an option is invalid. The message names the option.
    """

    def __init__(self, public_jwk: Mapping[str, Any], sign: Callable[[bytes], bytes], *, alg: str = "ES256") -> None:
        require("alg", alg in KEY_TYPES, f"one of {' '.join(KEY_TYPES)}")
        require("public_jwk", not PRIVATE_MEMBERS & public_jwk.keys(), "without private members")
        require("sign", callable(sign), "a function from bytes to bytes")
        members = {name: public_jwk[name] for name in _JWK_MEMBERS if name in public_jwk}
        try:
            thumbprint = import_public_key(members, alg).thumbprint
        except ValueError:
            thumbprint = ""
        require("public_jwk", thumbprint, f"a public key for {alg}")
        self.alg: str = alg
        self.thumbprint: str = thumbprint
        self.public_jwk: Mapping[str, Any] = MappingProxyType(members)
        self._sign = sign
        # Nearly all proofs of a key are for one token.
        self._last_hash = "", ""
        self._signature_bytes = _ECDSA_BYTES.get(alg)
        self._header = segment(proof_header(alg, members))

    @classmethod
    def generate(cls, alg: str = "ES256") -> Self:
        """A new key in memory.

        Raises:
            ValueError: If `alg` isn't an asymmetric algorithm that this library knows.
        """
        require("alg", alg in KEY_TYPES, f"one of {' '.join(KEY_TYPES)}")
        return cls._of(PrivateKey.generate(alg))

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, Any], *, alg: str | None = None) -> Self:
        """The key in a private JWK.

        Args:
            jwk: its members.
            alg: the algorithm of the signatures. By default the `alg` of the JWK, or else the one that fits the key:
                ES256, ES384 or ES512 by the curve, PS256 for RSA, Ed25519.

        Raises:
            ValueError: If it isn't a private key for `alg`.
        """
        require("jwk", isinstance(jwk, Mapping), "a private key as a JWK, a dictionary")
        name = alg or jwk.get("alg") or next((name for name in KEY_TYPES if matches_algorithm(jwk, name)), "")
        require("jwk" if alg is None else "alg", name in KEY_TYPES, f"for one of {' '.join(KEY_TYPES)}")
        try:
            private = PrivateKey.from_jwk(name, jwk)
        except Exception:  # noqa: BLE001 - joserfc raises many kinds for malformed keys, and quotes them in some
            private = None
        if private is None:
            msg = f"jwk: must be a private key for {name}"
            raise ValueError(msg)
        return cls._of(private)

    @classmethod
    def from_pem(cls, pem: str | bytes, *, password: str | bytes | None = None, alg: str | None = None) -> Self:
        """The private key in a PEM file.

        Args:
            pem: the content of the file.
            password: what it is encrypted with.
            alg: as for `from_jwk`.

        Raises:
            ValueError: If it isn't a private key for `alg`, or the password doesn't fit.
        """
        try:
            jwk = pem_to_jwk(_bytes(pem), None if password is None else _bytes(password))
        except Exception:  # noqa: BLE001 - cryptography has one more kind for keys that it doesn't support
            jwk = {}
        require("pem", jwk, "a private key; password must be given if, and only if, it is encrypted")
        return cls.from_jwk(jwk, alg=alg)

    @classmethod
    def _of(cls, private: PrivateKey) -> Self:
        return cls(private.public_jwk, private.sign, alg=private.algorithm)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(alg={self.alg!r}, thumbprint={self.thumbprint!r})"

    def proof(
        self,
        method: str,
        url: str,
        access_token: str | None = None,
        *,
        nonce: str | None = None,
        issued_at: float | None = None,
    ) -> str:
        """A DPoP proof for one request (RFC 9449 §4.2).

        Args:
            method: the HTTP method.
            url: where the request goes; query and fragment are left out of the proof.
            access_token: the token that is sent along; `None` at a token endpoint.
            nonce: the last one that the server issued.
            issued_at: seconds since the epoch; by default now.

        Raises:
            ValueError: If `sign` returns something that isn't a JWS signature.
        """
        now = int(time.time() if issued_at is None else issued_at)
        token_hash = None if access_token is None else self._hash(access_token)
        payload = proof_payload(method, target(url)[0], issued_at=now, token_hash=token_hash, nonce=nonce)
        return signed(self._header, payload, self._checked)

    def _hash(self, access_token: str) -> str:
        last, token_hash = self._last_hash
        if last != access_token:
            token_hash = sha256_b64url(access_token)
            self._last_hash = access_token, token_hash
        return token_hash

    def _checked(self, message: bytes) -> bytes:
        signature = self._sign(message)
        if self._signature_bytes is not None and len(signature) != self._signature_bytes:
            msg = f"sign: must return R and S, {self._signature_bytes} bytes (RFC 7518 §3.4), and not DER"
            raise ValueError(msg)
        return signature


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text
