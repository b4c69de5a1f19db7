"""What the tables of causes consist of."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from dpop_asgi.cli.explain.case import Case
from dpop_asgi.cli.explain.findings import Check
from dpop_asgi.errors import Reason


class Advice(NamedTuple):
    """A likely cause, and what to change."""

    cause: str
    fix: str


# Each looks at a failed check, and returns `None` if it isn't the cause. The last one of a reason always applies.
Cause = Callable[[Case, Check], Advice | None]
Causes = Mapping[Reason, tuple[Cause, ...]]


def always(cause: str, fix: str) -> Cause:
    """A cause that needs no closer look."""
    return lambda _case, _check: Advice(cause, fix)
