"""How far a soak is: a bar where there is a terminal, else a line now and then."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tests.soak.run import Soak

_BAR_WIDTH = 20
_FIRST_LINE_AFTER, _LINE_EVERY = 1.0, 15.0


class Display:
    """Around the load of a soak."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextlib.asynccontextmanager
    async def __call__(self, soak: Soak) -> AsyncIterator[None]:
        task = asyncio.create_task(self._bar(soak) if self._console.is_terminal else self._lines(soak))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _bar(self, soak: Soak) -> None:
        columns = (BarColumn(_BAR_WIDTH), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
        with Progress(*columns, console=self._console, auto_refresh=False) as progress:
            # Else the bar would become shorter with every word.
            room = max(0, self._console.width - _BAR_WIDTH - 10)
            bar = progress.add_task("", total=soak.ledger.options.seconds)
            while True:
                progress.update(bar, completed=soak.ledger.seconds, description=_state(soak)[:room])
                progress.refresh()
                await asyncio.sleep(0.5)

    async def _lines(self, soak: Soak) -> None:
        pause = _FIRST_LINE_AFTER
        while True:
            await asyncio.sleep(pause)
            self._console.print(f"{soak.ledger.seconds:.0f} s: {_state(soak)}", markup=False, highlight=False)
            pause = _LINE_EVERY


def _state(soak: Soak) -> str:
    ledger = soak.ledger
    if soak.is_preparing:
        return "filling the servers' caches"
    wrong = ", ".join(f"{n} {sort}" for sort, n in ledger.wrong.items()) or "nothing wrong"
    return f"{ledger.requests:,} requests, {ledger.accepted:,} accepted, {wrong}; {' · '.join(soak.timeline.under_way)}"
