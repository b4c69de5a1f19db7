"""The results as tables in a terminal."""

import os

from rich.console import Console
from rich.table import Table as RichTable

from tests.benchmarks.figures import Figure, Results, Spread, Table

_MARKS = {True: "[green]holds[/]", False: "[red]does not[/]", None: ""}


def show(results: Results, console: Console) -> None:
    for table in results.tables:
        console.print(_plain(table))
    if results.figures:
        console.print(_bounds(results.figures))
    load = results.settings["load before"]
    if results.settings["quick"]:
        console.print("[yellow]--quick: these figures show only that the benchmarks work.[/]")
    elif load > 0.5:
        console.print(f"[yellow]This machine was in use: load {load:.1f} on {os.cpu_count()} cores at the start.[/]")


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
