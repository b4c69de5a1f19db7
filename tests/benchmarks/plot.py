"""Throughput and latency against concurrency, as a picture."""

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

_COLOURS = ("#7f7f7f", "#1f77b4", "#2ca02c", "#d62728")


def draw(curves: list[dict[str, Any]], path: Path) -> None:
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.8), layout="constrained")
    for name, colour in zip(dict.fromkeys(point["app"] for point in curves), _COLOURS, strict=False):
        points = [point for point in curves if point["app"] == name]
        clients = [point["clients"] for point in points]
        left.plot(clients, [point["per_second"] for point in points], "o-", color=colour, label=name)
        for key, style in (("p50", "o-"), ("p99", "o:")):
            milliseconds = [point[key] * 1e3 for point in points]
            right.plot(clients, milliseconds, style, color=colour, label=f"{name}, {key}")
    _label(left, "requests per second")
    _label(right, "milliseconds")
    left.set_ylim(bottom=0)
    right.set_yscale("log")
    figure.suptitle("uvicorn, one worker on one core")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _label(axes: Axes, what: str) -> None:
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("concurrent clients")
    axes.set_ylabel(what)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
