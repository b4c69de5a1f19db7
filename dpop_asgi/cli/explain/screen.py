"""Prints the checks: for people on a terminal of any width, or as JSON."""

import json
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dpop_asgi.cli.explain.case import Case
from dpop_asgi.cli.explain.causes.times import date
from dpop_asgi.cli.explain.examine import verdict
from dpop_asgi.cli.explain.findings import Check
from dpop_asgi.cli.explain.table import HTU, ON_THE_SERVER, TOKEN, TOPICS, Topic
from dpop_asgi.cli.explain.words import compared, difference, missing, passed
from dpop_asgi.cli.printable import printable

_MARKS = {"pass": Text("ok", "green"), "fail": Text("FAIL", "bold red"), "unknown": Text("?", "yellow")}
_DOCS = "docs/errors.md"
# Of the columns before the text, and the margin of the terminal.
_MARK_WIDTH, _NAME_WIDTH, _GAP = 4, 15, 2
_FACT_WIDTH = 12


def as_json(checks: list[Check]) -> str:
    """See docs/explain.md."""
    rows = [
        {
            "reason": check.reason.value,
            "outcome": check.outcome,
            "section": check.section,
            "facts": {name: value for name, value in check.facts.items() if value is not None},
            "cause": check.cause,
            "fix": check.fix,
        }
        for check in checks
    ]
    failed = [check.reason.value for check in checks if check.outcome == "fail"]
    return json.dumps({"accepted": verdict(checks), "failed": failed, "checks": rows}, indent=2)


class Report:
    """Prints one request, its checks, and the verdict.

    Args:
        console: where to; standard output by default.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)

    def show(self, case: Case, checks: list[Check], clock: str) -> None:
        """Print everything.

        Args:
            case: the request.
            checks: its checks.
            clock: where the time comes from that `iat` is compared with.
        """
        self._opening(case, clock)
        grid = Table.grid(padding=(0, _GAP, 0, 0))
        grid.add_column(width=_MARK_WIDTH, justify="right")
        grid.add_column(width=_NAME_WIDTH)
        grid.add_column(overflow="fold", ratio=1)
        for topic in (*TOPICS, ON_THE_SERVER):
            self._topic(grid, topic, case, [check for check in checks if check.reason in topic.reasons])
        self._console.print(grid)
        self._verdict(checks)

    def _opening(self, case: Case, clock: str) -> None:
        message, response = case.message, case.message.response
        what = printable(f"{message.method or 'a request'} {case.target_uri or ''}".strip())
        self._console.print(Text.assemble((what, "bold"), (f"  from {message.source}", "dim")), overflow="fold")
        if message.is_scheme_assumed:
            self._console.print(Text("The scheme is assumed, as the middleware does; pass --url to be exact.", "dim"))
        self._console.print(Text(f"Judged at {date(case.now)} ({clock}).", "dim"))
        if response is not None:
            said = printable(f" {response.error}" if response.error else "")
            self._console.print(Text(f"The server responded {response.status}{said}.", "dim"))
        self._console.print()

    def _topic(self, grid: Table, topic: Topic, case: Case, checks: list[Check]) -> None:
        if not checks or (topic is not TOKEN and self._is_about_no_token(topic, case, checks)):
            return
        outcomes = {check.outcome for check in checks}
        outcome = "fail" if "fail" in outcomes else "unknown" if "unknown" in outcomes else "pass"
        name = Text(topic.name, "bold" if outcome == "fail" else "")
        if outcome != "fail":
            text = passed(topic, checks[0].facts) if outcome == "pass" else missing(topic, case, checks[0].facts)
            grid.add_row(_MARKS[outcome], name, Text(text, "dim" if outcome == "unknown" else ""))
        for check in checks:
            if check.outcome == "fail":
                grid.add_row(_MARKS["fail"], name, self._failure(topic, check))

    @staticmethod
    def _is_about_no_token(topic: Topic, case: Case, checks: list[Check]) -> bool:
        """Details of a token that isn't known: one line says so."""
        is_detail = TOPICS.index(topic) > TOPICS.index(TOKEN) if topic in TOPICS[:-1] else False
        return is_detail and case.token_claims is None and all(check.outcome == "unknown" for check in checks)

    def _failure(self, topic: Topic, check: Check) -> Table:
        grid = Table.grid()
        grid.add_row(Text.assemble((check.reason.value, "bold red"), (f"  {check.section}", "dim")))
        if topic is HTU and "signed" in check.facts:
            grid.add_row(self._urls(check.facts))
        elif check.facts:
            grid.add_row(self._grid(compared(check.facts)))
        grid.add_row(Text(check.cause or ""))
        grid.add_row(Text.assemble(("→ ", "green"), (check.fix or "", "green")))
        return grid

    def _urls(self, facts: Mapping[str, Any]) -> Table:
        """What was signed and what was called, the difference marked."""
        signed, request = str(facts["signed"]), str(facts["request"])
        if request in {signed, "unknown"} or "://" not in signed:
            return self._grid({"signed": signed, "request": request})
        width = self._console.width - _MARK_WIDTH - _NAME_WIDTH - 3 * _GAP - _FACT_WIDTH
        one, other, marks = difference(signed, request, max(width, 10))
        return self._grid({"signed": one, "request": other, "": marks})

    @staticmethod
    def _grid(facts: Mapping[str, str]) -> Table:
        grid = Table.grid(padding=(0, _GAP, 0, 0))
        grid.add_column(style="cyan", min_width=_FACT_WIDTH - _GAP)
        grid.add_column(overflow="fold")
        for name, value in facts.items():
            grid.add_row(name, Text(value, "" if name else "bold red"))
        return grid

    def _verdict(self, checks: list[Check]) -> None:
        self._console.print()
        failed = [check.reason.value for check in checks if check.outcome == "fail"]
        if failed:
            self._console.print(Text(f"Rejected: {', '.join(failed)}.", "bold red"))
            self._console.print(Text(f"More: {_DOCS}#{failed[0]}", "dim"))
        elif verdict(checks):
            self._console.print(Text("Accepted: every check passes.", "bold green"))
        else:
            unknown = [topic.name for topic in TOPICS if any(_is_unknown(topic, check) for check in checks)]
            self._console.print(Text("Nothing fails.", "bold green"))
            self._console.print(Text(f"Not known: {', '.join(unknown)}.", "dim"))


def _is_unknown(topic: Topic, check: Check) -> bool:
    return check.reason in topic.reasons and check.outcome == "unknown"
