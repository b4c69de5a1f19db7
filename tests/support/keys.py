"""Keys that no honest client has, made without the code that has to refuse them."""

import json
import warnings
from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import cache
from pathlib import Path

from joserfc.jwk import RSAKey

from dpop_asgi.core.private_key import PrivateKey

# edwards25519 (RFC 8032 §5.1): -x² + y² = 1 + d x² y² over the field of P, with a subgroup of prime order L.
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P

Point = tuple[int, int]

# Throw-away keys by their sizes in bits.
RSA_KEYS = json.loads((Path(__file__).parents[1] / "data/rsa_keys.json").read_text("utf-8"))


def unpadded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def octets(member: str) -> bytes:
    return urlsafe_b64decode(member + "=" * (-len(member) % 4))


def number(value: int) -> str:
    """An RSA member."""
    return unpadded(value.to_bytes((value.bit_length() + 7) // 8, "big"))


@cache
def rsa_key(bits: int) -> PrivateKey:
    """One key of each size, always the same: large ones take seconds to make."""
    with warnings.catch_warnings(category=Warning, action="ignore"):
        return PrivateKey("PS256", RSAKey.import_key(RSA_KEYS[str(bits)]))


def key_with_short_x() -> PrivateKey:
    """A P-256 key whose x starts with a zero byte: one in 256 does."""
    while True:
        key = PrivateKey.generate()
        if octets(key.public_jwk["x"])[0] == 0:
            return key


def small_order_points() -> dict[str, bytes]:
    """The encodings of all eight points whose order divides eight, and of those also the non-canonical ones."""
    points: set[Point] = set()
    y = 2
    while len(points) < 8:
        y += 1
        for x in _x_of(y):
            points.add(_times(L, (x, y)))
    encoded = {}
    for x, y in sorted(points):
        for sign in (0, 1):
            # Only x = 0 gives two encodings of one point; decoders differ about the second.
            if x % 2 == sign or x == 0:
                encoded[f"x={x % 1000},y={y % 1000},sign={sign}"] = (y | sign << 255).to_bytes(32, "little")
                if y + P < 2**255:
                    encoded[f"x={x % 1000},y={y}+p,sign={sign}"] = (y + P | sign << 255).to_bytes(32, "little")
    return encoded


def _x_of(y: int) -> list[int]:
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    root = pow(square, (P + 3) // 8, P)
    if root * root % P != square:
        root = root * pow(2, (P - 1) // 4, P) % P
    return [root, P - root] if root * root % P == square else []


def _plus(one: Point, two: Point) -> Point:
    product = D * one[0] * two[0] * one[1] * two[1] % P
    return (
        (one[0] * two[1] + two[0] * one[1]) * pow(1 + product, -1, P) % P,
        (one[1] * two[1] + one[0] * two[0]) * pow(1 - product, -1, P) % P,
    )


def _times(factor: int, point: Point) -> Point:
    result = (0, 1)
    for bit in f"{factor:b}":
        result = _plus(result, result)
        if bit == "1":
            result = _plus(result, point)
    return result
