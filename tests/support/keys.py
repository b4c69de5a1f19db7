"""Keys that no honest client has, made without the code that has to refuse them."""

import json
import warnings
from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import cache
from pathlib import Path

from joserfc.jwk import RSAKey

from dpop_asgi.core.private_key import PrivateKey

# The field of edwards25519 (RFC 8032 §5.1), and one of the two y of its points of order eight: the other is -y.
_P = 2**255 - 19
_Y_OF_ORDER_8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826

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


def small_order_points() -> set[bytes]:
    """The encodings of all eight points whose order divides eight, and of those also the non-canonical ones.

    Decoders differ about x = 0 with a sign, and about y + p, where it fits into 255 bits.
    """
    canonical = (0, 1, _P - 1, _Y_OF_ORDER_8, _P - _Y_OF_ORDER_8)
    ys = (*canonical, *(y + _P for y in (0, 1)))
    return {(y | sign << 255).to_bytes(32, "little") for y in ys for sign in (0, 1)}
