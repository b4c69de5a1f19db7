"""`python -m tests.soak --minutes 10 --rate 200`: see --help."""

import asyncio
import json
import signal
import sys

from rich.console import Console

from tests.soak.display import Display
from tests.soak.ledger import Ledger
from tests.soak.options import Options, parser
from tests.soak.report import as_json, show
from tests.soak.run import soak


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
    return await soak(options, Display(console))


def _stop_in_order(this: asyncio.Task | None) -> None:
    """At the first signal; another one must not keep it from stopping what it started."""
    assert this is not None
    for sent in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(sent, lambda: this.cancelling() or this.cancel())


if __name__ == "__main__":
    sys.exit(main())
