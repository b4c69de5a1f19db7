"""What was measured: figures with their bounds, and tables; shown in a terminal, and written as JSON."""

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable

_PACKAGES = ("dpop-asgi", "cryptography", "joserfc", "redis", "hiredis", "starlette", "uvicorn", "uvloop", "httptools")
_PACKAGES += ("PyJWT", "Authlib", "pydpop")
_MARKS = {True: "[green]holds[/]", False: "[red]does not[/]", None: ""}


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of repeated measurements, and between which values four of five lie."""

    middle: float
    low: float
    high: float

    @classmethod
    def of(cls, samples: Sequence[float]) -> "Spread":
        if len(samples) < 2:
            return cls(samples[0], samples[0], samples[0])
        tenths = quantiles(samples, n=10, method="inclusive")
        return cls(median(samples), tenths[0], tenths[-1])

    @classmethod
    def of_ratios(cls, numerators: Sequence[float], denominators: Sequence[float]) -> "Spread":
        """Round by round: what disturbed the machine in a round disturbed both."""
        return cls.of([one / other for one, other in zip(numerators, denominators, strict=True)])

    def __str__(self) -> str:
        if self.low == self.high:
            return f"{self.middle:.4g}"
        return f"{self.middle:.3g} ({self.low:.3g} to {self.high:.3g})"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value and its bound, from above or from below, in the same unit."""

    section: str
    what: str
    value: Spread
    unit: str
    at_most: float | None = None
    at_least: float | None = None

    @property
    def bound(self) -> str:
        if self.at_most is not None:
            return f"≤ {self.at_most:g}"
        return "" if self.at_least is None else f"≥ {self.at_least:g}"

    @property
    def holds(self) -> bool | None:
        if self.at_most is not None:
            return self.value.middle <= self.at_most
        return None if self.at_least is None else self.value.middle >= self.at_least


@dataclass(frozen=True, slots=True)
class Table:
    """Rows that belong together, besides the figures with bounds."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    note: str = ""


@dataclass(slots=True)
class Results:
    """Everything of one run."""

    settings: dict[str, Any] = field(default_factory=dict)
    figures: list[Figure] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def add(self, section: str, what: str, value: Spread | float, unit: str, **bound: float) -> None:
        spread = value if isinstance(value, Spread) else Spread(value, value, value)
        self.figures.append(Figure(section, what, spread, unit, **bound))

    @property
    def all_hold(self) -> bool:
        return all(figure.holds is not False for figure in self.figures)

    def show(self, console: Console) -> None:
        for table in self.tables:
            rows = [[f"{cell:,}" if isinstance(cell, int | float) else str(cell) for cell in row] for row in table.rows]
            console.print(_shown(table.title, table.columns, rows, table.note, left=1))
        figures = [
            (one.section, one.what, one.unit, str(one.value), one.bound, _MARKS[one.holds]) for one in self.figures
        ]
        note = "median, and in brackets where four of five measurements lie"
        columns = ("section", "what", "unit", "figure", "bound", "")
        console.print(_shown("Figures and their bounds", columns, figures, note, left=3))
        if self.settings["quick"]:
            console.print("[yellow]--quick: these figures show only that the benchmarks work.[/]")
        elif (load := self.settings["load before"]) > 0.5:
            console.print(
                f"[yellow]This machine was in use: load {load:.1f} on {os.cpu_count()} cores at the start.[/]"
            )

    def write(self, path: Path) -> None:
        figures = [{**asdict(figure), "bound": figure.bound, "holds": figure.holds} for figure in self.figures]
        document = {"machine": _machine(), **asdict(self), "figures": figures}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _shown(title: str, columns: Iterable[str], rows: Iterable[Iterable[str]], note: str, *, left: int) -> RichTable:
    """The first columns begin at the left."""
    table = RichTable(title=title, title_justify="left", caption=note or None, caption_justify="left")
    for position, name in enumerate(columns):
        table.add_column(name, justify="left" if position < left else "right")
    for row in rows:
        table.add_row(*row)
    return table


def _machine() -> dict[str, Any]:
    """On what, and with what, it was measured."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": {name: version(name) for name in _PACKAGES},
    }
