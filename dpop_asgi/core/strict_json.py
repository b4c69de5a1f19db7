"""A strict JSON parser for proofs, tokens and key sets: ambiguous or oversized documents are rejected."""

import json
import math
from collections.abc import Callable
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

_Decoders = tuple[json.JSONDecoder, json.JSONDecoder]

# 2**63 has 19 digits. Larger numbers mean nothing in a JWT, and arithmetic with them can raise.
_MOST_DIGITS = 19
# No double needs more characters to be unique: "-2.2250738585072014e-308".
_LONGEST_FLOAT = 24
# Of the numbers in a token, of which most are none of our business: 16 KB of such numbers are read in 20 µs.
_LONGEST_NUMBER = 1000

_JSON_TYPES = {
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    list: "an array",
    dict: "an object",
    type(None): "null",
}
# So that a line of the log has room for what was expected, too.
_SHOWN_CHARACTERS = 200
_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))


def strict_json_object(
    raw: bytes,
    *,
    most_openers: int = _MOST_OPENERS,
    most_values: int = _MOST_VALUES,
    most_levels: int | None = None,
    long_numbers: bool = False,
) -> dict[str, Any]:
    """Decode a JSON object, unless two parsers could read it differently.

    Args:
        raw: the document.
        most_openers: how many opening brackets it may have; a key set needs more than a proof.
        most_values: how many values it may have; a token and a key set need more than a proof.
        most_levels: how deeply they may be nested; by default as deeply as there are brackets.
        long_numbers: whether numbers may have up to 1,000 characters.

    Raises:
        ValueError: when it is not UTF-8, not an object, has a name twice, a number that is not finite, has more than 19
            digits or, with a fraction or an exponent, more than 24 characters (unless `long_numbers`), or when there
            are too many opening brackets, levels, values, strings or escapes.
    """
    marks = raw.translate(None, _NO_MARKS)
    others = marks.translate(None, b",")
    commas = len(marks) - len(others)
    if len(others) > most_values * _MARKS_PER_VALUE:
        msg = "too many strings or escapes"
        raise ValueError(msg)
    openers = others.count(b"{") + others.count(b"[")
    if openers > most_openers or (most_levels is not None and openers > most_levels and _is_deeper(raw, most_levels)):
        msg = "nested too deeply"
        raise ValueError(msg)
    text = _stripped(raw).decode("utf-8")
    last_wins, unique = _LONG_NUMBERS if long_numbers else _SHORT_NUMBERS
    value = _decode(last_wins, text) if commas < _FEW_COMMAS else None
    if type(value) is dict and (commas == len(value) - 1 or commas == _commas(value)):
        return value
    # Commas in strings don't separate anything: some URIs have many.
    if commas >= most_values and _separators(raw if b"\\" in others else marks) >= most_values:
        msg = "too many values"
        raise ValueError(msg)
    value = _decode(unique, text)
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
    return sum(part.count(b",") for part in _outside_strings(raw))


def _outside_strings(raw: bytes) -> list[bytes]:
    return raw.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2]


def _is_deeper(raw: bytes, levels: int) -> bool:
    """Whether the brackets are nested more deeply, found before the parser, which recurses, sees them."""
    brackets = b"".join(_outside_strings(raw)).translate(_BRACKETS, _NO_BRACKETS)
    for _ in range(levels):
        # Each time the innermost pairs go.
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


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


def unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For `object_pairs_hook`: the members of an object, each with a name of its own.

    Raises:
        ValueError: If two have the same name.
    """
    members = dict(pairs)
    if len(members) != len(pairs):
        msg = "a duplicate name"
        raise ValueError(msg)
    return members


def _no_constant(name: str) -> Never:
    msg = f"{name} is not JSON"
    raise ValueError(msg)


def _bounded_int(digits: str, longest: int = _MOST_DIGITS) -> int:
    if len(digits) > longest:
        msg = "a number is too long"
        raise ValueError(msg)
    return int(digits)


def _finite_float(digits: str, longest: int = _LONGEST_FLOAT) -> float:
    number = float(digits) if len(digits) <= longest else math.inf
    if not math.isfinite(number):
        msg = "a number is too long or not finite"
        raise ValueError(msg)
    return number


def _decoders(parse_int: Callable[[str], int], parse_float: Callable[[str], float]) -> _Decoders:
    """One that keeps the last of several members with one name, and one that rejects them."""
    numbers = partial(json.JSONDecoder, parse_constant=_no_constant, parse_int=parse_int, parse_float=parse_float)
    return numbers(), numbers(object_pairs_hook=unique_members)


_SHORT_NUMBERS = _decoders(_bounded_int, _finite_float)
_LONG_NUMBERS = _decoders(
    partial(_bounded_int, longest=_LONGEST_NUMBER), partial(_finite_float, longest=_LONGEST_NUMBER)
)


def json_type(value: object) -> str:
    """The type of a decoded value, for messages: "a string", "an object"."""
    return _JSON_TYPES.get(type(value), type(value).__name__)


def shown(value: object) -> str | None:
    """For the log: the start of a string; the type of anything else; `None` for null, or for what is absent."""
    if isinstance(value, str):
        return value[:_SHOWN_CHARACTERS]
    return None if value is None else json_type(value)
