"""Prints what a log says: as tables, or as JSON."""

import json
import sys
from collections.abc import Collection

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dpop_asgi.cli.report.tally import Tally

# Of the JSON document. Raised if members are renamed or removed, not if some are added.
_FORMAT = 1
# Names of clients in a line; the tables have all of them.
_MOST_NAMES = 5


def print_json(tally: Tally) -> None:
    """Print it for programs."""
    document = {
        "format": _FORMAT,
        "left": tally.left,
        "clients": {
            name: {"dpop": client.dpop, "bearer": client.bearer, "last_bearer": client.last_bearer}
            for name, client in sorted(tally.clients.items())
        },
        "rejected": {
            reason: {"requests": count, "clients": sorted(tally.rejected_clients[reason])}
            for reason, count in tally.rejected.most_common()
        },
        "unavailable": tally.unavailable,
        "decisions": tally.decisions,
        "other_lines": tally.other_lines,
    }
    sys.stdout.write(f"{json.dumps(document, indent=2)}\n")


def print_tally(tally: Tally, console: Console | None = None) -> None:
    """Print it for people: clients, rejections, and who is left."""
    console = console or Console()
    console.print()
    if tally.clients:
        console.print(_clients(tally))
        console.print()
    if tally.rejected:
        console.print(_rejected(tally))
        console.print()
    if tally.unavailable:
        console.print(
            Text(f"{_number(tally.unavailable, 'request')} got a 503: the store or an issuer did not respond.")
        )
    if tally.other_lines:
        console.print(Text(f"{_number(tally.other_lines, 'line')} without a decision.", "dim"))
    console.print(_verdict(tally))


def _clients(tally: Tally) -> Table:
    table = _table("client", "DPoP", "Bearer", "last under Bearer")
    for name, client in sorted(
        tally.clients.items(), key=lambda item: (item[1].has_switched, -item[1].bearer, item[0])
    ):
        style = "green" if client.has_switched else "yellow"
        table.add_row(Text(name, style), f"{client.dpop:,}", f"{client.bearer:,}", Text(client.last_bearer or ""))
    return table


def _rejected(tally: Tally) -> Table:
    table = _table("rejected", "requests", "clients")
    for reason, count in tally.rejected.most_common():
        table.add_row(Text(reason), f"{count:,}", Text(_names(tally.rejected_clients[reason])))
    return table


def _verdict(tally: Tally) -> Text:
    switched = f"DPoP only: {len(tally.clients) - len(tally.left):,} of {_number(len(tally.clients), 'client')}."
    if not tally.clients:
        return Text("No request was accepted.", "bold yellow")
    if tally.left:
        return Text(f"{switched} Still on Bearer: {_names(tally.left)}.", "bold yellow")
    return Text(f"{switched} None is left on Bearer.", "bold green")


def _names(names: Collection[str]) -> str:
    shown = sorted(names)[:_MOST_NAMES]
    return ", ".join(shown) + (f" and {len(names) - _MOST_NAMES:,} more" if len(names) > _MOST_NAMES else "")


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _table(first: str, *others: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column(first, overflow="fold")
    for name in others:
        is_number = name in {"DPoP", "Bearer", "requests"}
        table.add_column(name, justify="right" if is_number else "left", no_wrap=is_number, overflow="fold")
    return table
