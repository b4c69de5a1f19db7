"""Which incarnation of a Redis server answers: it holds all that was written under this one, and may lack the rest."""

import logging
import re
from hashlib import sha256
from itertools import groupby
from typing import Any, NamedTuple

from redis.exceptions import NoPermissionError, ResponseError

logger: logging.Logger = logging.getLogger("dpop_asgi")

# `run_id` changes with each start, `master_replid` with each promotion, and the number of flushes when data is dropped
# on purpose. It costs the server as much as a few SETs (20 us), and is asked once per connection and every 0.1 s.
IDENTITY = ("INFO", "server", "replication", "commandstats")

_FACTS = re.compile(rb"^(run_id|role|master_replid|cmdstat_flushall|cmdstat_flushdb):(\w+(?:=\d+)?)", re.MULTILINE)
_WANTED = {b"run_id", b"role", b"master_replid"}

# A master that was frozen comes back once. A proxy in front of several servers brings them back again and again, and so
# often would clients be challenged.
_MOST_RETURNS = 3

FENCE_OFF = "the fence is off, so used proofs can pass again after Redis has lost data: %s"
UNSTABLE = (
    "connections lead to one server and to another in turn, as behind a proxy. Give the servers' own addresses, by"
    " redis+sentinel:// or redis+cluster://"
)
_FORBIDDEN = "the server does not allow INFO. Add +info to the ACL of this user"
_INCOMPLETE = "the server's INFO has no run_id, role and master_replid"


class Reply(NamedTuple):
    """The reply to a command, and which incarnation the server was before and after it ran the command."""

    value: Any
    before: str | None
    after: str | None


class Incarnations:
    """What the server behind one address has been so far.

    Attributes:
        current: as of the last answer; `None` when that cannot be known.
        off: why it cannot be known here, so that nobody asks any more.
    """

    def __init__(self) -> None:
        self.current: str | None = None
        self.off: str | None = None
        self._left: set[str] = set()
        self._returns = 0

    def note(self, answer: object) -> None:
        """Read the answer to `IDENTITY`.

        Raises:
            ResponseError: If the server would tell, but not now.
        """
        self.current, previous = self._read(answer), self.current
        if self.current is None or self.current == previous:
            return
        self._returns += self.current in self._left
        self._left.add(previous or self.current)
        if self._returns >= _MOST_RETURNS:
            self.turn_off(UNSTABLE)

    def _read(self, answer: object) -> str | None:
        if isinstance(answer, ResponseError) and not _is_refusal(answer):
            raise answer
        facts = dict(_FACTS.findall(answer)) if isinstance(answer, bytes) else {}
        if facts.keys() >= _WANTED:
            # A read-only replica is nobody: it lacks, or will lose, what its master did not send.
            known = facts[b"role"] == b"master"
            return sha256(b" ".join(facts[name] for name in sorted(facts))).hexdigest()[:16] if known else None
        self.turn_off(_FORBIDDEN if isinstance(answer, ResponseError) else _INCOMPLETE)
        return None

    def turn_off(self, why: str) -> None:
        """Do not ask any more."""
        if self.off is None:
            logger.warning(FENCE_OFF, why)
        self.off, self.current = why, None


def _is_refusal(error: ResponseError) -> bool:
    return isinstance(error, NoPermissionError) or "unknown command" in str(error).lower()


def go_back_and_forth(found: list[str | None]) -> bool:
    """Whether one that was left is there again."""
    runs = [incarnation for incarnation, _ in groupby(found)]
    return len(runs) > len(set(runs))
