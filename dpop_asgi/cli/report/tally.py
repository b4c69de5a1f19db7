"""Counts decisions by client, scheme and reason."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from dpop_asgi.cli.report.reading import LoggedDecision

# Decisions that name no client: its token was not verified, or names none.
UNKNOWN = "unknown"


@dataclass(slots=True)
class ClientTally:
    """The accepted requests of a client."""

    dpop: int = 0
    bearer: int = 0
    last_bearer: str | None = None

    @property
    def has_switched(self) -> bool:
        """Whether it sent nothing under Bearer that was accepted."""
        return not self.bearer


@dataclass(slots=True)
class Tally:
    """What a log says.

    Attributes:
        clients: by their names, those that had a request accepted.
        rejected: requests, by reason.
        rejected_clients: by reason, whose requests they were.
        unavailable: requests that got a 503.
        decisions: all of them.
        other_lines: lines without a decision.
    """

    clients: dict[str, ClientTally] = field(default_factory=dict)
    rejected: Counter[str] = field(default_factory=Counter)
    rejected_clients: dict[str, set[str]] = field(default_factory=dict)
    unavailable: int = 0
    decisions: int = 0
    other_lines: int = 0

    @property
    def left(self) -> list[str]:
        """The clients that are still accepted under Bearer."""
        return sorted(name for name, client in self.clients.items() if not client.has_switched)


def tally_of(decisions: Iterable[LoggedDecision | None]) -> Tally:
    """The numbers.

    Args:
        decisions: one for each line, `None` for other lines.
    """
    tally = Tally()
    for decision in decisions:
        if decision is None:
            tally.other_lines += 1
            continue
        tally.decisions += 1
        if decision.outcome == "accepted" and decision.scheme is not None:
            _count_accepted(tally.clients.setdefault(decision.client or UNKNOWN, ClientTally()), decision)
        elif decision.outcome == "refused":
            reason = decision.reason or UNKNOWN
            tally.rejected[reason] += 1
            tally.rejected_clients.setdefault(reason, set()).add(decision.client or UNKNOWN)
        elif decision.outcome == "unavailable":
            tally.unavailable += 1
    return tally


def _count_accepted(client: ClientTally, decision: LoggedDecision) -> None:
    if decision.scheme == "DPoP":
        client.dpop += 1
        return
    client.bearer += 1
    client.last_bearer = max(client.last_bearer or "", decision.time or "") or None
