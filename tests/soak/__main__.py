"""`python -m tests.soak --minutes 10 --rate 200`: see --help."""

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator

from rich.console import Console

from tests.soak.ledger import Ledger
from tests.soak.options import Options, parser
from tests.soak.report import as_json, show
from tests.soak.run import Soak, soak

_FIRST_LINE_AFTER, _LINE_EVERY = 1.0, 15.0


def main() -> int:
    arguments = parser().parse_args()
    console = Console()
    if not console.is_terminal:
        console.width = 120
    try:
        ledger = asyncio.run(_run(Options.of(arguments), console))
    except asyncio.CancelledError:
        console.print("interrupted while servers were being started")
        return 1
    show(ledger, console)
    if arguments.json:
        arguments.json.write_text(json.dumps(as_json(ledger), indent=2) + "\n")
    return 0 if ledger.good else 1


async def _run(options: Options, console: Console) -> Ledger:
    _stop_in_order(asyncio.current_task())
    console.print(f"starting Redis, an issuer and {options.servers} servers; seed {options.seed}")
    return await soak(options, lambda running: _lines(running, console))


def _stop_in_order(this: asyncio.Task | None) -> None:
    """At the first signal; another one must not keep it from stopping what it started."""
    assert this is not None
    for sent in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(sent, lambda: this.cancelling() or this.cancel())


@contextlib.asynccontextmanager
async def _lines(soak: Soak, console: Console) -> AsyncIterator[None]:
    """Around the load: how far it is, now and then."""
    task = asyncio.create_task(_go_on(soak, console))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _go_on(soak: Soak, console: Console) -> None:
    pause = _FIRST_LINE_AFTER
    while True:
        await asyncio.sleep(pause)
        console.print(f"{soak.ledger.seconds:.0f} s: {_state(soak)}", markup=False, highlight=False)
        pause = _LINE_EVERY


def _state(soak: Soak) -> str:
    ledger = soak.ledger
    if soak.is_preparing:
        return "filling the servers' caches"
    wrong = ", ".join(f"{n} {sort}" for sort, n in ledger.wrong.items()) or "nothing wrong"
    return f"{ledger.requests:,} requests, {ledger.accepted:,} accepted, {wrong}; {' · '.join(soak.timeline.under_way)}"


if __name__ == "__main__":
    sys.exit(main())
