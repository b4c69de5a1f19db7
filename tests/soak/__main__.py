"""`python -m tests.soak --minutes 10 --rate 200`: see --help."""

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator

from tests.soak.ledger import Ledger
from tests.soak.options import Options, parser
from tests.soak.run import Soak, soak

_FIRST_LINE_AFTER, _LINE_EVERY = 1.0, 15.0


def main() -> int:
    arguments = parser().parse_args()
    try:
        ledger = asyncio.run(_run(Options.of(arguments)))
    except asyncio.CancelledError:
        print("interrupted while servers were being started")
        return 1
    told = json.dumps(ledger.as_json(), indent=2)
    print(told)
    if ledger.interrupted:
        print("interrupted: this is the ledger so far")
    print("everything is as it should be" if ledger.good else "something is wrong")
    if arguments.json:
        arguments.json.write_text(told + "\n")
    return 0 if ledger.good else 1


async def _run(options: Options) -> Ledger:
    """At the first signal all is stopped in order; another one must not keep it from stopping what it started."""
    this = asyncio.current_task()
    assert this is not None
    for sent in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(sent, lambda: this.cancelling() or this.cancel())
    print(f"starting Redis, an issuer and {options.servers} servers; seed {options.seed}", flush=True)
    return await soak(options, _lines)


@contextlib.asynccontextmanager
async def _lines(soak: Soak) -> AsyncIterator[None]:
    """Around the load: how far it is, now and then."""
    task = asyncio.create_task(_go_on(soak))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _go_on(soak: Soak) -> None:
    pause, ledger = _FIRST_LINE_AFTER, soak.ledger
    while True:
        await asyncio.sleep(pause)
        wrong = ", ".join(f"{n} {sort}" for sort, n in ledger.wrong.items()) or "nothing wrong"
        counts = f"{ledger.requests:,} requests, {ledger.accepted:,} accepted, {wrong}"
        state = "filling the servers' caches" if soak.is_preparing else counts
        print(f"{ledger.seconds:.0f} s: {state}; {' · '.join(soak.timeline.under_way)}", flush=True)
        pause = _LINE_EVERY


if __name__ == "__main__":
    sys.exit(main())
