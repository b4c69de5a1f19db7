"""A master fails or hands over under load, and returns: every answer meanwhile, and when what happened."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from tests.support.barrage import Barrage, Sheet, Use
from tests.support.busy import Watch
from tests.support.nodes import Node
from tests.support.processes import wait_until
from tests.support.topologies import ClusterTopology, SentinelTopology

# When even what is open to everybody takes so long, a server has no time to keep the store's deadline; and for so
# long afterwards it may take the store for one that is away.
STALL, AFTER_STALL = 0.15, 0.5

SECONDS_BEFORE, SECONDS_AFTER = 0.6, 1.6

# Within so much time after the new master is known everything is as before.
RECOVERY = 1.0
# So many proofs must have been sent after that.
_LATE = 10


def busiest(cluster: ClusterTopology, *, seconds: float = 0.4) -> Node:
    """The master that is told of most proofs, while there is load."""
    before = {master: master.ask("DBSIZE") for master in cluster.masters}
    time.sleep(seconds)
    return max(before, key=lambda master: master.ask("DBSIZE") - before[master])


@dataclass(frozen=True)
class Succession:
    """A master, who may take its place, whether that is known to whoever asks for the master, how it is replaced."""

    victim: Node
    heirs: list[Node]
    is_known: Callable[[], bool]
    _hand_over: Callable[[], None]

    @classmethod
    def in_topology(cls, topology: SentinelTopology | ClusterTopology, *, victim: Node | None = None) -> "Succession":
        """Of the master that Sentinels name, or of one master of a cluster: the first, unless it is given."""
        if isinstance(topology, SentinelTopology):
            master = topology.master
            return cls(master, topology.replicas, lambda: topology.master is not master, topology.hand_over)
        victim = victim or topology.masters[0]
        heir = topology.replica_of(victim)
        return cls(victim, [heir], lambda: heir in topology.masters, lambda: topology.hand_over(victim))

    def kill(self) -> None:
        self.victim.stop()

    def freeze(self) -> None:
        self.victim.freeze()

    def hand_over(self) -> None:
        self._hand_over()

    def bring_back(self) -> None:
        """As it was: it takes itself for a master until somebody tells it otherwise."""
        if not self.victim.is_running:
            self.victim.start()
        elif not self.victim.is_up:
            self.victim.thaw()


class Moments(NamedTuple):
    """When what happened, by `time.monotonic`."""

    failed: float
    promoted: float
    known: float


@dataclass
class Observed:
    """Every proof with its uses.

    Attributes:
        machine: how busy it was meanwhile.
        settled_at: from when on everything is as before, as busy as the machine was until then.
    """

    sheets: list[Sheet]
    moments: Moments
    glances: list[Use]
    machine: Watch
    settled_at: float = math.inf

    @property
    def uses(self) -> list[Use]:
        return sorted((use for sheet in self.sheets for use in sheet.uses), key=lambda use: use.asked_at)

    def is_fair(self, use: Use) -> bool:
        """Whether the server had time for it: others use this machine too."""
        return not any(
            glance.port == use.port
            and glance.seconds > STALL
            and glance.asked_at <= use.answered_at
            and use.asked_at <= glance.answered_at + AFTER_STALL
            for glance in self.glances
        )

    @property
    def late(self) -> list[Sheet]:
        """The proofs from when everything was as before, as far as the servers had time for them."""
        used = [sheet for sheet in self.sheets if sheet.uses]
        return [
            sheet for sheet in used if all(use.asked_at > self.settled_at and self.is_fair(use) for use in sheet.uses)
        ]

    def is_settled(self) -> bool:
        """Whether enough proofs were sent when everything was as before."""
        self.settled_at = self.moments.known + self.machine.allows(RECOVERY)
        return len(self.late) >= _LATE

    @property
    def doubles(self) -> list[Sheet]:
        return [sheet for sheet in self.sheets if len(sheet.accepted) > 1]

    def __str__(self) -> str:
        failed, promoted, known = self.moments
        lost = sorted(sheet.accepted[0].answered_at - failed for sheet in self.doubles)
        away = [use.answered_at for use in self.uses if use.status == 503]
        back = [use.answered_at for use in self.uses if use.status == 200 and use.asked_at > promoted]
        figures = {
            "promoted": promoted - failed,
            "known": known - failed,
            "first 503": min(away, default=failed) - failed,
            "last 503": max(away, default=failed) - failed,
            "last 503 after promoted": max(away, default=promoted) - promoted,
            "last 503 after known": max(away, default=known) - known,
            "first 200 after promoted": min(back) - promoted,
            "busy": self.machine.times,
            "slowest": max(use.seconds for use in self.uses),
            "slowest glance": max(glance.seconds for glance in self.glances),
            "unfair": sum(not self.is_fair(use) for use in self.uses),
            **({"first lost": lost[0], "last lost": lost[-1]} if lost else {}),
        }
        said = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
        statuses = dict(sorted(Counter(use.status for use in self.uses).items()))
        return f"{statuses}; accepted twice {len(lost)}; {said}"


def cut(master: Node, replicas: list[Node]) -> None:
    """The replicas go on as before, but learn nothing any more, like on the other side of a broken network."""
    for replica in replicas:
        replica.ask("CONFIG", "SET", "masterauth", "refused")
    master.ask("CLIENT", "KILL", "TYPE", "replica")
    wait_until(lambda: master.facts("replication")["connected_slaves"] == 0, "a replica is still there")


def reconnect(nodes: list[Node]) -> None:
    """Let them learn again what they missed."""
    for node in nodes:
        node.ask("CONFIG", "SET", "masterauth", "")


def _watch(succession: Succession, happen: Callable[[Succession], None]) -> Moments:
    failed = time.monotonic()
    happen(succession)
    wait_until(lambda: any(heir.is_master for heir in succession.heirs), "nobody was promoted")
    promoted = time.monotonic()
    wait_until(succession.is_known, "the new master is not known")
    return Moments(failed, promoted, time.monotonic())


async def observe(succession: Succession, happen: Callable[[Succession], None], barrage: Barrage) -> Observed:
    """Let it happen under load; in the end, all that was accepted is sent once more."""
    barrage.forget()
    done = asyncio.Event()
    with Watch() as machine:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(barrage.go_on(until=done))
            await asyncio.sleep(SECONDS_BEFORE)
            moments = await asyncio.to_thread(_watch, succession, happen)
            await asyncio.sleep(machine.allows(SECONDS_AFTER) / 2)
            await asyncio.to_thread(succession.bring_back)
            await asyncio.sleep(machine.allows(SECONDS_AFTER) / 2)
            observed = Observed(barrage.sheets, moments, barrage.glances, machine)
            # The busier the machine turns out to be, the later it is as before, and the fewer requests are fair.
            await asyncio.to_thread(wait_until, observed.is_settled, "nothing is as before")
            done.set()
        await barrage.send_again([sheet for sheet in barrage.sheets if sheet.accepted])
    return observed
