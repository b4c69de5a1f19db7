"""Throw-away keys, and signatures made with `cryptography` alone."""

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from tests.differential import base64url
from tests.differential.verifier import thumbprint

# Fixed, so that an input of the fuzzer that was kept means the same everywhere; RSA keys are slow to make, too.
KEYS: dict[str, dict[str, str]] = json.loads(Path(__file__).with_name("keys.json").read_text("utf-8"))

# Which key a client with this algorithm has.
NAMES = {"ES256": "ES256", "PS256": "PS256", "Ed25519": "Ed25519", "EdDSA": "Ed25519"}

_PUBLIC = {"EC": ("kty", "crv", "x", "y"), "OKP": ("kty", "crv", "x"), "RSA": ("kty", "n", "e")}
_CURVES = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1()}

Sign = Callable[[bytes], bytes]


def public(name: str) -> dict[str, str]:
    key = KEYS[name]
    return {member: key[member] for member in _PUBLIC[key["kty"]]}


@cache
def jkt(name: str) -> str:
    return thumbprint(KEYS[name])


def number(text: str) -> int:
    return int.from_bytes(base64url.decode(text.encode()), "big")


def member(value: int, size: int | None = None) -> str:
    """A number as a JWK has it; `size` in bytes adds leading zeros."""
    return base64url.encode(value.to_bytes(size or (value.bit_length() + 7) // 8, "big")).decode()


@cache
def signer(name: str) -> Sign:
    """Signs as the one algorithm of the four does that fits the kind of key."""
    key = KEYS[name]
    return {"EC": _ecdsa, "RSA": _pss, "OKP": _eddsa}[key["kty"]](key)


def _ecdsa(key: Mapping[str, str]) -> Sign:
    private = ec.derive_private_key(number(key["d"]), _CURVES[key["crv"]])
    size = len(base64url.decode(key["x"].encode()))

    def sign(message: bytes) -> bytes:
        r, s = decode_dss_signature(private.sign(message, ec.ECDSA(SHA256())))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")

    return sign


def _pss(key: Mapping[str, str]) -> Sign:
    return lambda message: pss(key, message, SHA256.digest_size)


@cache
def _rsa(**numbers: Any) -> rsa.RSAPrivateKey:
    public_numbers = rsa.RSAPublicNumbers(numbers.pop("e"), numbers.pop("n"))
    return rsa.RSAPrivateNumbers(**numbers, public_numbers=public_numbers).private_key(
        unsafe_skip_rsa_key_validation=True
    )


def pss(key: Mapping[str, str], message: bytes, salt_bytes: int) -> bytes:
    numbers = {name: number(key[name]) for name in ("p", "q", "d", "n", "e")}
    private = _rsa(**numbers, dmp1=number(key["dp"]), dmq1=number(key["dq"]), iqmp=number(key["qi"]))
    return private.sign(message, padding.PSS(padding.MGF1(SHA256()), salt_bytes), SHA256())


def _eddsa(key: Mapping[str, str]) -> Sign:
    kind = {"Ed25519": ed25519.Ed25519PrivateKey, "Ed448": ed448.Ed448PrivateKey}[key["crv"]]
    return kind.from_private_bytes(base64url.decode(key["d"].encode())).sign
