"""What was measured, as data: figures with their bounds, and tables."""

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles
from typing import Any

_PACKAGES = ("dpop-asgi", "cryptography", "joserfc", "redis", "hiredis", "starlette", "uvicorn", "uvloop", "httptools")
_PACKAGES += ("PyJWT", "Authlib", "pydpop")


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

    def write(self, path: Path) -> None:
        figures = [{**asdict(figure), "bound": figure.bound, "holds": figure.holds} for figure in self.figures]
        document = {"machine": _machine(), **asdict(self), "figures": figures}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _machine() -> dict[str, Any]:
    """On what, and with what, it was measured."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "packages": {name: version(name) for name in _PACKAGES},
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8").splitlines() if information.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()
