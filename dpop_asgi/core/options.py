"""Wrong configuration is told by the name of the option, when the object is made."""

from inspect import iscoroutine, iscoroutinefunction


def require(option: str, fits: object, wanted: str) -> None:
    """Refuse a value that does not fit.

    Raises:
        ValueError: with the option's name and what is wanted; not with the value, which may be a secret.
    """
    if not fits:
        msg = f"{option}: must be {wanted}"
        raise ValueError(msg)


def is_plain_function(value: object) -> bool:
    """Whether `value` can be called, and needs no `await`, as far as one can see without calling it."""
    return callable(value) and not iscoroutinefunction(value) and not iscoroutinefunction(type(value).__call__)


def closed_if_coroutine(value: object) -> bool:
    """Whether a function that looked plain has returned a coroutine; it is closed, and Python warns of it no more."""
    if iscoroutine(value):
        value.close()
        return True
    return False
