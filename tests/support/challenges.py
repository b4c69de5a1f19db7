"""A strict reader of `WWW-Authenticate` by RFC 9110 §11, written apart from the code that it judges."""

import re
from dataclasses import dataclass, field

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED = r'"(?:[\t \x21\x23-\x5B\x5D-\x7E\x80-\xFF]|\\[\t\x20-\x7E\x80-\xFF])*"'
_PARAMETER = re.compile(rf"({_TOKEN})=({_QUOTED}|{_TOKEN})(?=[ \t]*(?:,|$))")
_SCHEME = re.compile(rf"({_TOKEN})(?: +|(?=,|$))")
_COMMA = re.compile(r"[ \t]*,[ \t]*")

# RFC 6750 §3 and RFC 6749 §3.3 (scope), in the sense of a set of characters.
_ERROR_TEXT = re.compile(r"[\x20-\x21\x23-\x5B\x5D-\x7E]+")
_SCOPE_TEXT = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+(?: [\x21\x23-\x5B\x5D-\x7E]+)*")
NQCHAR = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+")


@dataclass
class Challenge:
    """One challenge; `raw` holds the values as they stand, quotes included."""

    scheme: str
    raw: list[tuple[str, str]] = field(default_factory=list)

    @property
    def parameters(self) -> dict[str, str]:
        return {name.lower(): _unquoted(value) for name, value in self.raw}


def parse_challenges(line: str) -> list[Challenge]:
    """The challenges of one field line.

    Raises:
        ValueError: where the line leaves the grammar.
    """
    challenges: list[Challenge] = []
    position = 0
    while True:
        parameter = _PARAMETER.match(line, position)
        if parameter is None:
            scheme = _SCHEME.match(line, position)
            if scheme is None:
                raise ValueError(f"neither a scheme nor a parameter at {position}: {line!r}")
            challenges.append(Challenge(scheme[1]))
            position = scheme.end()
            parameter = _PARAMETER.match(line, position)
        if parameter is not None:
            if not challenges:
                raise ValueError(f"a parameter before any scheme: {line!r}")
            challenges[-1].raw.append((parameter[1], parameter[2]))
            position = parameter.end()
        if position == len(line):
            return challenges
        comma = _COMMA.match(line, position)
        if comma is None:
            raise ValueError(f"no comma at {position}: {line!r}")
        position = comma.end()


def checked_challenges(headers: tuple[tuple[bytes, bytes], ...]) -> list[Challenge]:
    """The challenges of an answer, one per line, each as simple clients need it and as RFC 6750 §3 allows it."""
    lines = [value.decode("ascii") for name, value in headers if name == b"www-authenticate"]
    challenges = [challenge for line in lines for challenge in parse_challenges(line)]
    assert len(challenges) == len(lines), "several challenges on one line are misread by simple clients"
    for challenge in challenges:
        _check(challenge)
    return challenges


def _check(challenge: Challenge) -> None:
    names = [name for name, _ in challenge.raw]
    assert names, f"a bare {challenge.scheme} is no challenge (RFC 6750 §3)"
    assert len({name.lower() for name in names}) == len(names), f"a parameter stands twice: {names}"
    assert all(value.startswith('"') and value != '""' for _, value in challenge.raw), challenge.raw
    assert "error" not in names or names[0] == "error", f"error must come first: {names}"
    for name, value in challenge.parameters.items():
        allowed = _SCOPE_TEXT if name in {"scope", "algs"} else _ERROR_TEXT
        assert allowed.fullmatch(value), f"{name} has characters that RFC 6750 §3 forbids: {value!r}"


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
