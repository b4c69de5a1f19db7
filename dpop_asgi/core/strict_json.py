"""A strict JSON parser for proofs, tokens and key sets: ambiguous or oversized documents are rejected."""

import json
import math
from functools import partial
from typing import Any, Never

# Limits the nesting: it can't be deeper than the number of opening brackets, and proofs of real clients have two. 16 is
# far below the recursion limits of every supported Python.
_MOST_OPENERS = 16

# Each value takes time, and proofs of real clients have about ten. So do strings and escapes: with quotation marks
# around name and value, a bracket and some escapes, there are eight marks per value.
_MOST_VALUES = 32
_MARKS_PER_VALUE = 8
_NO_MARKS = bytes(set(range(256)) - set(b',"\\{['))
# Detecting duplicate names with `object_pairs_hook` is slow, so short documents are decoded without it first. A dropped
# duplicate leaves one comma more in the text than the decoded object accounts for. Commas in strings or in nested
# objects do too: these documents are decoded again, with the hook.
_FEW_COMMAS = 16
_CONTAINERS = frozenset({dict, list})

# 2**63 has 19 digits. Larger numbers mean nothing in a JWT, and arithmetic with them can raise.
_MOST_DIGITS = 19
# No double needs more characters to be unique: "-2.2250738585072014e-308".
_LONGEST_FLOAT = 24


def strict_json_object(
    raw: bytes, *, most_openers: int = _MOST_OPENERS, most_values: int = _MOST_VALUES
) -> dict[str, Any]:
    """Decode a JSON object, unless two parsers could read it differently.

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
    # Commas in strings don't separate anything: some URIs have many.
    if commas >= most_values and _separators(raw if b"\\" in others else marks) >= most_values:
        msg = "too many values"
        raise ValueError(msg)
    value = _decode(_UNIQUE, text)
    if type(value) is not dict:
        msg = "not a JSON object"
        raise ValueError(msg)
    return value


def _stripped(raw: bytes) -> bytes:
    """Without surrounding white space."""
    if raw.startswith(b"{") and raw.endswith(b"}"):
        return raw
    # `strip` would remove these two as well, which are no white space in JSON (RFC 8259 §2).
    if b"\v" in raw or b"\f" in raw:
        msg = "a control character"
        raise ValueError(msg)
    return raw.strip()


def _separators(raw: bytes) -> int:
    """The number of commas outside strings."""
    marks = raw.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, _NO_MARKS)
    return sum(part.count(b",") for part in marks.split(b'"')[::2])


def _commas(members: dict[str, Any]) -> int:
    """The number of commas between these members, and within objects and lists among them."""
    commas = len(members) - 1
    for value in members.values():
        if value and type(value) in _CONTAINERS:
            commas += len(value) - 1
    return commas


def _decode(decoder: json.JSONDecoder, text: str) -> object:
    """Call the C part of the decoder directly: its Python part takes a third of the time."""
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
        msg = "a duplicate name"
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
