"""What may happen to Redis, each event as an operator or an accident causes it; all of it blocks until it is over."""

import contextlib
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis.cluster import key_slot

from tests.support.failover import Move, Succession, busiest, cut, reconnect
from tests.support.nodes import HOST, Node
from tests.support.processes import ResourceServer, wait_until
from tests.support.topologies import ClusterTopology

# Of the writes in so much time a server or a replica knows nothing afterwards.
_LOST_SECONDS = 0.4

# Shorter than it takes anybody to notice or to replace a server.
_HANG_SECONDS = 0.6

# So much later than the others a worker notices that went to sleep.
_SLEEP_SECONDS = 1.0

# A client on the wrong side of a partition is challenged whenever it comes over.
ANY_NUMBER = 10**6
SOME = 3
NONE = 0


def _nothing(_: Any) -> None:
    pass


@contextlib.contextmanager
def _awake(_: ResourceServer) -> Iterator[None]:
    yield


@contextlib.contextmanager
def _asleep(worker: ResourceServer) -> Iterator[None]:
    """It notices later than the others."""
    os.kill(worker.process_id, signal.SIGSTOP)
    try:
        yield
        time.sleep(_SLEEP_SECONDS)
    finally:
        os.kill(worker.process_id, signal.SIGCONT)


@contextlib.contextmanager
def _started_anew(worker: ResourceServer) -> Iterator[None]:
    """It has seen nothing of what was before."""
    yield
    worker.stop(signal.SIGKILL)
    worker.start()


@dataclass(frozen=True, slots=True)
class Event:
    """What happens to the `redis` of a stage.

    Attributes:
        name: on the command line.
        stage: the kind of stage that it needs.
        happen: returns when all is over: there is a master, and whoever asks for it can know.
        prepare: before the load.
        settle: while there still is load, well after the event: what was lost returns.
        challenges: how often each client may be challenged.
        once: whether a proof may pass once only: not where servers that know nothing of each other take turns.
        last_worker: what becomes of it meanwhile.
    """

    name: str
    stage: str
    happen: Callable[[Any], None]
    prepare: Callable[[Any], None] = _nothing
    settle: Callable[[Any], None] = _nothing
    challenges: int = SOME
    once: bool = True
    last_worker: Callable[[ResourceServer], contextlib.AbstractContextManager[None]] = _awake

    @property
    def ends_a_worker(self) -> bool:
        """Whether requests may have no response."""
        return self.last_worker is _started_anew

    @property
    def is_fenced(self) -> bool:
        """Whether the workers can know which server they talk to."""
        return not self.name.startswith("identity")


# One server


def _answers(node: Node) -> None:
    wait_until(lambda: node.ask("PING"), "Redis does not load its data")


def _dump(node: Node) -> Path:
    return node.folder / "dump.rdb"


def _restart_without_data(node: Node) -> None:
    node.stop()
    _dump(node).unlink(missing_ok=True)
    node.start()
    _answers(node)


def _keep_everything(node: Node) -> None:
    node.ask("CONFIG", "SET", "appendonly", "yes", "appendfsync", "always")
    wait_until(lambda: not node.facts("persistence")["aof_rewrite_in_progress"], "no end of rewriting")


def _restart_with_data(node: Node) -> None:
    node.stop()
    before, node.arguments = node.arguments, (*node.arguments, "--appendonly", "yes", "--appendfsync", "always")
    node.start()
    node.arguments = before
    _answers(node)


def _keep_nothing(node: Node) -> None:
    node.ask("CONFIG", "SET", "appendonly", "no")
    shutil.rmtree(node.folder / "appendonlydir", ignore_errors=True)


def _restart_with_old_data(node: Node) -> None:
    node.ask("SAVE")
    time.sleep(_LOST_SECONDS)
    node.stop()
    node.start()
    _answers(node)
    _dump(node).unlink()


def _lose_connections(node: Node) -> None:
    for _ in range(5):
        node.ask("CLIENT", "KILL", "TYPE", "normal")
        time.sleep(0.1)


def _lose_connections_to_all(nodes: list[Node]) -> None:
    for _ in range(4):
        for node in nodes:
            node.ask("CLIENT", "KILL", "TYPE", "normal")
        time.sleep(0.2)


def _hang(node: Node) -> None:
    node.freeze()
    time.sleep(_HANG_SECONDS)
    node.thaw()
    _answers(node)


def _follow_another_and_lead_again(node: Node) -> None:
    """All within the life of one connection: a replica takes over the data of its master, and keeps its clients."""
    with Node(node._binary, ("repl-diskless-sync", "no")) as other:
        node.ask("REPLICAOF", HOST, other.port)
        wait_until(lambda: node.follows(other), "it does not follow")
        node.ask("REPLICAOF", "NO", "ONE")


# A master with replicas


def _succeed(happen: Callable[[Succession], None]) -> Callable[[Any], None]:
    def happens(topology: Any) -> None:
        victim = busiest(topology) if isinstance(topology, ClusterTopology) else None
        succession = Succession.in_topology(topology, victim=victim)
        happen(succession)
        wait_until(lambda: any(heir.is_master for heir in succession.heirs), "nobody was promoted")
        wait_until(succession.is_known, "the new master is not known")

    return happens


def _with_a_lag(happen: Callable[[Succession], None]) -> Callable[[Succession], None]:
    def happens(succession: Succession) -> None:
        cut(succession.victim, succession.heirs)
        time.sleep(_LOST_SECONDS)
        happen(succession)

    return happens


def _take_over(succession: Succession) -> None:
    """The operator's last resort: nobody is asked."""
    [heir] = succession.heirs
    heir.ask("CLUSTER", "FAILOVER", "TAKEOVER")


def _bring_back(topology: Any) -> None:
    for node in topology.servers:
        if not node.is_running:
            node.start()
        elif not node.is_up:
            node.thaw()


def _reconnect(topology: Any) -> None:
    _bring_back(topology)
    reconnect(topology.servers)


def _partition(topology: Any) -> None:
    """The last Sentinel is on the side of the old master, which nobody on the other side can tell what to do."""
    topology.sentinels[-1].freeze()
    topology.master.ask("ACL", "SETUSER", "default", "-slaveof", "-replicaof")
    _succeed(Succession.hand_over)(topology)
    time.sleep(1.0)


def _end_partition(topology: Any) -> None:
    topology.sentinels[-1].thaw()
    for server in topology.servers:
        server.ask("ACL", "SETUSER", "default", "+slaveof", "+replicaof")


# A cluster


def _proofs_by_slot(master: Node) -> Counter[int]:
    return Counter(key_slot(key.encode()) for key in master.ask("KEYS", "*:jti*"))


# Each of them moves twice.
_MOVED_SLOTS = 4


def _move_slots_and_back(cluster: ClusterTopology) -> None:
    """Those of one master to which most proofs go now."""
    source = busiest(cluster)
    before = _proofs_by_slot(source)
    time.sleep(_LOST_SECONDS)
    most = (_proofs_by_slot(source) - before).most_common(_MOVED_SLOTS)
    target = next(master for master in cluster.masters if master is not source)
    for place in (target, source):
        for slot, _ in most:
            Move(cluster, slot, place).carry_out(at_once=500)
        time.sleep(0.3)


EVENTS = (
    Event("restart-without-data", "single", _restart_without_data),
    Event("restart-seen-late", "single", _restart_without_data, last_worker=_asleep),
    Event("restart-with-a-cold-worker", "single", _restart_without_data, last_worker=_started_anew),
    Event("restart-with-data", "single", _restart_with_data, prepare=_keep_everything, settle=_keep_nothing),
    Event("restart-with-old-data", "single", _restart_with_old_data),
    Event("everything-flushed", "single", lambda node: node.ask("FLUSHALL")),
    Event("connections-lost", "single", _lose_connections, challenges=NONE),
    Event("frozen-and-thawed", "single", _hang, challenges=NONE),
    Event("demoted-and-promoted", "single", _follow_another_and_lead_again),
    Event("sentinel-handed-over", "sentinel", _succeed(Succession.hand_over)),
    Event("sentinel-master-killed", "sentinel", _succeed(_with_a_lag(Succession.kill)), settle=_reconnect),
    Event("sentinel-master-frozen", "sentinel", _succeed(Succession.freeze), settle=_bring_back),
    Event("sentinel-partition", "sentinel_on_two_sides", _partition, settle=_end_partition, challenges=ANY_NUMBER),
    Event("cluster-master-killed", "cluster", _succeed(_with_a_lag(Succession.kill)), settle=_reconnect),
    Event("cluster-master-frozen", "cluster", _succeed(Succession.freeze), settle=_bring_back),
    Event("cluster-handed-over", "cluster", _succeed(Succession.hand_over)),
    Event("cluster-taken-over", "cluster", _succeed(_with_a_lag(_take_over)), settle=_reconnect),
    # Each may challenge a client as often as a failover, and a client that is challenged may get a nonce of the next.
    Event("cluster-slots-moved-and-back", "cluster", _move_slots_and_back, challenges=2 * _MOVED_SLOTS * SOME),
    Event("identity-unknown", "without_info", _lose_connections, challenges=NONE),
    # If the self-check is too late, on a busy machine, each of four workers sees four changes before it gives up.
    Event("identity-flaps", "flapping", _lose_connections, challenges=4 * 4),
    Event("identity-flaps-for-one", "flapping_for_one", _lose_connections_to_all, once=False),
)
