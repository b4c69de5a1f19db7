"""What comes back from a server under load, and who was busy meanwhile."""

import time
from array import array
from collections import Counter
from dataclasses import dataclass
from typing import Self

from tests.benchmarks import cores


class RanOutError(Exception):
    """The requests were all answered before counting began."""


@dataclass(frozen=True, slots=True)
class Load:
    """What came of it.

    Attributes:
        statuses: answers by status.
        seconds: how long it was counted.
        latencies: seconds, one for each answer.
        client_cpu: share of its time that this client was busy.
        server_cpu: the same of the server; `None` where that cannot be seen.
    """

    statuses: dict[int, int]
    seconds: float
    latencies: "array[float]"
    client_cpu: float
    server_cpu: float | None

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds

    def quantile(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)]

    def only(self, status: int) -> Self:
        """Itself; a benchmark of wrong answers measures nothing."""
        if set(self.statuses) != {status}:
            msg = f"expected {status} only, got {self.statuses}"
            raise RuntimeError(msg)
        return self


class Count:
    """Answers between `begin` and `end`, and who was busy meanwhile."""

    def __init__(self, server_pid: int) -> None:
        self._server_pid = server_pid
        self._statuses: Counter[bytes] = Counter()
        self._latencies = array("d")
        self._under_way = False
        self.ended = False

    def _now(self) -> tuple[float, float, float | None]:
        return time.perf_counter(), time.process_time(), cores.cpu_seconds(self._server_pid)

    def begin(self) -> None:
        self._under_way, self._began = not self.ended, self._now()

    def end(self) -> None:
        self.ended = True
        if self._under_way:
            self._under_way, self._finished = False, self._now()

    def add(self, answer: bytes, seconds: float) -> None:
        if self._under_way:
            self._statuses[answer[9:12]] += 1
            self._latencies.append(seconds)

    def load(self) -> Load:
        if not self._latencies:
            raise RanOutError
        (began, client_before, server_before), (ended, client_after, server_after) = self._began, self._finished
        seconds, unseen = ended - began, server_before is None or server_after is None
        statuses = {int(status): number for status, number in self._statuses.items()}
        server = None if unseen else (server_after - server_before) / seconds
        return Load(statuses, seconds, self._latencies, (client_after - client_before) / seconds, server)
