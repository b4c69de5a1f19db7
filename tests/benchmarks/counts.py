"""What a request costs in counts that no clock and no neighbour can change."""

import sys
from collections.abc import Awaitable, Generator
from typing import Any

from tests.benchmarks.subjects import App, Sink


def calls(app: App, scope: dict[str, Any]) -> int:
    """Calls of Python and built-in functions while an app answers, which must not have to wait for anything."""
    sink, seen = Sink(), 0

    def count(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal seen
        seen += event in {"call", "c_call"}

    answering = app(scope, sink.receive, sink.send)
    before = sys.getprofile()
    sys.setprofile(count)
    try:
        answering.send(None)  # type: ignore[attr-defined]
    except StopIteration:
        return seen
    finally:
        sys.setprofile(before)
    msg = "the app waited"
    raise RuntimeError(msg)


class Switches:
    """Awaits something and counts how often it had to wait: each time the event loop goes elsewhere and comes back."""

    def __init__(self, awaitable: Awaitable[Any]) -> None:
        self._awaitable = awaitable
        self.count = 0

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self._awaitable.__await__()
        for waited_for in steps:
            self.count += 1
            yield waited_for
