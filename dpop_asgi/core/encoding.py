"""Strict base64url, JSON and compact JWS shapes: one way to read each, or none."""

import json
import math
import re
from binascii import a2b_base64, b2a_base64
from functools import partial
from hashlib import sha256
from typing import Any, Never

# Nesting can be no deeper than the number of opening brackets; a proof of a real client has two.
# 128 is far below the recursion limits of every supported Python.
_MOST_OPENERS = 128

# Each value has a price of its own, a number the highest; a proof of a real client has about ten.
_MOST_VALUES = 256
# A flat document is first read without a look at its names, which a comma in a string makes futile: a short one only.
_FLAT_MEMBERS = 32
# Without its end too: to look for one from each quotation mark anew would take the square of the length.
_TEXT = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)

# 2**63 has 19 digits. Larger numbers mean nothing in a JWT, and arithmetic with them can raise.
_MOST_DIGITS = 19


# Between base64 and base64url. What belongs to the other alphabet becomes what belongs to none.
_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_+/=", b"+/!!!")

# By the number of characters behind the last whole group of four: the padding, and the last characters that leave no
# loose bits. One character alone is never a byte.
_ENDINGS = {2: (b"==", b"AQgw"), 3: (b"=", b"AEIMQUYcgkosw048")}


def b64url_encode(raw: bytes) -> str:
    """Base64url without padding (RFC 7515 §2)."""
    return b2a_base64(raw, newline=False).translate(_TO_URL).rstrip(b"=").decode("ascii")


def b64url_decode(segment: bytes) -> bytes:
    """The bytes of a base64url segment without padding.

    Raises:
        ValueError: for foreign characters, padding, or bits that do not belong to a byte.
    """
    behind = len(segment) % 4
    if behind == 0:
        return a2b_base64(segment.translate(_FROM_URL), strict_mode=True)
    padding, allowed = _ENDINGS.get(behind, (b"", b""))
    if segment[-1] not in allowed:
        msg = "not base64url"
        raise ValueError(msg)
    return a2b_base64(segment.translate(_FROM_URL) + padding, strict_mode=True)


def split_jws(value: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """Signing input, header, payload and signature of a compact JWS, all still encoded (RFC 7515 §7.1).

    Raises:
        ValueError: when these are not three parts, or there is no signature. Which characters stand in them is seen
            when they are decoded.
    """
    header, payload, signature = value.split(b".", 3)
    if not signature:
        msg = "no signature"
        raise ValueError(msg)
    return value[: -len(signature) - 1], header, payload, signature


def sha256_b64url(text: str | bytes) -> str:
    """Base64url SHA-256, as `ath` and `jkt` use it (43 characters)."""
    raw = text.encode("ascii") if isinstance(text, str) else text
    return b64url_encode(sha256(raw).digest())


def strict_json_object(
    raw: bytes, *, most_openers: int = _MOST_OPENERS, most_values: int = _MOST_VALUES
) -> dict[str, Any]:
    """A JSON object, read so that no two parsers could differ about it.

    Args:
        raw: the document.
        most_openers: how many opening brackets it may have; a key set needs more than a proof.
        most_values: how many values it may have; a token and a key set need more than a proof.

    Raises:
        ValueError: when it is not UTF-8, not an object, has a name twice, a number that is not finite
            or has more than 19 digits, or too many opening brackets or values.
    """
    openers, commas = raw.count(b"{") + raw.count(b"["), raw.count(b",")
    if openers > most_openers:
        msg = "nested too deeply"
        raise ValueError(msg)
    # A comma in a string is no separator: some URIs have many.
    if commas >= most_values and _TEXT.sub(b"", raw).count(b",") >= most_values:
        msg = "too many values"
        raise ValueError(msg)
    text = raw.decode("utf-8")
    if openers == 1 and commas < _FLAT_MEMBERS:
        value = _decode(_FLAT, text)
        # With a comma before each member but the first, no name can stand twice.
        if type(value) is dict and len(value) == commas + 1:
            return value
    value = _decode(_NESTED, text)
    if type(value) is not dict:
        msg = "not a JSON object"
        raise ValueError(msg)
    return value


def _decode(decoder: json.JSONDecoder, text: str) -> object:
    """The decoder's C part alone, where that reads all there is: it spares a third of the time."""
    if text.startswith("{"):
        try:
            value, end = decoder.scan_once(text, 0)  # type: ignore[attr-defined]
        except StopIteration:
            raise ValueError from None
        if end == len(text):
            return value
    return decoder.decode(text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        msg = "a name stands twice"
        raise ValueError(msg)
    return members


def _no_constant(name: str) -> Never:
    msg = f"{name} is not JSON"
    raise ValueError(msg)


def _bounded_int(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        msg = "a number is too long"
        raise ValueError(msg)
    return int(digits)


def _finite_float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        msg = "a number is not finite"
        raise ValueError(msg)
    return number


_numbers = partial(json.JSONDecoder, parse_constant=_no_constant, parse_int=_bounded_int, parse_float=_finite_float)
# To look at all names in Python, even of a proof, takes a microsecond.
_FLAT = _numbers()
_NESTED = _numbers(object_pairs_hook=_unique)
