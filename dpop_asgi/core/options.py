"""Wrong configuration is told by the name of the option, when the object is made."""

import re
from collections.abc import Iterable
from inspect import iscoroutine, iscoroutinefunction

_HOST = re.compile(r"[a-z0-9_.-]+|\[[0-9a-f:.]+\]", re.IGNORECASE | re.ASCII)


def require(option: str, fits: object, wanted: str) -> None:
    """Refuse a value that does not fit.

    Raises:
        ValueError: with the option's name and what is wanted; not with the value, which may be a secret.
    """
    if not fits:
        msg = f"{option}: must be {wanted}"
        raise ValueError(msg)


def host_names(option: str, hosts: Iterable[str]) -> frozenset[str]:
    """Hosts as `urlsplit(...).hostname` has them: in lower case, without brackets.

    Raises:
        ValueError: with the option's name, when it is not a list of names without scheme, port and wildcard.
    """
    names = tuple(hosts)
    fits = not isinstance(hosts, str) and all(map(_HOST.fullmatch, names))
    require(option, fits, "a list of host names, without scheme, port and wildcards")
    return frozenset(name.lower().strip("[]") for name in names)


def is_plain_function(value: object) -> bool:
    """Whether `value` can be called, and needs no `await`, as far as one can see without calling it."""
    return callable(value) and not iscoroutinefunction(value) and not iscoroutinefunction(type(value).__call__)


def closed_if_coroutine(value: object) -> bool:
    """Whether a function that looked plain has returned a coroutine; it is closed, and Python warns of it no more."""
    if iscoroutine(value):
        value.close()
        return True
    return False
