"""What each check found."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from dpop_asgi.cli.explain.table import ON_THE_SERVER, TOPICS, Topic
from dpop_asgi.cli.printable import printable
from dpop_asgi.errors import Reason, Refusal

Outcome = Literal["pass", "fail", "unknown"]

# Of what a rejection of a proof has for the log; the rest is noted here in other words.
_TOLD = frozenset({"claim", "hint"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One check.

    Attributes:
        reason: what a rejection by this check is called.
        outcome: whether the request passes it, as far as that can be known from here.
        section: which specification asks for it.
        facts: what was compared. No secrets: they are shortened before they get here.
        cause: for a failure, what the likely cause is.
        fix: what to change.
    """

    reason: Reason
    outcome: Outcome
    section: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    cause: str | None = None
    fix: str | None = None


class Findings:
    """Collects the outcome of each check. What wasn't looked at is unknown."""

    def __init__(self) -> None:
        self._outcomes: dict[Reason, Outcome] = {}
        self._facts: dict[str, dict[str, Any]] = {}
        self._failed_by: dict[Reason, dict[str, Any]] = {}

    def note(self, topic: Topic, **facts: object) -> None:
        """Remember what is compared in a topic."""
        self._facts.setdefault(topic.name, {}).update(_printable(facts))

    def passed(self, *reasons: Reason) -> None:
        """These checks pass, unless they were seen to fail."""
        for reason in reasons:
            self._outcomes.setdefault(reason, "pass")

    def failed(self, reason: Reason, **facts: object) -> None:
        """This check fails; `facts` of several failures of one check are put together."""
        self._outcomes[reason] = "fail"
        known = self._failed_by.setdefault(reason, {})
        for name, value in _printable(facts).items():
            known[name] = f"{known[name]}, {value}" if name in known else value

    def listed(self, failures: Iterable[Refusal], ran: Iterable[Reason]) -> list[Reason]:
        """The failures of a group of checks that all `ran`. Returns their reasons."""
        reasons = []
        for failure in failures:
            told = {name: value for name, value in failure.facts.items() if name in _TOLD}
            self.failed(failure.reason, **told)
            reasons.append(failure.reason)
        self.passed(*ran)
        return reasons

    def stopped(self, failure: Refusal, order: Iterable[Reason]) -> None:
        """The first failure of checks that stop there: those before it pass, those after it didn't run."""
        for reason in order:
            if reason is failure.reason:
                break
            self.passed(reason)
        self.failed(failure.reason, **failure.facts)

    def outcome(self, reason: Reason) -> Outcome:
        """What is known about this check."""
        return self._outcomes.get(reason, "unknown")

    def facts(self, topic: Topic, reason: Reason) -> dict[str, Any]:
        """What this check compared."""
        return {**self._facts.get(topic.name, {}), **self._failed_by.get(reason, {})}

    def checks(self) -> list[Check]:
        """Every check in the order of the middleware, without causes."""
        return [
            Check(reason=reason, outcome=self.outcome(reason), section=topic.section, facts=self.facts(topic, reason))
            for topic in (*TOPICS, ON_THE_SERVER)
            for reason in topic.reasons
            if topic is not ON_THE_SERVER or reason in self._outcomes
        ]


def _printable(facts: Mapping[str, object]) -> dict[str, object]:
    return {name: printable(value) if isinstance(value, str) else value for name, value in facts.items()}
