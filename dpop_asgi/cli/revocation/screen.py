"""Prints the window of nonces, and the revoked keys: as tables, or as JSON."""

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dpop_asgi.cli.explain.causes.times import date, duration
from dpop_asgi.cli.revocation.look import Slot, Window

# Of the JSON documents. Raised if members are renamed or removed, not if some are added.
_FORMAT = 1


def print_window_json(window: Window) -> None:
    """Print the window for programs."""
    policy = window.policy
    _print(
        {
            "namespace": window.namespace,
            "period": policy.period,
            "grace": policy.grace,
            "lookahead": policy.lookahead,
            "incarnations": window.incarnations,
            "nonces_revoked_at": window.revoked.nonces_revoked_at,
            "revoked_keys": len(window.revoked.present(window.now)),
            "slots": [
                {
                    "slot": slot.number,
                    "age": round(window.now - slot.begins, 3),
                    "accepted": slot.accepted and slot.agreed > 0,
                    "issued": slot.issued,
                    "agreed": slot.agreed,
                    "of": window.tags,
                    "nonces": slot.nonces,
                }
                for slot in window.slots
            ],
        }
    )


def print_window(window: Window, console: Console | None = None) -> None:
    """Print the window for people: what it depends on, then slot by slot."""
    console = console or Console()
    console.print()
    console.print(_facts(window))
    console.print()
    if not any(slot.agreed for slot in window.slots):
        console.print(
            Text(
                "No worker has agreed on nonces here lately: none had a request, or they use another store,"
                " namespace, period or grace.",
                "bold yellow",
            )
        )
        return
    table = _table("slot", "began", "nonce", "")
    for slot in window.slots:
        state = _state(window, slot)
        style = "green" if slot.issued else "" if slot.accepted else "dim"
        table.add_row(str(slot.number), _ago(window.now - slot.begins), Text(_nonce(window, slot)), Text(state, style))
    console.print(table)


def _facts(window: Window) -> Table:
    at, policy = window.revoked.nonces_revoked_at, window.policy
    keys = len(window.revoked.present(window.now))
    facts = {
        "namespace": window.namespace,
        "rotation": f"every {policy.period:g} s; {policy.grace} before and {policy.lookahead} ahead are kept",
        "incarnation": ", ".join(each or "not known: the fence is off" for each in window.incarnations),
        "revoked": f"{date(at)}, {_ago(window.now - at)}" if at is not None else "never",
        "keys": f"{keys or 'none'} revoked",
    }
    grid = Table.grid(padding=(0, 2, 0, 0))
    for name, value in facts.items():
        grid.add_row(Text(name, "bold"), Text(value))
    return grid


def _nonce(window: Window, slot: Slot) -> str:
    if window.tags > 1:
        return f"{slot.agreed} of {window.tags}"
    return slot.nonces[0] if slot.nonces else ""


def _state(window: Window, slot: Slot) -> str:
    if not slot.agreed:
        return "not agreed yet" if slot.begins > window.now else "not there"
    if not slot.accepted:
        return "agreed"
    return f"{'issued, ' if slot.issued else ''}accepted for another {duration(slot.ends - window.now)}"


def _ago(seconds: float) -> str:
    return f"{duration(seconds)} ago" if seconds >= 0 else f"in {duration(seconds)}"


def print_keys_json(keys: Mapping[str, float]) -> None:
    """Print the revoked keys for programs."""
    _print({"keys": [{"thumbprint": thumbprint, "until": until} for thumbprint, until in keys.items()]})


def print_keys(keys: Mapping[str, float], now: float, console: Console | None = None) -> None:
    """Print the revoked keys for people."""
    console = console or Console()
    if not keys:
        console.print("No key is revoked.")
        return
    table = _table("revoked key", "until", "")
    for thumbprint, until in sorted(keys.items(), key=lambda item: item[1]):
        end = datetime.fromtimestamp(until, UTC).strftime("%Y-%m-%d %H:%M UTC")
        table.add_row(thumbprint, end, Text(f"{duration(until - now)}", "dim"))
    console.print(table)


def _print(document: dict[str, object]) -> None:
    sys.stdout.write(f"{json.dumps({'format': _FORMAT, **document}, indent=2)}\n")


def _table(first: str, *others: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name)
    return table
