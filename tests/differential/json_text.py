"""RFC 8259, without any limit of the library under test.

Of a name that stands twice the last one counts, as RFC 7515 §4 and RFC 7519 §4 allow.
"""

import json
import math
from dataclasses import dataclass
from typing import Any, NoReturn


@dataclass
class Document:
    """What a JSON text says, and what is remarkable about how it says it."""

    value: Any = None
    names_twice: bool = False
    longest_number: int = 0
    longest_float: int = 0
    infinite: bool = False


def read(raw: bytes) -> Document:
    """The document in `raw`.

    Raises:
        ValueError: when it is no JSON text in UTF-8 (RFC 8259 §8.1: without a byte order mark).
    """
    document = Document()

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        document.names_twice |= len(dict(pairs)) != len(pairs)
        return dict(pairs)

    def whole(text: str) -> int | float:
        document.longest_number = max(document.longest_number, len(text))
        # Longer ones are no numbers for Python.
        return int(text) if len(text) <= 400 else float(text)

    def broken(text: str) -> float:
        document.longest_float = max(document.longest_float, len(text))
        document.infinite |= math.isinf(float(text))
        return float(text)

    hooks = {"object_pairs_hook": members, "parse_int": whole, "parse_float": broken, "parse_constant": _no_word}
    try:
        document.value = json.loads(raw.decode("utf-8"), **hooks)
    except RecursionError as error:
        raise ValueError("too deep") from error
    return document


def _no_word(name: str) -> NoReturn:
    raise ValueError(f"{name} is an unknown word")


def openers(raw: bytes) -> int:
    return raw.count(b"{") + raw.count(b"[")


def marks(raw: bytes) -> int:
    """Of strings, escapes, objects and lists."""
    return sum(map(raw.count, (b'"', b"\\", b"{", b"[")))


def separators(raw: bytes) -> int:
    """Commas outside strings."""
    plain = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    return sum(part.count(b",") for part in plain.split(b'"')[::2])
