"""The results as tables in a terminal."""

import os

from rich.console import Console
from rich.table import Table as RichTable

from tests.benchmarks.figures import Figure, Results, Spread, Table
from tests.benchmarks.sizing import markdown

_MARKS = {True: "[green]holds[/]", False: "[red]does not[/]", None: ""}


def show(results: Results, console: Console) -> None:
    for table in results.tables:
        console.print(_plain(table))
        if table.title.startswith("Sizing"):
            console.print(markdown(table), highlight=False, soft_wrap=True)
            console.print()
    if results.peers:
        from tests.benchmarks.peers import table as peers_table  # noqa: PLC0415 - only where they were measured

        console.print(peers_table(results.peers))
    if results.figures:
        console.print(_bounds(results.figures))
    if results.settings["quick"]:
        console.print("[yellow]--quick: these figures show only that the benchmarks work.[/]")
    elif results.settings["load before"] > 0.5:
        cores = os.cpu_count()
        load = results.settings["load before"]
        console.print(f"[yellow]Others were using this machine: load {load:.1f} on {cores} cores at the start.[/]")


def _plain(table: Table) -> RichTable:
    made = RichTable(title=table.title, title_justify="left", caption=table.note or None, caption_justify="left")
    for position, name in enumerate(table.columns):
        made.add_column(name, justify="right" if position else "left")
    for row in table.rows:
        made.add_row(*(f"{cell:,}" if isinstance(cell, int | float) else str(cell) for cell in row))
    return made


def _bounds(figures: list[Figure]) -> RichTable:
    made = RichTable(title="Figures and their bounds", title_justify="left", caption_justify="left")
    made.caption = "median, and in brackets where four of five measurements lie"
    for name in ("section", "what", "figure", "unit", "bound", ""):
        made.add_column(name, justify="right" if name in {"figure", "bound"} else "left")
    for figure in figures:
        cells = (figure.section, figure.what, _spread(figure.value), figure.unit, figure.bound)
        made.add_row(*cells, _MARKS[figure.holds])
    return made


def _spread(value: Spread) -> str:
    if value.low == value.high:
        return f"{value.middle:.4g}"
    return f"{value.middle:.3g} ({value.low:.3g} to {value.high:.3g})"
