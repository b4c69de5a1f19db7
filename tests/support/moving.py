"""A slot of a cluster on its way from one master to another."""

import time

from tests.support.nodes import HOST, Node
from tests.support.topologies import ClusterTopology


class Move:
    """Of one slot to `target`, in the steps that an operator takes."""

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
