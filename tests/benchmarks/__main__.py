"""`python -m tests.benchmarks` measures everything in one run; `--help` lists what can be chosen."""

import argparse
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from tests import set_up
from tests.benchmarks import in_process, memory_growth, over_http, processes, redis_cost
from tests.benchmarks.bench import Bench
from tests.benchmarks.peers import comparison

SECTIONS = {
    "in-process": in_process.run_section,
    "throughput": over_http.run_section,
    "redis": redis_cost.run_section,
    "processes": processes.run_section,
    "memory": memory_growth.run_section,
    "peers": comparison.run_section,
}


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small and short: to see that it works")
    parser.add_argument("--only", action="append", choices=SECTIONS, metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--json", type=Path, default=Path(".benchmarks/figures.json"), metavar="PATH")
    parser.add_argument("--repeat", type=int, metavar="N", help="how often each is measured anew; 5, or 1 with --quick")
    return parser.parse_args(arguments)


def run(bench: Bench, sections: Iterable[str], console: Console) -> None:
    # Seldom: the display shares its core with the load.
    with console.status("", refresh_per_second=2) as status:
        for name in sections:
            bench.step = lambda what, name=name: status.update(escape(f"{name}: {what}"))
            try:
                SECTIONS[name](bench)
            except Exception:  # noqa: BLE001 - what was measured before must not be lost
                console.print_exception()
                bench.results.failed.append(name)


def main(arguments: list[str]) -> int:
    """Measure, show, write; 0 when every bound holds, of which small sizes are no judge; 2 when a section failed."""
    given = parse(arguments)
    bench = Bench(given.quick, given.repeat or (1 if given.quick else 5), set_up.REDIS.found())
    chosen = [name for name in SECTIONS if name in (given.only or SECTIONS)]
    settings = {"quick": bench.quick, "repeat": bench.repeat, "sections": chosen, "load before": os.getloadavg()[0]}
    bench.results.settings |= settings
    console = Console() if sys.stdout.isatty() else Console(width=130)
    run(bench, chosen, console)
    bench.results.show(console)
    bench.results.write(given.json)
    console.print(f"figures: {given.json}")
    if bench.results.failed:
        console.print(f"[red]These sections failed, see above: {', '.join(bench.results.failed)}[/]")
        return 2
    return 0 if bench.quick or bench.results.all_hold else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
