"""Counts every response, and keeps what is wrong."""

import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.soak.exchanges import ACCEPTED, Attempt, Exchange
from tests.soak.judge import Judge, Violation
from tests.soak.memory import ALLOWED_KIB, Growth
from tests.soak.options import Options

# Of a soak that goes wrong for hours, so many are told in full.
_MOST_TOLD = 100


@dataclass
class Ledger:
    """What happened so far.

    Attributes:
        sent: how many of each kind, each copy of a proof counted.
        answers: how many of each.
        accepted: how many different proofs were.
        wrong: violations by sort; `violations` are the first of them in full.
        slowest: how many seconds a response took at most; told, not judged: the machine may be busy.
        processes: how memory grew.
    """

    options: Options
    began: float = field(default_factory=time.time)
    ended: float = 0.0
    sent: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    violations: list[Violation] = field(default_factory=list)
    slowest: float = 0.0
    faults: dict[str, tuple[int, float]] = field(default_factory=dict)
    processes: list[Growth] = field(default_factory=list)
    interrupted: bool = False
    failure: str | None = None

    @property
    def requests(self) -> int:
        return self.answers.total()

    @property
    def seconds(self) -> float:
        return (self.ended or time.time()) - self.began

    @property
    def good(self) -> bool:
        return not self.wrong and self.failure is None

    def as_json(self) -> dict[str, Any]:
        """All of it, for people and for programs."""
        hidden = {"options", "began", "ended", "violations", "processes"}
        return {
            "good": self.good,
            "options": asdict(self.options),
            "seconds": round(self.seconds, 1),
            "requests": self.requests,
            **{name: value for name, value in vars(self).items() if name not in hidden},
            "violations": list(map(str, self.violations)),
            "processes": list(map(asdict, self.processes)),
        }

    def count(self, exchange: Exchange, attempt: Attempt) -> None:
        self.sent[exchange.kind] += 1
        self.answers[attempt.outcome.label] += 1
        self.slowest = max(self.slowest, attempt.seconds)

    def judge(self, exchange: Exchange, judge: Judge) -> None:
        """When the last answer to it is there."""
        self.accepted += any(attempt.outcome == ACCEPTED for attempt in exchange.attempts)
        for violation in judge.violations(exchange):
            self.add(violation)

    def add(self, violation: Violation) -> None:
        self.wrong[violation.wrong] += 1
        if len(self.violations) < _MOST_TOLD:
            self.violations.append(violation)

    def check(self, where: str, got: str, expected: str, *, wrong: bool) -> None:
        """Something that is not a response."""
        if wrong:
            self.add(Violation(time.time(), "unexplained", "", where, got, expected))

    def check_memory(self) -> None:
        for process in self.processes:
            got = f"{process.at_last - process.warmed_up} KiB more than after the warm-up"
            self.check(process.name, got, f"at most {ALLOWED_KIB} KiB", wrong=process.steady and not process.flat)
