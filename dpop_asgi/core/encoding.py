"""Base64url and compact JWS, parsed strictly: each value has one encoding, and everything else is rejected."""

from binascii import a2b_base64, b2a_base64
from hashlib import sha256

# Between base64 and base64url. Characters of the other alphabet become invalid ones.
_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_+/=", b"+/!!!")

# By the number of characters after the last full group of four: the padding, and the last characters that leave no
# unused bits. A single character never encodes a byte.
_ENDINGS = ((b"", b""), (b"", b""), (b"==", b"AQgw"), (b"=", b"AEIMQUYcgkosw048"))


def b64url_encode(raw: bytes) -> str:
    """Base64url without padding (RFC 7515 §2)."""
    return b2a_base64(raw, newline=False).translate(_TO_URL, b"=").decode("ascii")


def b64url_decode(segment: bytes) -> bytes:
    """The bytes of a base64url segment without padding.

    Raises:
        ValueError: for foreign characters, padding, or bits that do not belong to a byte.
    """
    behind = len(segment) % 4
    if behind == 0:
        return a2b_base64(segment.translate(_FROM_URL), strict_mode=True)
    padding, allowed = _ENDINGS[behind]
    if segment[-1] not in allowed:
        msg = "not base64url"
        raise ValueError(msg)
    return a2b_base64(segment.translate(_FROM_URL) + padding, strict_mode=True)


def split_jws(value: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """Signing input, header, payload and signature of a compact JWS, all still encoded (RFC 7515 §7.1).

    Raises:
        ValueError: when these are not three parts, or payload or signature are empty. Which characters stand in them is
            seen when they are decoded.
    """
    signing_input, _, signature = value.rpartition(b".")
    header, _, payload = signing_input.partition(b".")
    if not payload or not signature or payload.find(b".") >= 0:
        msg = "not three parts, or an empty one"
        raise ValueError(msg)
    return signing_input, header, payload, signature


def sha256_b64url(text: str | bytes) -> str:
    """Base64url SHA-256, as `ath` and `jkt` use it (43 characters)."""
    raw = text.encode("ascii") if isinstance(text, str) else text
    return b64url_encode(sha256(raw).digest())
