"""One run: which sections, in which order, and where the results go."""

import argparse
import os
import sys
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.benchmarks import (
    cold_start,
    end_to_end,
    growth,
    hot_spots,
    in_process,
    memory_growth,
    plot,
    processes,
    redis_cost,
    report,
    sizing,
)
from tests.benchmarks.bench import Bench

FOLDER = Path(".benchmarks")


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a run.

    Attributes:
        run: measures, and adds to the results.
        steps: how often it tells that something is done.
        needs: sections whose results it computes with.
        asked: whether it runs only when it is asked for.
    """

    run: Callable[[Bench], None]
    steps: Callable[[Bench], int] = lambda bench: bench.repeat
    needs: tuple[str, ...] = ()
    asked: bool = False


def peers(bench: Bench) -> None:
    """What a user would pick instead, beside ours."""
    from tests.benchmarks import peers as others  # noqa: PLC0415 - its packages are installed with the others

    found = others.run(bench.quick, tell=bench.step)
    bench.results.peers = found
    for target in found["targets"]:
        bench.results.add("peers", target["what"], target["reached"], "times", at_least=target["bound"])


SECTIONS = {
    "in-process": Section(in_process.run_section),
    "throughput": Section(end_to_end.throughput, steps=lambda bench: 5 * bench.rounds),
    "latency": Section(end_to_end.latency, steps=lambda bench: 3 * bench.rounds),
    "concurrency": Section(end_to_end.concurrency, steps=lambda bench: bench.size(36, 8)),
    "redis": Section(redis_cost.run_section, steps=lambda _: 2),
    "processes": Section(processes.run_section, steps=lambda bench: 2 * bench.rounds),
    "memory": Section(memory_growth.run_section, steps=lambda _: 21),
    "growth": Section(growth.run_section, steps=lambda bench: bench.size(24, 11)),
    "sizing": Section(sizing.run_section, steps=lambda _: 0, needs=("throughput", "redis", "processes")),
    "cold-start": Section(cold_start.run_section, steps=lambda bench: bench.size(14, 7)),
    "peers": Section(peers, steps=lambda _: 60),
    "hot-spots": Section(hot_spots.run_section, steps=lambda _: 5, asked=True),
}


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python3 -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small and short: to see that it works")
    parser.add_argument("--only", action="append", choices=SECTIONS, metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--json", type=Path, default=FOLDER / "figures.json", metavar="PATH")
    parser.add_argument("--plot", type=Path, default=FOLDER / "load.png", metavar="PATH")
    parser.add_argument("--repeat", type=int, metavar="N", help="how often each is measured anew; 5, or 1 with --quick")
    return parser.parse_args(arguments)


def chosen(only: list[str] | None) -> dict[str, Section]:
    """In the order of `SECTIONS`, with what they need."""
    wanted = set(only or (name for name, section in SECTIONS.items() if not section.asked))
    wanted |= {needed for name in wanted for needed in SECTIONS[name].needs}
    return {name: section for name, section in SECTIONS.items() if name in wanted}


@contextmanager
def progress_bar(console: Console):
    columns = (TextColumn("{task.description:<46}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    # Seldom: it shares its core with the load.
    with Progress(*columns, console=console, refresh_per_second=2, transient=True) as progress:
        yield progress


def run(bench: Bench, sections: dict[str, Section], progress: Progress) -> None:
    for name, section in sections.items():
        steps = section.steps(bench)
        task: Any = progress.add_task(name, total=steps)

        def step(what: str, name: str = name, task: Any = task) -> None:
            progress.update(task, advance=1, description=f"{name}: {what}"[:46])

        bench.step = step
        try:
            section.run(bench)
        except Exception:  # noqa: BLE001 - what was measured before must not be lost
            progress.console.print_exception()
            bench.results.failed.append(name)
        progress.update(task, completed=steps, description=name)


def main(arguments: list[str], *, redis_binary: Callable[[], str]) -> int:
    """Measure, show, write; 0 when every bound holds, of which small sizes are no judge; 2 when a section failed."""
    given = parse(arguments)
    bench = Bench(given.quick, given.repeat or (1 if given.quick else 5), redis_binary())
    sections = chosen(given.only)
    busy = os.getloadavg()[0]
    settings = {"quick": bench.quick, "repeat": bench.repeat, "sections": list(sections), "load before": busy}
    bench.results.settings.update(settings)
    console = Console() if sys.stdout.isatty() else Console(width=130)
    with progress_bar(console) as progress:
        run(bench, sections, progress)
    report.show(bench.results, console)
    bench.results.write(given.json)
    console.print(f"figures: {given.json}")
    if bench.results.curves:
        plot.draw(bench.results.curves, given.plot)
        console.print(f"plot: {given.plot}")
    if bench.results.failed:
        console.print(f"[red]These sections failed, see above: {', '.join(bench.results.failed)}[/]")
        return 2
    return 0 if bench.quick or bench.results.all_hold else 1
