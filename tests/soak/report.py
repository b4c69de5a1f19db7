"""The ledger for people, and for programs."""

import statistics
from collections import Counter
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
    found, seen, total = {}, 0, milliseconds.total()
    wanted = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "most": 1.0}
    for value, times in sorted(milliseconds.items()):
        seen += times
        found.update({name: value for name, share in wanted.items() if name not in found and seen >= share * total})
    return found


def show(ledger: Ledger, console: Console) -> None:
    for table in (_answers(ledger), _explained(ledger), _faults(ledger), _memory(ledger), _summary(ledger)):
        console.print(table)
    for slow in ledger.slow[:5]:
        console.print(f"slow: {slow}", markup=False, highlight=False)
    for violation in ledger.violations:
        console.print(str(violation), style="red", markup=False, highlight=False)
    if ledger.failure:
        console.print(ledger.failure, style="red", markup=False, highlight=False)
    if ledger.interrupted:
        console.print("interrupted: this is the ledger so far")
    console.print("everything is as it should be" if ledger.good else "something is wrong", style="bold")


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(columns[0])
    for column in columns[1:]:
        table.add_column(column, justify="right")
    return table


def _answers(ledger: Ledger) -> Table:
    table = _table("Answers", "answer", "times")
    for answer, times in sorted(ledger.answers.items()):
        table.add_row(answer, f"{times:,}")
    table.add_section()
    table.add_row("requests", f"{ledger.requests:,}")
    return table


def _explained(ledger: Ledger) -> Table:
    table = _table("Explained by a fault", "answer", "fault", "times")
    for (answer, fault), times in sorted(ledger.explained.items()):
        table.add_row(answer, fault, f"{times:,}")
    return table


def _faults(ledger: Ledger) -> Table:
    table = _table("Faults", "fault", "times", "seconds")
    for fault, (times, seconds) in sorted(ledger.faults.items()):
        table.add_row(fault, str(times), f"{seconds:.1f}")
    return table


def _memory(ledger: Ledger) -> Table:
    title = f"Memory in KiB; flat is at most {ALLOWED_KIB} KiB more than after the first third"
    table = _table(title, "process", "at first", "after a third", "at last", "per minute", "flat")
    for process in ledger.processes:
        sizes = (process.at_first, process.warmed_up, process.at_last)
        table.add_row(
            process.name, *(f"{size:,}" for size in sizes), f"{process.per_minute:+,.0f}", _flat(ledger, process)
        )
    return table


def _flat(ledger: Ledger, process: Growth) -> str:
    if not process.steady:
        return "restarted"
    if ledger.seconds < MEMORY_FROM_SECONDS:
        return "too short"
    return "yes" if process.flat else "NO"


def _summary(ledger: Ledger) -> Table:
    facts = as_json(ledger)
    rate = f"{facts['requests_per_second']} of {ledger.options.rate:g}, at most {facts['latest_ms']} ms late"
    rows = {
        "seconds": facts["seconds"],
        "requests per second": rate,
        "proofs accepted": f"{ledger.accepted:,}",
        "accepted twice": facts["accepted_twice"],
        "lost": facts["lost"],
        "unexplained": facts["unexplained"],
        "challenges per client": _pairs(facts["challenges_per_client"]),
        "at most, after one loss of data or failover": facts["challenges_after_a_loss"],
        "milliseconds per answer": _pairs(facts["milliseconds"]),
        f"over {PROMISED:g} s": facts["over_promised"],
        "kept in Redis": _pairs(ledger.redis),
        "seed": ledger.options.seed,
    }
    table = _table("Ledger", "what", "how much")
    for name, value in rows.items():
        table.add_row(name, str(value))
    return table


def _pairs(facts: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value:,}" for name, value in facts.items())
