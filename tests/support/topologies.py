"""A master with replicas and sentinels, and a cluster, of plain redis-server processes; nothing but them is needed."""

import contextlib
import random
from collections.abc import Iterable
from typing import Any, Self

from redis.cluster import key_slot

from tests.support.nodes import HOST, OPEN, Access, Node, SentinelNode
from tests.support.processes import BUS, wait_until

SLOTS = 16_384
DEAD_AFTER = "1000"  # milliseconds without an answer

# Without the pauses that are meant for real networks: after a diskless sync, a replica is told nothing for a second.
_QUICK = [("repl-diskless-sync", "no"), ("repl-ping-replica-period", "1")]


class Topology:
    """Servers that are started, ended and watched together."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as running:
            for node in self.nodes:
                self._before(node)
                running.enter_context(node)
            self.wait_until_whole()
            self._running = running.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def _before(self, node: Node) -> None:
        """What a node may wait for before it is started."""

    def wait_until_whole(self) -> None:
        raise NotImplementedError

    def add(self, node: Node) -> Node:
        """Start one more."""
        self.nodes.append(node)
        return self._running.enter_context(node)

    def by_port(self, port: int) -> Node:
        return next(node for node in self.nodes if node.port == port)

    def run_everywhere(self, *words: str | int) -> list[Any]:
        return [node.ask(*words) for node in self.nodes]


def addresses(nodes: Iterable[Node]) -> str:
    """As they stand in a URL."""
    return ",".join(node.address for node in nodes)


class SentinelTopology(Topology):
    """One master, replicas, and sentinels that know each other from the start."""

    SERVICE = "main"

    def __init__(self, binary: str, *, replicas: int = 2, sentinels: int = 3, access: Access = OPEN) -> None:
        super().__init__()
        master = Node(binary, *_QUICK, access=access)
        following = ("replicaof", HOST, str(master.port))
        self.servers = [master, *(Node(binary, following, *_QUICK, access=access) for _ in range(replicas))]
        self.sentinels = [SentinelNode(binary, access=access) for _ in range(sentinels)]
        self.nodes = [*self.servers, *self.sentinels]
        for sentinel in self.sentinels:
            sentinel.configure(*self._watching(sentinel, access))

    def _watching(self, sentinel: SentinelNode, access: Access) -> list[tuple[str, ...]]:
        service, (master, *replicas) = self.SERVICE, self.servers
        quorum = len(self.sentinels) // 2 + 1
        return [
            ("sentinel", "monitor", service, HOST, str(master.port), str(quorum)),
            ("sentinel", "down-after-milliseconds", service, DEAD_AFTER),
            ("sentinel", "failover-timeout", service, "3000"),
            ("sentinel", "parallel-syncs", service, "2"),
            *access.sentinel(service),
            *(("sentinel", "known-replica", service, HOST, str(replica.port)) for replica in replicas),
            *(
                ("sentinel", "known-sentinel", service, HOST, str(other.port), other.id)
                for other in self.sentinels
                if other is not sentinel
            ),
        ]

    def _before(self, node: Node) -> None:
        # What a sentinel sees when it starts it looks at again only after seconds.
        if node is self.sentinels[0]:
            self._wait_for_replicas(self.servers[0])

    def _wait_for_replicas(self, master: Node) -> None:
        replicas = [server for server in self.servers if server is not master]
        wait_until(lambda: all(replica.follows(master) for replica in replicas), "a replica does not follow")

    def url(self, service: str = SERVICE) -> str:
        return f"redis+sentinel://{addresses(self.sentinels)}/{service}"

    @property
    def master(self) -> Node:
        """As the sentinels say."""
        return self.by_port(int(self.sentinels[0].ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.SERVICE)[1]))

    def all_name(self, master: Node) -> bool:
        """Whether every sentinel has ended the failover; the one that leads it is the last."""
        port = 5  # after name and address, each with its label before it
        return {each.ask("SENTINEL", "MASTER", self.SERVICE)[port] for each in self.sentinels} == {str(master.port)}

    @property
    def replicas(self) -> list[Node]:
        master = self.master
        return [server for server in self.servers if server is not master]

    def hand_over(self) -> None:
        """Make a replica the master, while all are well."""
        self.sentinels[0].ask("SENTINEL", "FAILOVER", self.SERVICE)

    def repair(self) -> None:
        """Make replicas of masters that returned: sentinels pause for up to twenty seconds, and may leave one out."""
        self._set_periods(100, 100)
        wait_until(self._all_follow, "a replica does not follow")
        self.wait_until_whole()
        self._set_periods(10_000, 2_000)

    def _all_follow(self) -> bool:
        master = self.master
        others = [server for server in self.servers if server is not master and not server.follows(master)]
        for server in others:
            server.ask("REPLICAOF", HOST, master.port)
        return not others

    def leave_masters_alone(self) -> None:
        """Let the sentinels make no replica of a master that was replaced: else they do it after 8 s, four periods."""
        self._set_periods(10_000, 600_000)

    def _set_periods(self, info: int, publish: int) -> None:
        for sentinel in self.sentinels:
            sentinel.ask("SENTINEL", "DEBUG", "info-period", info, "publish-period", publish)

    def wait_until_whole(self) -> None:
        """Until every replica has everything, and every sentinel sees every other node."""
        self._wait_for_replicas(self.master)
        for sentinel in self.sentinels:
            wait_until(lambda sentinel=sentinel: self._sees_all(sentinel), "a sentinel does not see all")

    def _sees_all(self, sentinel: Node) -> bool:
        """What a sentinel needs for a failover: the others in reach, and of each replica that it said who it is."""
        with sentinel.client() as connection:
            replicas = connection.sentinel_slaves(self.SERVICE)
        linked = [one for one in replicas if (one["role-reported"], one["master-link-status"]) == ("slave", "ok")]
        quorum = f"OK {len(self.sentinels)} usable"
        return len(linked) == len(self.servers) - 1 and sentinel.ask("SENTINEL", "CKQUORUM", self.SERVICE).startswith(
            quorum
        )


class ClusterTopology(Topology):
    """Three masters with a third of the slots each, and one replica of each."""

    def __init__(self, binary: str, *options: tuple[str, ...], masters: int = 3, access: Access = OPEN) -> None:
        super().__init__()
        self._binary = binary
        self._access = access
        self._options = [
            *_QUICK,
            ("cluster-enabled", "yes"),
            ("cluster-config-file", "nodes.conf"),
            ("cluster-node-timeout", DEAD_AFTER),
            ("cluster-replica-validity-factor", "0"),
            # Replicas stay with their masters, and a master that gives its last slot away stays one.
            ("cluster-allow-replica-migration", "no"),
            *([] if access.certificate is None else [("tls-cluster", "yes")]),
            *options,
        ]
        self.nodes = self.servers = [self._node() for _ in range(2 * masters)]
        self.ids = {node: f"{random.getrandbits(160):040x}" for node in self.nodes}
        self._introduce(masters)

    def _node(self) -> Node:
        return Node(self._binary, *self._options, access=self._access)

    def _introduce(self, masters: int) -> None:
        """Write the file in which each node finds all others: so they need not meet first."""
        for me in self.nodes:
            lines = [self._line(node, "myself," if node is me else "", masters) for node in self.nodes]
            text = "".join([*lines, f"vars currentEpoch {masters} lastVoteEpoch 0\n"])
            (me.folder / "nodes.conf").write_text(text, encoding="utf-8")

    def _line(self, node: Node, myself: str, masters: int) -> str:
        round_of_masters, third = divmod(self.nodes.index(node), masters)
        place, epoch = f"{self.ids[node]} {node.address}@{node.port + BUS}", third + 1
        if round_of_masters:
            return f"{place} {myself}slave {self.ids[self.nodes[third]]} 0 0 {epoch} connected\n"
        first, end = SLOTS * third // masters, SLOTS * (third + 1) // masters
        return f"{place} {myself}master - 0 0 {epoch} connected {first}-{end - 1}\n"

    def url(self, nodes: Iterable[Node] | None = None) -> str:
        """With all nodes, or these, as seeds."""
        return f"redis+cluster://{addresses(self.nodes if nodes is None else nodes)}"

    @property
    def owners(self) -> dict[range, Node]:
        """Which master has which slots, as a node says that is up."""
        witness = next(node for node in self.nodes if node.is_up)
        slots = witness.ask("CLUSTER", "SLOTS")
        return {range(first, last + 1): self.by_port(master[1]) for first, last, master, *_ in slots}

    @staticmethod
    def slot_of(key: str) -> int:
        return key_slot(key.encode())

    def master_of(self, key: str) -> Node:
        return next(node for slots, node in self.owners.items() if self.slot_of(key) in slots)

    @property
    def masters(self) -> list[Node]:
        return list(dict.fromkeys(self.owners.values()))

    def replica_of(self, master: Node) -> Node:
        return next(node for node in self.nodes if node.is_up and node.follows(master))

    def hand_over(self, master: Node) -> None:
        """Make its replica the master, while all are well."""
        self.replica_of(master).ask("CLUSTER", "FAILOVER")

    def repair(self) -> None:
        """Bring back what is down; nodes that return find their place by themselves."""
        for node in self.nodes:
            if not node.is_running:
                node.start()
            elif not node.is_up:
                node.thaw()
        self.wait_until_whole()

    def wait_until_whole(self) -> None:
        """Until every node takes part, and every replica has everything."""
        wait_until(lambda: all(map(_takes_part, self.nodes)), "a node of the cluster takes no part")

    def add_master(self) -> Node:
        """One more, without slots yet, that all others know."""
        node = self.add(self._node())
        witness = self.nodes[0]
        witness.ask("CLUSTER", "MEET", HOST, node.port)
        self.ids[node] = node.ask("CLUSTER", "MYID")
        wait_until(lambda: all(map(self._knows_all, self.nodes)), "the new node is not known")
        return node

    def _knows_all(self, node: Node) -> bool:
        states = f"cluster_known_nodes:{len(self.nodes)}\r", "cluster_state:ok\r"
        told = node.ask("CLUSTER", "INFO")
        return all(state in told for state in states) and "handshake" not in node.ask("CLUSTER", "NODES")


def _takes_part(node: Node) -> bool:
    role = node.ask("ROLE")
    return "cluster_state:ok" in node.ask("CLUSTER", "INFO") and (role[0] == "master" or role[3] == "connected")
