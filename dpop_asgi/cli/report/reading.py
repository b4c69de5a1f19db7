"""Finds the decisions in a log, whatever formatter, collector or container wrote around them."""

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from dpop_asgi.cli.printable import printable
from dpop_asgi.cli.unusable import Unusable
from dpop_asgi.core.decision import Outcome
from dpop_asgi.core.policy import Scheme

_OUTCOMES = frozenset(get_args(Outcome))
_SCHEMES = frozenset(get_args(Scheme))
_DECODER = json.JSONDecoder()
# JSON that a formatter put into JSON, which a container put into JSON.
_DEEPEST = 6
# A formatter may write braces of its own before the message.
_MOST_BRACES = 8
_LONGEST_LINE = 65_536
# As long as what `DecisionLog` writes: two clients must not become one.
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class LoggedDecision:
    """A decision in a log. `None` stands for what it doesn't say."""

    outcome: str
    reason: str | None
    scheme: str | None
    client: str | None
    time: str | None


def decisions_in(lines: Iterable[str]) -> Iterator[LoggedDecision | None]:
    """The decisions in each line, or `None` if there is none in it.

    A line has one. If it has several, a formatter has put text of a client beside it: then it must not hide the other.
    """
    for line in lines:
        found = [_read(each) for each in _in(line[:_LONGEST_LINE], _DEEPEST)]
        yield from dict.fromkeys(found) if found else [None]


def lines_of(path: str) -> Iterator[str]:
    """The lines of a file, or of standard input.

    Args:
        path: of the file; `-` is standard input.

    Raises:
        Unusable: If it can't be read.
    """
    try:
        if path == "-":
            yield from (line.decode("utf-8", "replace") for line in sys.stdin.buffer)
            return
        with Path(path).open(encoding="utf-8", errors="replace") as file:
            yield from file
    except OSError as error:
        raise Unusable(f"LOGFILE: the file can't be read: {error.strerror}.") from None


def _in(value: object, depth: int) -> Iterator[dict[str, Any]]:
    """The decisions that a text, or a member of an object, is or has in it."""
    if isinstance(value, dict) and _one_of(_OUTCOMES, value.get("outcome")):
        yield value
    elif isinstance(value, str | dict) and depth:
        for part in _objects(value) if isinstance(value, str) else value.values():
            yield from _in(part, depth - 1)


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects in a text."""
    end = 0
    for _ in range(_MOST_BRACES):
        begin = text.find("{", end)
        if begin < 0:
            return
        try:
            found, end = _DECODER.raw_decode(text, begin)
        except (ValueError, RecursionError):
            end = begin + 1
        else:
            yield found


def _read(found: dict[str, Any]) -> LoggedDecision:
    return LoggedDecision(
        outcome=found["outcome"],
        reason=_name(found.get("reason")),
        scheme=_one_of(_SCHEMES, found.get("scheme")),
        client=_name(found.get("client_id")),
        time=_name(found.get("time")),
    )


def _one_of(known: frozenset[str], value: object) -> str | None:
    return value if isinstance(value, str) and value in known else None


def _name(value: object) -> str | None:
    """Logs are written by others, and have names in them that clients may have chosen."""
    if not isinstance(value, str) or not value:
        return None
    return printable(value[:_LONGEST_NAME])
