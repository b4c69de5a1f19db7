"""Prints a report: as tables, or as JSON."""

import dataclasses
import json
import sys
from collections import Counter

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dpop_asgi.cli.check.finding import Finding
from dpop_asgi.cli.check.run import Report

# Of the JSON document. Raised if members are renamed or removed, not if some are added.
_FORMAT = 1

_COLOURS = {"ok": "green", "warning": "yellow", "error": "bold red"}


def print_json(report: Report) -> None:
    """Print the report for programs."""
    document = {
        "format": _FORMAT,
        "ok": report.exit_code == 0,
        "settings": [dataclasses.asdict(setting) for setting in report.settings],
        "findings": [dataclasses.asdict(finding) for finding in report.findings],
    }
    sys.stdout.write(f"{json.dumps(document, indent=2)}\n")


def print_report(report: Report, console: Console | None = None) -> None:
    """Print the report for people: the settings, then the findings, then what they amount to."""
    console = console or Console()
    console.print()
    console.print(_settings(report))
    console.print()
    console.print(_findings(report))
    console.print()
    console.print(_verdict(report))


def _settings(report: Report) -> Table:
    table = _table("setting", "value", "from")
    for setting in report.settings:
        table.add_row(setting.name, Text(setting.value or ""), Text(setting.source, "dim"))
    return table


def _findings(report: Report) -> Table:
    table = _table("", "about", "finding")
    for finding in report.findings:
        table.add_row(
            Text(finding.verdict, _COLOURS[finding.verdict]), Text(finding.subject.replace("_", " ")), _text(finding)
        )
    return table


def _text(finding: Finding) -> Text:
    if not finding.change:
        return Text(finding.what)
    return Text.assemble(f"{finding.what}\n", (f"→ {finding.change}", "bold"))


def _verdict(report: Report) -> Text:
    counted = Counter(finding.verdict for finding in report.findings)
    errors, warnings = (_number(counted[verdict], verdict) for verdict in ("error", "warning"))
    if counted["error"]:
        return Text(f"{errors}, {warnings}. Requests would fail.", "bold red")
    return Text(f"No errors, {warnings}.", "bold green")


def _number(count: int, what: str) -> str:
    return f"{count or 'no'} {what}{'' if count == 1 else 's'}"


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    first, *others, last = columns
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, overflow="fold")
    table.add_column(last, overflow="fold")
    return table
