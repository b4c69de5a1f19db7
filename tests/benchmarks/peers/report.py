"""The result as tables."""

from typing import Any

from rich.table import Table

from tests.benchmarks.peers import throughput, verification

_YES, _NO = "[green]yes[/]", "[red]no[/]"


def targets(measured: dict[str, Any]) -> list[dict[str, Any]]:
    """What is to be reached, and what was: how many times faster than each peer at its best."""
    rows = measured["verification"]["rows"]
    reached = []
    for peer in verification.PEERS:
        ways = [row for row in rows if row["name"].startswith(peer)]
        wall, cpu = (min(row[which] for row in ways) for which in ("times_ours", "times_ours_cpu"))
        reached.append(_target(f"a verification, against {peer}", 3.0, wall, cpu))
    (express,) = (row for row in measured["throughput"]["rows"] if row["name"] == throughput.EXPRESS)
    ratios = (express["ours_times"], express["ours_times_per_cpu"])
    return [*reached, _target("requests per second of one core, against Express", 2.0, *ratios)]


def _target(what: str, bound: float, wall: float, cpu: float | None) -> dict[str, Any]:
    """By the clock and by CPU time; the second is what counts on a machine with other work."""
    met = min(wall, wall if cpu is None else cpu) >= bound
    return {"what": what, "bound": bound, "reached": wall, "reached_cpu": cpu, "met": met}


def table(result: dict[str, Any]) -> Table:
    """All tables of a result, one below the other."""
    grid = Table.grid(padding=(0, 0, 1, 0))
    for make in (_targets, _verification, _throughput, _checks, _gaps):
        grid.add_row(make(result))
    return grid


def _titled(title: str, first: str, *others: str) -> Table:
    made = Table(title=title, title_justify="left")
    made.add_column(first, no_wrap=True)
    for name in others:
        made.add_column(name)
    return made


def _targets(result: dict[str, Any]) -> Table:
    made = _titled("How many times faster dpop_asgi is", "what", "to reach", "reached", "by CPU time", "met")
    for row in result["targets"]:
        figures = (f"{row['bound']:g}", f"{row['reached']:.2f}", _optional(row["reached_cpu"], ".2f"))
        made.add_row(row["what"], *figures, _YES if row["met"] else _NO)
    return made


def _verification(result: dict[str, Any]) -> Table:
    numbers = result["verification"]
    title = f"One verification in process, on one core: medians of {numbers['rounds']} rounds of {numbers['batch']}"
    made = _titled(title, "contender", "µs", "µs of CPU", "times ours", "by CPU time")
    for row in numbers["rows"]:
        times = (f"{row['times_ours']:.2f}", f"{row['times_ours_cpu']:.2f}")
        made.add_row(row["name"], f"{row['microseconds']:.0f}", f"{row['cpu_microseconds']:.0f}", *times)
    return made


def _throughput(result: dict[str, Any]) -> Table:
    numbers = result["throughput"]
    title = f"Over HTTP, one server process on one core, {numbers['connections']} connections: "
    title += f"medians of {numbers['rounds']} rounds of {numbers['seconds']:g} s"
    made = _titled(title, "server", "per second", "per CPU s", "p50 ms", "p99 ms", "ours / it", "by CPU time")
    for row in numbers["rows"]:
        made.add_row(
            row["name"],
            f"{row['requests_per_second']:,.0f}",
            _optional(row["requests_per_cpu_second"], ",.0f"),
            f"{row['milliseconds_p50']:.1f}",
            f"{row['milliseconds_p99']:.1f}",
            f"{row['ours_times']:.2f}",
            _optional(row["ours_times_per_cpu"], ".2f"),
        )
    return made


def _optional(value: float | None, how: str) -> str:
    return "" if value is None else format(value, how)


def _checks(result: dict[str, Any]) -> Table:
    found = result["checks"]
    made = _titled("What holds when it is tried, over HTTP", "check", *found)
    for check in dict.fromkeys(row["check"] for rows in found.values() for row in rows):
        made.add_row(check, *(_cell([row for row in rows if row["check"] == check]) for rows in found.values()))
    return made


def _cell(rows: list[dict[str, Any]]) -> str:
    held = sum(row["holds"] for row in rows)
    if held == len(rows):
        return _YES
    return _NO if held == 0 else f"[yellow]{held} of {len(rows)}[/]"


def _gaps(result: dict[str, Any]) -> Table:
    made = _titled("What does not hold", "contender", "of each check")
    for name, rows in result["checks"].items():
        open_ones: dict[str, list[str]] = {}
        for row in rows:
            if not row["holds"]:
                open_ones.setdefault(row["check"], []).append(row["attempt"])
        made.add_row(name, "; ".join(f"{check}: {', '.join(tried)}" for check, tried in open_ones.items()) or "nothing")
    return made
