"""One event under load: everything that was sent, what came back, and how often a proof passed."""

import asyncio
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import partial

from tests.fence.crowd import Crowd
from tests.fence.events import Event
from tests.fence.stages import Stage
from tests.support.busy import Watch
from tests.support.exchanges import ACCEPTED, CHALLENGED, UNAVAILABLE, Attempt, Exchange, Outcome
from tests.support.processes import wait_until

SECONDS_BEFORE, SECONDS_AFTER = 0.5, 1.2

# Within so much time after there is a master again, every client is accepted.
RECOVERY = 1.0

# No response takes longer, whatever happens: twice the deadline of a call to Redis.
PROMISED = 0.5

# When even what is open to everybody takes so long, a worker has no time to keep the deadline of the store; and for so
# long afterwards it may take the store for one that is unavailable.
_STALL, _AFTER_STALL = 0.15, 0.5

# What is open to everybody takes so long on a machine that is not busy with others.
_AT_EASE = 0.02


@dataclass(frozen=True, slots=True)
class Observation:
    """Times are `time.monotonic`'s.

    Attributes:
        event: its name.
        began: when the event did.
        known: when it was over: from then on anybody can find the master.
        sent: every proof, with the uses of its client and of the attacker.
        own: each client's uses of its own proofs.
        glances: at what is open to everybody.
        machine: how busy it was meanwhile.
    """

    event: str
    began: float
    known: float
    sent: list[Exchange]
    own: list[list[Attempt]]
    glances: list[Attempt]
    machine: Watch

    @property
    def accepted(self) -> int:
        return sum(bool(_accepted(exchange)) for exchange in self.sent)

    @property
    def copies(self) -> int:
        """How many of all uses were not the first of their proof."""
        return len(self._uses) - len(self.sent)

    @property
    def accepted_twice(self) -> list[Exchange]:
        return [exchange for exchange in self.sent if len(_accepted(exchange)) > 1]

    @property
    def _uses(self) -> list[Attempt]:
        return [use for exchange in self.sent for use in exchange.attempts]

    @property
    def outcomes(self) -> Counter[Outcome]:
        return Counter(use.outcome for use in self._uses)

    @property
    def slow(self) -> list[Attempt]:
        """Responses that took longer than is promised, although the worker had time for them."""
        return [use for use in self._uses if use.seconds >= self.machine.allows(PROMISED) and self._is_fair(use)]

    @property
    def unexplained(self) -> list[Attempt]:
        """Responses 503 before the event or when its end was long known, although the worker had time for them."""
        end = self.known + self.machine.allows(RECOVERY)
        unavailable = [use for use in self._uses if use.outcome == UNAVAILABLE and self._is_fair(use)]
        return [use for use in unavailable if use.answered_at < self.began or use.asked_at > end]

    def _is_fair(self, use: Attempt) -> bool:
        """Others use this machine too."""
        return not any(
            glance.server == use.server
            and glance.seconds > _STALL
            and glance.asked_at <= use.answered_at
            and use.asked_at <= glance.answered_at + _AFTER_STALL
            for glance in self.glances
        )

    @property
    def challenges(self) -> list[int]:
        """Of each client."""
        return [sum(use.outcome == CHALLENGED for use in uses) for uses in self.own]

    @property
    def unavailable(self) -> int:
        """Responses 503 to the clients."""
        return sum(use.outcome == UNAVAILABLE for uses in self.own for use in uses)

    @property
    def first(self) -> float:
        """Seconds until the first request was accepted that was sent when there was a master again."""
        return min(self._until_accepted)

    @property
    def everyone(self) -> float:
        """Seconds until every client was accepted that way."""
        return max(self._until_accepted)

    @property
    def _until_accepted(self) -> list[float]:
        accepted = (
            [use.answered_at for use in uses if use.outcome == ACCEPTED and use.asked_at > self.known]
            for uses in self.own
        )
        return [min(times, default=float("inf")) - self.known for times in accepted]

    @property
    def stalled(self) -> float:
        """Seconds, of those until every client was accepted, that the machine took for others.

        As long as even what is open to everybody took too long, at the worker that waited longest.
        """
        until = self.known + self.everyone
        waits: defaultdict[str, float] = defaultdict(float)
        for glance in self.glances:
            if glance.answered_at > self.known and glance.asked_at < until:
                seconds = min(glance.answered_at, until) - max(glance.asked_at, self.known)
                waits[glance.server] += max(0.0, seconds - _AT_EASE)
        return max(waits.values(), default=0.0)

    def __str__(self) -> str:
        late = sorted(use.answered_at - self.known for twice in self.accepted_twice for use in _accepted(twice)[1:])
        span = f" ({late[0]:+.2f} to {late[-1]:+.2f} s)" if late else ""
        return (
            f"{self.event}: {self.accepted} proofs accepted, {self.copies} copies, accepted twice "
            f"{len(self.accepted_twice)}{span}; challenges {self.challenges}; 503 {self.unavailable}; "
            f"event {self.known - self.began:.2f} s, then first 200 {self.first:.3f} s, "
            f"for everyone {self.everyone:.3f} s (stalled {self.stalled:.3f} s); "
            + ", ".join(f"{count} {outcome}" for outcome, count in self.outcomes.most_common())
        )


def _accepted(exchange: Exchange) -> list[Attempt]:
    return [use for use in exchange.attempts if use.outcome == ACCEPTED]


def _happen(event: Event, stage: Stage) -> None:
    with event.last_worker(stage.workers[-1]):
        event.happen(stage.redis)


async def observe(event: Event, stage: Stage, crowd: Crowd) -> Observation:
    """Let it happen under load. In the end, all that may have been accepted is sent once more to every worker."""
    await asyncio.to_thread(event.prepare, stage.redis)
    crowd.begin()
    done = asyncio.Event()
    with Watch() as machine:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(crowd.go_on(until=done))
            await asyncio.sleep(SECONDS_BEFORE)
            began = time.monotonic()
            await asyncio.to_thread(_happen, event, stage)
            known = time.monotonic()
            await asyncio.sleep(SECONDS_AFTER / 2)
            await asyncio.to_thread(event.settle, stage.redis)
            await asyncio.sleep(SECONDS_AFTER / 2)
            # However late: how late is judged by what was seen.
            everyone = partial(crowd.all_are_accepted, known)
            await asyncio.to_thread(wait_until, everyone, "a client is not accepted any more")
            done.set()
        await crowd.send_everything_again()
    own = [follower.uses for follower in crowd.followers]
    return Observation(event.name, began, known, crowd.sent, own, crowd.glances, machine)
