"""Counts every answer, and keeps what is wrong."""

import math
import time
from bisect import bisect
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from tests.soak.exchanges import ACCEPTED, CHALLENGED, Attempt, Exchange
from tests.soak.judge import NEW_ERA, Judge, Verdict, Violation
from tests.soak.memory import ALLOWED_KIB, Growth
from tests.soak.options import Options
from tests.soak.timeline import Timeline

# For every answer, whatever happens to Redis: twice the deadline of a call to it.
PROMISED = 0.5

# A proof is remembered for so long after it cannot be accepted any more.
REPLAY_MARGIN = 10.0

# Each time when Redis lost its data or was replaced: one as a rule, more while servers notice at different moments.
_MOST_CHALLENGES = 3

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
        superseded: of each client that goes on asking, the nonces that were refused before their time, and when.
        after_a_loss: the most challenges of a client after Redis lost its data or was replaced once.
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
    superseded: dict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    after_a_loss: int = 0
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
            # Of requests that were under way at the same time with the same nonce, one counts.
            if exchange.nonce is not None and attempt.answered_at < exchange.nonce.live_until:
                self.superseded[caller].setdefault(exchange.nonce.value, attempt.answered_at)
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

    def check_challenges(self, timeline: Timeline) -> None:
        began = sorted(window.began for window in timeline.windows if window.fault in NEW_ERA)
        for number in range(self.options.clients):
            caller = f"client {number}"
            after = Counter(bisect(began, at) for at in self.superseded[caller].values())
            most = max(after.values(), default=0)
            self.after_a_loss = max(self.after_a_loss, most)
            if most > _MOST_CHALLENGES:
                got = f"{most} challenges after one loss of data or failover"
                self._add_state(caller, got, f"at most {_MOST_CHALLENGES}")

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
