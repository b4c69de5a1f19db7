"""Counts every response, and keeps what is wrong."""

import time
from bisect import bisect
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import groupby
from typing import Any

from tests.soak.judge import MACHINE_STALLED, NEW_ERA, Judge, Violation
from tests.soak.memory import ALLOWED_KIB, Growth
from tests.soak.options import Options
from tests.soak.timeline import Timeline
from tests.support.exchanges import ACCEPTED, CHALLENGED, Attempt, Exchange

# A proof is remembered for so long after its `iat`: `remember_for`, and a margin for clocks.
_REMEMBERED = 310.0

# Each time when Redis lost its data or was replaced: one as a rule, more while servers notice at different moments.
_MOST_CHALLENGES = 3

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
        superseded: of each client that goes on asking, the nonces that were refused before their time, and when.
        after_a_loss: the most challenges of a client after Redis lost its data or was replaced once.
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
    superseded: dict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    after_a_loss: int = 0
    slowest: float = 0.0
    faults: dict[str, tuple[int, float]] = field(default_factory=dict)
    processes: list[Growth] = field(default_factory=list)
    redis: dict[str, int] = field(default_factory=dict)
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
        hidden = {"options", "began", "ended", "violations", "superseded", "processes"}
        return {
            "good": self.good,
            "options": asdict(self.options),
            "seconds": round(self.seconds, 1),
            "requests": self.requests,
            **{name: value for name, value in vars(self).items() if name not in hidden},
            "violations": list(map(str, self.violations)),
            "processes": list(map(asdict, self.processes)),
        }

    def count(self, caller: str, exchange: Exchange, attempt: Attempt) -> None:
        self.sent[exchange.kind] += 1
        self.answers[attempt.outcome.label] += 1
        self.slowest = max(self.slowest, attempt.seconds)
        first = attempt.outcome == CHALLENGED and exchange.wanted == ACCEPTED and len(exchange.attempts) == 1
        if first and exchange.nonce is not None and attempt.answered_at < exchange.nonce.live_until:
            # Of requests that were under way at the same time with the same nonce, one counts.
            self.superseded[caller].setdefault(exchange.nonce.value, attempt.answered_at)

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

    def check_challenges(self, timeline: Timeline) -> None:
        losses = sorted(window.began for window in timeline.windows if window.fault in NEW_ERA)
        for number in range(self.options.clients):
            caller = f"client {number}"
            for loss, group in groupby(sorted(self.superseded[caller].values()), key=partial(bisect, losses)):
                since, at = losses[loss - 1] if loss else self.began, list(group)
                # What stands still meanwhile notices a loss later than the others.
                stalled = timeline.during(MACHINE_STALLED, since, at[-1])
                self.after_a_loss = max(self.after_a_loss, len(at))
                seconds = ", ".join(f"{each - since:.2f}" for each in at)
                got, most = f"challenges {seconds} s after a loss of data or failover", _MOST_CHALLENGES + stalled
                self.check(caller, got, f"at most {most}", wrong=len(at) > most)

    def check_redis(self) -> None:
        """Every key has an end, and no proof is remembered for longer than is needed."""
        endless, longest = self.redis.get("without_end", 0), self.redis.get("longest_proof_ms", 0) / 1000
        self.check("Redis", f"{endless} keys without an end", "that each key expires", wrong=endless > 0)
        got = f"a proof that is remembered for {longest:.1f} s more"
        self.check("Redis", got, f"at most {_REMEMBERED:g} s", wrong=longest > _REMEMBERED)

    def check_memory(self) -> None:
        for process in self.processes:
            got = f"{process.at_last - process.warmed_up} KiB more than after the warm-up"
            self.check(process.name, got, f"at most {ALLOWED_KIB} KiB", wrong=process.steady and not process.flat)
