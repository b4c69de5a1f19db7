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


def host_names(option: str, hosts: Iterable[str]) -> frozenset[str]:
    """Hosts as `urlsplit(...).hostname` has them: in lower case, without brackets.

    Raises:
        ValueError: If it isn't a list of names without scheme, port and wildcards.
    """
    names = tuple(hosts)
    fits = not isinstance(hosts, str) and all(map(_HOST.fullmatch, names))
    require(option, fits, "a list of host names, without scheme, port and wildcards")
    return frozenset(name.lower().strip("[]") for name in names)


def is_plain_function(value: object) -> bool:
    """Whether `value` can be called without `await`, as far as can be known without calling it."""
    return callable(value) and not iscoroutinefunction(value) and not iscoroutinefunction(type(value).__call__)


def closed_if_coroutine(value: object) -> bool:
    """Whether `value` is a coroutine. It is closed, so that Python doesn't warn about it."""
    if iscoroutine(value):
        value.close()
        return True
    return False
