"""dpop_asgi beside what else one could use: what a verification costs, requests per second, and what is checked."""

from collections.abc import Callable
from typing import Any

from rich.table import Table

# Inside the functions: the processes that are measured import this package too, and should not carry the rest.


def run(quick: bool, *, tell: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """All figures, to be written as JSON; `quick` is for seeing that it works, `tell` is told what is done next."""
    from tests.benchmarks.peers.session import run as run_all  # noqa: PLC0415 - see above

    return run_all(quick=quick, tell=tell)


def table(result: dict[str, Any]) -> Table:
    """What `run` returned, as tables one below the other."""
    from tests.benchmarks.peers.report import table as all_tables  # noqa: PLC0415 - see above

    return all_tables(result)
