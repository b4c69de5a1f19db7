"""Base64url and JSON: read exactly when other readers read them within the limits, and to the same value."""

from dpop_asgi.core import encoding, strict_json
from tests.differential import base64url, json_text
from tests.differential.drawn import Drawn
from tests.differential.rules import LONGEST_FLOAT, MOST_DIGITS, MOST_MARKS, MOST_OPENERS, MOST_VALUES
from tests.differential.stopwatch import aside
from tests.fuzz.catalogue import Target, demand

_PIECES = (
    *(b"{", b"}", b"[", b"]", b'"', b",", b":", b"\\", b" ", b'"a":', b'"b":', b"null", b"true", b"0", b"1e5", b"-1.5"),
    *(b"NaN", b"1e999", b"9" * 19, b"9" * 20, b'\\"', b"\\u00e9", b"\\ud800", b"\xc3\xa9", b"\xff", b'{"a":', b'"a",'),
)


def make() -> Target:
    return one


def one(data: bytes) -> None:
    how, rest = data[:1], data[1:]
    if how == b"b":
        check_base64url(rest)
    elif how == b"p":
        check_json(b'{"a":' + _pieces(Drawn(rest)))
    else:
        check_json(rest)


def _pieces(drawn: Drawn) -> bytes:
    """JSON, or nearly: tokens in any order, some of them many times. Seldom long."""
    text, longest = bytearray(), drawn.pick((300,) * 15 + (12000,))
    while drawn.left and len(text) < longest:
        text += drawn.pick(_PIECES) * drawn.pick((1, 1, 1, 1, 2, 16, 300, 3000))
    return bytes(text)


def check_base64url(segment: bytes) -> None:
    try:
        expected = base64url.decode(segment)
    except ValueError:
        expected = None
    if expected is not None and base64url.encode(expected) != segment:
        expected = None
    try:
        found = encoding.b64url_decode(segment)
    except ValueError:
        found = None
    demand(found == expected, f"read as {found!r}, which should be {expected!r}")
    demand(
        found is None or encoding.b64url_encode(found).encode() == segment, "written in another way than it was read"
    )


def check_json(raw: bytes) -> None:
    try:
        found = strict_json.strict_json_object(raw)
    except ValueError:
        demand(not is_strict(raw), "refused, although nothing is wrong")
        return
    demand(is_strict(raw), "read, although it is not JSON that all read alike")
    demand(is_said_by(raw, found), "read as something else")


@aside
def is_strict(raw: bytes) -> bool:
    try:
        document = json_text.read(raw)
    except ValueError:
        return False
    return (
        type(document.value) is dict
        and not document.names_twice
        and not document.infinite
        and document.longest_number <= MOST_DIGITS
        and document.longest_float <= LONGEST_FLOAT
        and json_text.openers(raw) <= MOST_OPENERS
        and json_text.separators(raw) < MOST_VALUES
        and json_text.marks(raw) <= MOST_MARKS
    )


@aside
def is_said_by(raw: bytes, found: object) -> bool:
    return same(found, json_text.read(raw).value)


def same(one: object, two: object) -> bool:
    """Equal in type too: 1, 1.0 and true are three values."""
    if type(one) is not type(two):
        return False
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(same(one[name], two[name]) for name in one)
    if isinstance(one, list) and isinstance(two, list):
        return len(one) == len(two) and all(map(same, one, two))
    return one == two
