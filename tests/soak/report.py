"""The ledger for people, and for programs."""

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.soak.ledger import PROMISED, Ledger
from tests.soak.memory import ALLOWED_KIB, Growth
from tests.soak.run import MEMORY_FROM_SECONDS


def as_json(ledger: Ledger) -> dict[str, Any]:
    return {
        "good": ledger.good,
        "interrupted": ledger.interrupted,
        "failure": ledger.failure,
        "options": asdict(ledger.options),
        "seconds": round(ledger.seconds, 1),
        "requests": ledger.requests,
        "requests_per_second": round(ledger.requests / ledger.seconds, 1),
        "latest_ms": round(ledger.latest * 1000),
        "sent": dict(ledger.sent),
        "answers": dict(ledger.answers),
        "explained": [{"answer": answer, "by": by, "times": n} for (answer, by), n in ledger.explained.items()],
        "accepted_proofs": ledger.accepted,
        "accepted_twice": ledger.wrong["accepted twice"],
        "lost": ledger.wrong["lost"],
        "unexplained": ledger.wrong["unexplained"],
        "violations": [asdict(violation) for violation in ledger.violations],
        "challenges_per_client": challenges(ledger),
        "challenges_after_a_loss": ledger.after_a_loss,
        "milliseconds": percentiles(ledger.milliseconds),
        "over_promised": sum(n for milliseconds, n in ledger.milliseconds.items() if milliseconds > PROMISED * 1000),
        "slow": ledger.slow,
        "faults": {name: {"times": n, "seconds": round(s, 1)} for name, (n, s) in ledger.faults.items()},
        "processes": [asdict(process) for process in ledger.processes],
        "redis": ledger.redis,
    }


def challenges(ledger: Ledger) -> dict[str, float]:
    """Of those that go on asking: one at the beginning, others when Redis lost its data or was replaced."""
    counts = [ledger.challenges[f"client {number}"] for number in range(ledger.options.clients)]
    return {"least": min(counts), "median": statistics.median(counts), "most": max(counts)}


def percentiles(milliseconds: Counter[int]) -> dict[str, int]:
    ordered = sorted(milliseconds.elements())
    wanted = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "most": 1.0}
    return {name: ordered[max(0, -int(-share * len(ordered) // 1) - 1)] for name, share in wanted.items() if ordered}


def show(ledger: Ledger, console: Console) -> None:
    for title, columns, rows in _tables(ledger):
        table = Table(title=title, title_justify="left")
        for number, column in enumerate(columns):
            table.add_column(column, justify="right" if number else "left")
        for row in rows:
            table.add_row(*(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row))
        console.print(table)
    wrong = [*map(str, ledger.violations), *([ledger.failure] if ledger.failure else [])]
    for text, style in [*((f"slow: {slow}", "") for slow in ledger.slow[:5]), *((text, "red") for text in wrong)]:
        console.print(text, style=style, markup=False, highlight=False)
    if ledger.interrupted:
        console.print("interrupted: this is the ledger so far")
    console.print("everything is as it should be" if ledger.good else "something is wrong", style="bold")


def _tables(ledger: Ledger) -> Iterator[tuple[str, tuple[str, ...], Iterable[tuple[Any, ...]]]]:
    """Title, columns and rows of each."""
    yield "Answers", ("answer", "times"), [*sorted(ledger.answers.items()), ("in all", ledger.requests)]
    explained = [(*both, times) for both, times in sorted(ledger.explained.items())]
    yield "Explained by a fault", ("answer", "fault", "times"), explained
    faults = [(name, times, f"{seconds:.1f}") for name, (times, seconds) in sorted(ledger.faults.items())]
    yield "Faults", ("fault", "times", "seconds"), faults
    title = f"Memory in KiB; flat is at most {ALLOWED_KIB} KiB more than after the first third"
    columns = ("process", "at first", "after a third", "at last", "per minute", "flat")
    yield title, columns, [_memory(ledger, process) for process in ledger.processes]
    yield "Ledger", ("what", "how much"), _summary(ledger).items()


def _memory(ledger: Ledger, process: Growth) -> tuple[Any, ...]:
    flat = "yes" if process.flat else "NO"
    if not process.steady or ledger.seconds < MEMORY_FROM_SECONDS:
        flat = "too short" if process.steady else "restarted"
    return process.name, process.at_first, process.warmed_up, process.at_last, f"{process.per_minute:+,.0f}", flat


def _summary(ledger: Ledger) -> dict[str, Any]:
    facts = as_json(ledger)
    return {
        "seconds": facts["seconds"],
        "requests per second": f"{facts['requests_per_second']} of {ledger.options.rate:g}, "
        f"at most {facts['latest_ms']} ms late",
        "proofs accepted": ledger.accepted,
        **{wrong: facts[wrong.replace(" ", "_")] for wrong in ("accepted twice", "lost", "unexplained")},
        "challenges per client": _pairs(facts["challenges_per_client"]),
        "at most, after one loss of data or failover": ledger.after_a_loss,
        "milliseconds per answer": _pairs(facts["milliseconds"]),
        f"over {PROMISED:g} s": facts["over_promised"],
        "kept in Redis": _pairs(ledger.redis),
        "seed": str(ledger.options.seed),
    }


def _pairs(facts: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value:,}" for name, value in facts.items())
