"""Counts every answer, and keeps what is wrong."""

import math
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.soak.exchanges import ACCEPTED, CHALLENGED, Attempt, Exchange
from tests.soak.judge import Judge, Verdict, Violation
from tests.soak.memory import ALLOWED_KIB, Growth
from tests.soak.options import Options

# For every answer, whatever happens to Redis: twice the deadline of a call to it.
PROMISED = 0.5

# A proof is remembered for so long after it cannot be accepted any more.
REPLAY_MARGIN = 10.0

# Of a soak that goes wrong for hours, so many are told in full.
_MOST_TOLD = 100


@dataclass
class Ledger:
    """What happened so far.

    Attributes:
        requests: how many were sent, each copy of a proof counted.
        sent: how many of each kind.
        answers: how many of each.
        explained: answers that a fault explains, by what and by which.
        accepted: how many different proofs were.
        wrong: violations by sort; `violations` are the first of them in full.
        challenges: of each client.
        milliseconds: how long answers took, rounded up.
        slow: those that took longer than promised, the first of them; told, not judged: the machine may be busy.
        latest: by how much a request was sent later than planned, at most.
        processes: how memory grew.
    """

    options: Options
    began: float = field(default_factory=time.time)
    ended: float = 0.0
    requests: int = 0
    sent: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    explained: Counter[tuple[str, str]] = field(default_factory=Counter)
    accepted: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    violations: list[Violation] = field(default_factory=list)
    challenges: Counter[str] = field(default_factory=Counter)
    milliseconds: Counter[int] = field(default_factory=Counter)
    slow: list[str] = field(default_factory=list)
    latest: float = 0.0
    faults: dict[str, tuple[int, float]] = field(default_factory=dict)
    processes: list[Growth] = field(default_factory=list)
    redis: dict[str, int] = field(default_factory=dict)
    interrupted: bool = False
    failure: str | None = None

    @property
    def seconds(self) -> float:
        return (self.ended or time.time()) - self.began

    @property
    def good(self) -> bool:
        return not self.wrong and self.failure is None

    def count(self, caller: str, exchange: Exchange, attempt: Attempt) -> None:
        self.requests += 1
        self.sent[exchange.kind] += 1
        self.answers[attempt.outcome.label] += 1
        if attempt.outcome == CHALLENGED and exchange.wanted == ACCEPTED and len(exchange.attempts) == 1:
            self.challenges[caller] += 1
        self.milliseconds[math.ceil(attempt.seconds * 1000)] += 1

    def judge(self, exchange: Exchange, judge: Judge) -> None:
        """When the last answer to it is there."""
        self.accepted += any(attempt.outcome == ACCEPTED for attempt in exchange.attempts)
        for attempt in exchange.attempts:
            verdict: Verdict = judge.verdict(exchange, attempt)
            if verdict.explained_by is not None:
                self.explained[attempt.outcome.label, verdict.explained_by] += 1
            if attempt.seconds > PROMISED and len(self.slow) < _MOST_TOLD:
                self.slow.append(judge.describe(exchange, attempt))
        for violation in judge.violations(exchange):
            self.add(violation)

    def add(self, violation: Violation) -> None:
        self.wrong[violation.wrong] += 1
        if len(self.violations) < _MOST_TOLD:
            self.violations.append(violation)

    def check_redis(self, *, longest_life: float) -> None:
        """Every key has an end; a proof is remembered for as long as its nonce lives, and the margin."""
        if not self.redis:
            return
        if self.redis["without_end"]:
            self._add_state("Redis", f"{self.redis['without_end']} keys without an end", "that each key expires")
        longest = self.redis["longest_proof_ms"] / 1000
        if longest > longest_life + REPLAY_MARGIN:
            expected = f"at most {longest_life + REPLAY_MARGIN:g} s"
            self._add_state("Redis", f"a proof that is remembered for {longest:.1f} s more", expected)

    def check_memory(self) -> None:
        for process in self.processes:
            if process.steady and not process.flat:
                got = f"{process.at_last - process.warmed_up} KiB more than after the warm-up"
                self._add_state(process.name, got, f"at most {ALLOWED_KIB} KiB")

    def check_log(self, server: str, complaints: list[str]) -> None:
        for complaint in complaints:
            self._add_state(f"log of server {server}", complaint, "nothing of the kind")

    def _add_state(self, where: str, got: str, expected: str) -> None:
        self.add(Violation(time.time(), "unexplained", "", where, got, expected))
