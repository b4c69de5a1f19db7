"""What changes in a topology: a master is lost or hands over, and a slot moves to another."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.support.nodes import HOST, Node
from tests.support.processes import wait_until
from tests.support.topologies import ClusterTopology, SentinelTopology


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


class Move:
    """One slot of a cluster goes to `target`, in the steps that an operator takes."""

    def __init__(self, cluster: ClusterTopology, slot: int, target: Node) -> None:
        self._cluster, self._slot, self._target = cluster, slot, target
        self._source = next(node for slots, node in cluster.owners.items() if slot in slots)
        assert self._source is not target

    def begin(self) -> None:
        """From now on keys that the old master does not have are at the new one."""
        self._target.ask("CLUSTER", "SETSLOT", self._slot, "IMPORTING", self._cluster.ids[self._source])
        self._source.ask("CLUSTER", "SETSLOT", self._slot, "MIGRATING", self._cluster.ids[self._target])

    def carry(self, count: int) -> int:
        """Move this number of keys; how many there were."""
        keys = self._source.ask("CLUSTER", "GETKEYSINSLOT", self._slot, count)
        if keys:
            self._source.ask("MIGRATE", HOST, self._target.port, "", 0, 2000, "KEYS", *keys)
        return len(keys)

    def carry_all(self, *, at_once: int = 20) -> None:
        """Move all keys, so many at once, with pauses."""
        while self.carry(at_once):
            time.sleep(0.01)

    def end(self) -> None:
        for node in (self._target, self._source, *self._cluster.nodes):
            if node in self._cluster.masters or node is self._target:
                node.ask("CLUSTER", "SETSLOT", self._slot, "NODE", self._cluster.ids[self._target])

    def carry_out(self, *, at_once: int = 20) -> None:
        """All steps."""
        self.begin()
        self.carry_all(at_once=at_once)
        self.end()
