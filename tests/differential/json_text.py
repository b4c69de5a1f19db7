"""RFC 8259 read by hand, without any limit of the library under test.

Of a name that stands twice the last one counts, as RFC 7515 §4 and RFC 7519 §4 allow.
"""

from dataclasses import dataclass
from typing import Any

_WHITESPACE = " \t\n\r"
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
# What ends a piece of a string; at the end of the text there is an empty one.
_SPECIAL = frozenset(["", '"', "\\", *map(chr, range(0x20))])
_WORDS = {"true": True, "false": False, "null": None}
_DIGITS = frozenset("0123456789")
_HEX_DIGITS = frozenset("0123456789abcdefABCDEF")
# Of what is nested deeper the library reads nothing: it has more brackets than any limit here allows.
_DEPTH = 150


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
    reader = _Reader(raw.decode("utf-8"))
    reader.document.value = reader.value(0)
    reader.skip()
    if reader.place != len(reader.text):
        raise ValueError("something follows")
    return reader.document


def openers(raw: bytes) -> int:
    return raw.count(b"{") + raw.count(b"[")


def marks(raw: bytes) -> int:
    """Of strings, escapes, objects and lists."""
    return sum(map(raw.count, (b'"', b"\\", b"{", b"[")))


def separators(raw: bytes) -> int:
    """Commas outside strings."""
    plain = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    return sum(part.count(b",") for part in plain.split(b'"')[::2])


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0
        self.document = Document()

    def skip(self) -> None:
        while self.peek() and self.peek() in _WHITESPACE:
            self.place += 1

    def peek(self) -> str:
        return self.text[self.place : self.place + 1]

    def expect(self, mark: str) -> None:
        if self.peek() != mark:
            raise ValueError(f"{mark} is missing")
        self.place += 1

    def value(self, depth: int) -> Any:
        if depth > _DEPTH:
            raise ValueError("too deep")
        self.skip()
        start = self.peek()
        if start == "{":
            return self.members(depth)
        if start == "[":
            return self.items(depth)
        if start == '"':
            return self.string()
        return self.word() if start.isalpha() else self.number()

    def members(self, depth: int) -> dict[str, Any]:
        members: dict[str, Any] = {}
        for _ in self.separated("{", "}"):
            name = self.string()
            self.skip()
            self.expect(":")
            self.document.names_twice |= name in members
            members[name] = self.value(depth + 1)
        return members

    def items(self, depth: int) -> list[Any]:
        return [self.value(depth + 1) for _ in self.separated("[", "]")]

    def separated(self, opener: str, closer: str) -> Any:
        """Stops before each entry between the brackets."""
        self.expect(opener)
        self.skip()
        if self.peek() == closer:
            self.place += 1
            return
        while True:
            self.skip()
            yield
            self.skip()
            if self.peek() != ",":
                break
            self.place += 1
        self.expect(closer)

    def word(self) -> Any:
        for word, value in _WORDS.items():
            if self.text.startswith(word, self.place):
                self.place += len(word)
                return value
        raise ValueError("an unknown word")

    def string(self) -> str:
        self.expect('"')
        units: list[str] = []
        while self.peek() != '"':
            start = self.place
            while self.peek() not in _SPECIAL:
                self.place += 1
            units.append(self.text[start : self.place])
            if self.peek() == "\\":
                self.place += 1
                units.append(self.escaped())
            elif self.peek() != '"':
                raise ValueError("a string has no end, or a control character")
        self.place += 1
        # Escapes are UTF-16 code units: a high and a low one are one character together, alone they stay what they are.
        return "".join(units).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")

    def escaped(self) -> str:
        letter = self.peek()
        self.place += 1
        if letter != "u":
            if letter not in _ESCAPES:
                raise ValueError("an unknown escape")
            return _ESCAPES[letter]
        digits = self.text[self.place : self.place + 4]
        if len(digits) != 4 or not _HEX_DIGITS.issuperset(digits):
            raise ValueError("not four hexadecimal digits")
        self.place += 4
        return chr(int(digits, 16))

    def digits(self) -> None:
        start = self.place
        while self.peek() in _DIGITS:
            self.place += 1
        if start == self.place:
            raise ValueError("a digit is missing")

    def number(self) -> int | float:
        start = self.place
        self.place += self.peek() == "-"
        if self.peek() == "0":
            self.place += 1
        else:
            self.digits()
        whole = self.place
        if self.peek() == ".":
            self.place += 1
            self.digits()
        if self.peek() in {"e", "E"}:
            self.place += 1
            self.place += self.peek() in {"+", "-"}
            self.digits()
        return self.named(self.text[start : self.place], whole=whole == self.place)

    def named(self, text: str, *, whole: bool) -> int | float:
        if whole:
            self.document.longest_number = max(self.document.longest_number, len(text))
        number = float(text)
        if not whole or len(text) > 400:
            if not whole:
                self.document.longest_float = max(self.document.longest_float, len(text))
            self.document.infinite |= not whole and number in {float("inf"), -float("inf")}
            return number
        return int(text)
