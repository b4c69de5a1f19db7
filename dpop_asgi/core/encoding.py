"""Strict base64url, JSON, compact JWS shapes and signatures: one way to read each, or none."""

import json
import math
from binascii import a2b_base64, b2a_base64
from functools import partial
from hashlib import sha256
from typing import Any, Never

# Nesting can be no deeper than the number of opening brackets; a proof of a real client has two.
# 16 is far below the recursion limits of every supported Python.
_MOST_OPENERS = 16

# Each value has a price of its own, a number the highest; a proof of a real client has about ten. So have strings and
# escapes: with name and value in quotation marks, a bracket and some escapes for each value there are eight marks.
_MOST_VALUES = 32
_MARKS_PER_VALUE = 8
_NO_MARKS = bytes(set(range(256)) - set(b',"\\{['))
# To look at all names in Python, even of a proof, takes microseconds. A short document is first read without, and its
# commas are counted: a member that was dropped for another of the same name has left one behind. Commas in strings or
# far inside are too many as well, and make that futile.
_FEW_COMMAS = 16
_CONTAINERS = frozenset({dict, list})

# 2**63 has 19 digits. Larger numbers mean nothing in a JWT, and arithmetic with them can raise.
_MOST_DIGITS = 19
# No double needs more to be told from all others: "-2.2250738585072014e-308".
_LONGEST_FLOAT = 24

_LARGEST_FIRST_BYTE = 0x7F

# Between base64 and base64url. What belongs to the other alphabet becomes what belongs to none.
_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_+/=", b"+/!!!")

# By the number of characters behind the last whole group of four: the padding, and the last characters that leave no
# loose bits. One character alone is never a byte.
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


def ecdsa_der(signature: bytes) -> bytes:
    """R and S (RFC 7518 §3.4) as a sequence of two integers (RFC 3279 §2.2.3), for numbers of up to 48 bytes each.

    `cryptography` wants them so, and takes twice as long to make it.
    """
    size = len(signature) // 2
    r, s = signature[:size].lstrip(b"\0"), signature[size:].lstrip(b"\0")
    # With its first bit set it would be negative.
    r = b"\0" + r if not r or r[0] > _LARGEST_FIRST_BYTE else r
    s = b"\0" + s if not s or s[0] > _LARGEST_FIRST_BYTE else s
    # "0" is the tag of a sequence, 2 that of an integer.
    return b"0%c\x02%c%b\x02%c%b" % (len(r) + len(s) + 4, len(r), r, len(s), s)


def strict_json_object(
    raw: bytes, *, most_openers: int = _MOST_OPENERS, most_values: int = _MOST_VALUES
) -> dict[str, Any]:
    """A JSON object, read so that no two parsers could differ about it.

    Args:
        raw: the document.
        most_openers: how many opening brackets it may have; a key set needs more than a proof.
        most_values: how many values it may have; a token and a key set need more than a proof.

    Raises:
        ValueError: when it is not UTF-8, not an object, has a name twice, a number that is not finite, has more than 19
            digits or, with a fraction or an exponent, more than 24 characters, or when there are too many opening
            brackets, values, strings or escapes.
    """
    marks = raw.translate(None, _NO_MARKS)
    others = marks.translate(None, b",")
    commas = len(marks) - len(others)
    if len(others) > most_values * _MARKS_PER_VALUE:
        msg = "too many strings or escapes"
        raise ValueError(msg)
    if others.count(b"{") + others.count(b"[") > most_openers:
        msg = "nested too deeply"
        raise ValueError(msg)
    text = _stripped(raw).decode("utf-8")
    value = _decode(_LAST_WINS, text) if commas < _FEW_COMMAS else None
    if type(value) is dict and (commas == len(value) - 1 or commas == _commas(value)):
        return value
    # A comma in a string is no separator: some URIs have many.
    if commas >= most_values and _separators(raw if b"\\" in others else marks) >= most_values:
        msg = "too many values"
        raise ValueError(msg)
    value = _decode(_UNIQUE, text)
    if type(value) is not dict:
        msg = "not a JSON object"
        raise ValueError(msg)
    return value


def _stripped(raw: bytes) -> bytes:
    """Without white space around it."""
    if raw.startswith(b"{") and raw.endswith(b"}"):
        return raw
    # Two characters that are stripped as well, but which JSON has not (RFC 8259 §2).
    if b"\v" in raw or b"\f" in raw:
        msg = "a control character"
        raise ValueError(msg)
    return raw.strip()


def _separators(raw: bytes) -> int:
    """How many commas are outside strings."""
    marks = raw.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, _NO_MARKS)
    return sum(part.count(b",") for part in marks.split(b'"')[::2])


def _commas(members: dict[str, Any]) -> int:
    """How many separate these members, and what is in objects and lists among them."""
    commas = len(members) - 1
    for value in members.values():
        if value and type(value) in _CONTAINERS:
            commas += len(value) - 1
    return commas


def _decode(decoder: json.JSONDecoder, text: str) -> object:
    """By the decoder's C part alone: it spares a third of the time."""
    try:
        value, end = decoder.scan_once(text, 0)  # type: ignore[attr-defined]
    except StopIteration:
        end = -1
    if end != len(text):
        msg = "not JSON"
        raise ValueError(msg)
    return value


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
    number = float(digits) if len(digits) <= _LONGEST_FLOAT else math.inf
    if not math.isfinite(number):
        msg = "a number is too long or not finite"
        raise ValueError(msg)
    return number


_numbers = partial(json.JSONDecoder, parse_constant=_no_constant, parse_int=_bounded_int, parse_float=_finite_float)
_LAST_WINS = _numbers()
_UNIQUE = _numbers(object_pairs_hook=_unique)
