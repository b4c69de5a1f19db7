"""Base64url without padding (RFC 4648 §5, RFC 7515 §2), apart from the library's own."""

from binascii import a2b_base64, b2a_base64

_LETTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_FROM_STANDARD = bytes.maketrans(b"+/", b"-_")


def decode(segment: bytes) -> bytes:
    """What the letters stand for; bits over are ignored, as RFC 4648 §3.5 allows.

    Raises:
        ValueError: for foreign letters, padding, and lengths that no bytes have.
    """
    if len(segment) % 4 == 1 or not _LETTERS.issuperset(segment):
        raise ValueError("no base64url")
    return a2b_base64(segment.translate(_TO_STANDARD) + b"=" * (-len(segment) % 4))


def encode(raw: bytes) -> bytes:
    return b2a_base64(raw, newline=False).translate(_FROM_STANDARD).rstrip(b"=")
