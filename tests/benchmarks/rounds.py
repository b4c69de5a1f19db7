"""Several rows measured in turn, a few dozen operations of each at a time.

Whatever else happens on the machine then happens to all of them, and a ratio is formed within each round.
"""

import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.bench import steady_heap
from tests.benchmarks.material import Fields, RawVerification, scope
from tests.benchmarks.subjects import App, Sink

CHUNK = 25
UNIT = "verifications"
VERIFY = "raw P-256 verification (the unit)"


@dataclass(frozen=True, slots=True)
class Row:
    """What operations are made of, and what runs a few of them.

    Attributes:
        operations: one for each.
        run: takes those that have arrived; returns their seconds if it measures them itself.
        arrive: copies one, just before it is timed: a server has just received its request too.
        app: what responds to them, if they are requests.
    """

    operations: list[Any]
    run: Callable[[list[Any]], Awaitable[float | None]]
    arrive: Callable[[Any], Any]
    app: App | None = None

    def arrived(self, begin: int, end: int | None = None) -> list[Any]:
        return [self.arrive(one) for one in self.operations[begin:end]]


def verifications(count: int) -> Row:
    """The unit of all figures in process."""
    raw = RawVerification()

    async def verify_all(signed: list[Any]) -> None:
        for signature, message in signed:
            raw.verify(signature, message)

    return Row(raw.signed(count), verify_all, _copied)


def requests(app: App, fields: Iterable[Fields], *, status: int, **changes: Any) -> Row:
    """Requests to an app, one after the other; all answered with `status`. `changes` are of their scopes."""
    sink = Sink()
    receive, send = sink.receive, sink.send

    async def serve_all(scopes: list[Any]) -> None:
        for one in scopes:
            await app(one, receive, send)
        sink.expect(status)

    return Row(list(fields), serve_all, lambda one: scope(_copied(one)) | changes, app)


def _copied(pair: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    return bytes(bytearray(pair[0])), bytes(bytearray(pair[1]))


async def in_turn(rows: dict[str, Row], rounds: int) -> dict[str, list[float]]:
    """CPU seconds per operation, for each row in each round."""
    seconds: dict[str, list[float]] = {name: [] for name in rows}
    order = list(rows.items())
    with steady_heap():
        for number in range(rounds):
            for name, row in order:
                part = row.arrived(number * CHUNK, (number + 1) * CHUNK)
                began = time.thread_time()
                its_own = await row.run(part)
                spent = time.thread_time() - began if its_own is None else its_own
                seconds[name].append(spent / CHUNK)
            # So that each row follows others.
            order = order[1:] + order[:1] if number % 2 else order[::-1]
    return seconds
