"""Invalid options raise `ValueError` at construction time; the message names the option."""

import math
import re
from collections.abc import Iterable
from inspect import iscoroutine, iscoroutinefunction

_HOST = re.compile(r"[a-z0-9_.-]+|\[[0-9a-f:.]+\]", re.IGNORECASE | re.ASCII)


def require(option: str, fits: object, wanted: str) -> None:
    """Reject an invalid value.

    Raises:
        ValueError: If `fits` is false. The message has the option's name, but not the value, which may be a secret.
    """
    if not fits:
        msg = f"{option}: must be {wanted}"
        raise ValueError(msg)


def require_seconds(option: str, value: object, *, above_zero: bool = False) -> None:
    """Reject what isn't a finite number of seconds.

    Raises:
        ValueError: If it isn't one, is negative, or is 0 where it has to be `above_zero`.
    """
    is_number = isinstance(value, (int, float)) and 0 <= value < math.inf
    wanted = "above 0" if above_zero else "of at least 0"
    require(option, is_number and not (above_zero and value == 0), f"a number of seconds {wanted}")


def require_clock(clock: object) -> None:
    """Reject a time, or a module, instead of a clock.

    Raises:
        ValueError: If it isn't a function.
    """
    require("clock", is_plain_function(clock), "a function that returns seconds, such as time.time")


def one_or_more(option: str, given: object, wanted: str) -> tuple[str, ...]:
    """A text, or several, as a tuple.

    Raises:
        ValueError: If there is none, or one is empty or something else; the message names the option.
    """
    several: tuple[object, ...] = (
        tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else (given,)
    )
    names = tuple(name for name in several if isinstance(name, str) and name)
    require(option, names and len(names) == len(several), wanted)
    return names


def quoted_url(url: str) -> str:
    """A URL as messages may show it: in quotes, without a query, in which there may be a key.

    With an `@` it is left out altogether: what isn't a valid URL can't be split into a password and the rest.
    """
    if "@" in url:
        return "a URL that isn't shown, because there may be a password before its @,"
    address, question_mark, _ = url.partition("?")
    return repr(f"{address}?***" if question_mark else url)


def host_names(option: str, hosts: object) -> frozenset[str]:
    """Hosts as `urlsplit(...).hostname` has them: in lower case, without brackets.

    Raises:
        ValueError: If it isn't a list of names without scheme, port and wildcards.
    """
    listed = tuple(hosts) if isinstance(hosts, Iterable) and not isinstance(hosts, str) else (None,)
    names = [name for name in listed if isinstance(name, str) and _HOST.fullmatch(name)]
    fits = len(names) == len(listed)
    require(option, fits, "a list of host names, without scheme, port and wildcards")
    return frozenset(name.lower().strip("[]") for name in names)


def is_plain_function(value: object) -> bool:
    """Whether `value` can be called without `await`, as far as can be known without calling it.

    A class is none: it would return an object of its own, which is true.
    """
    if not callable(value) or isinstance(value, type):
        return False
    return not iscoroutinefunction(value) and not iscoroutinefunction(type(value).__call__)


def closed_if_coroutine(value: object) -> bool:
    """Whether `value` is a coroutine. It is closed, so that Python doesn't warn about it."""
    if iscoroutine(value):
        value.close()
        return True
    return False
