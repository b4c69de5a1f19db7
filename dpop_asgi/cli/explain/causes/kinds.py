"""What the tables of causes consist of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Always:
    """A cause that needs no closer look."""

    advice: Advice

    def __call__(self, _case: Case, _check: Check) -> Advice:
        """See `Cause`."""
        return self.advice


def always(cause: str, fix: str) -> Always:
    """A cause that needs no closer look."""
    return Always(Advice(cause, fix))
