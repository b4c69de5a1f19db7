"""How long the library takes, without those who judge it and who make its inputs: their time is put aside."""

import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

_aside = 0.0


def aside(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """The same function, whose time does not count."""

    @wraps(function)
    def uncounted(*arguments: _Arguments.args, **named: _Arguments.kwargs) -> _Result:
        global _aside  # noqa: PLW0603 - one watch for one thread
        before, started = _aside, time.thread_time()
        try:
            return function(*arguments, **named)
        finally:
            # Not added up: what such a function calls is part of its own time.
            _aside = before + time.thread_time() - started

    return uncounted


def seconds(function: Callable[[bytes], None], data: bytes) -> float:
    """Processor time of one call that counts: what the machine does beside is not in it either."""
    before, started = _aside, time.thread_time()
    function(data)
    return time.thread_time() - started - (_aside - before)
