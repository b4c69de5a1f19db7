"""`python -m tests.benchmarks.peers [--quick] [--json PATH]`."""

import argparse
import json
from pathlib import Path

from rich.console import Console

from tests.benchmarks.peers import run, table

# In a file nothing has to be narrow.
_WIDTH = 140


def main() -> None:
    arguments = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.peers", description="dpop_asgi beside its peers"
    )
    arguments.add_argument("--quick", action="store_true", help="few and short rounds: to see that it works")
    arguments.add_argument("--json", type=Path, metavar="PATH", help="where to write the figures")
    given = arguments.parse_args()
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH
    with console.status("starting") as status:
        result = run(given.quick, tell=status.update)
    console.print(table(result))
    if given.json:
        given.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
