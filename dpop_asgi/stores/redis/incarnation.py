"""Which incarnation of a Redis server replies. It has every write made under that one, and may lack earlier ones."""

import re
from hashlib import sha256
from itertools import groupby
from typing import Any, NamedTuple

from redis.exceptions import NoPermissionError, ResponseError

from dpop_asgi.log import logger

# `run_id` changes with each start, `master_replid` with each promotion, and the number of flushes and of swapped
# databases when data is dropped on purpose. INFO costs the server as much as a few SETs, so it is sent once per
# connection and every 0.1 s.
IDENTITY = ("INFO", "server", "replication", "commandstats")

_FACTS = re.compile(
    rb"^(run_id|role|master_replid|cmdstat_flushall|cmdstat_flushdb|cmdstat_swapdb):(\w+(?:=\d+)?)", re.MULTILINE
)
_WANTED = {b"run_id", b"role", b"master_replid"}

# A master that was frozen comes back once. Behind a proxy in front of several servers they come back again and again,
# and each time clients would be challenged.
_MAX_RETURNS = 3

FENCE_OFF = "the fence is off, so used proofs can be accepted again after Redis has lost data: %s"
UNSTABLE = (
    "connections lead to different servers in turn, as behind a proxy. Give the servers' own addresses, with"
    " redis+sentinel:// or redis+cluster://"
)
_FORBIDDEN = "the server does not allow INFO. Add +info to the ACL of this user"
_INCOMPLETE = "the server's INFO has no run_id, role and master_replid"


class Reply(NamedTuple):
    """The reply to a command, and the server's incarnation before and after it ran the command.

    `None` is a replica, which has none, if `is_fenced`; otherwise it can't be known, or wasn't wanted.
    """

    value: Any
    before: str | None
    after: str | None
    is_fenced: bool


class Incarnations:
    """The incarnations that the server behind one address has had so far.

    Attributes:
        current: the latest one; `None` if it isn't known.
        off: why it can't be known, after which the server is no longer asked; `None` if it can.
    """

    def __init__(self) -> None:
        self.current: str | None = None
        self.off: str | None = None
        self._earlier: set[str] = set()
        self._returns = 0

    def note(self, reply: object) -> None:
        """Read the reply to `IDENTITY`.

        Raises:
            ResponseError: If the server allows the command, but fails for now.
        """
        self.current, previous = self._read(reply), self.current
        if self.current is None or self.current == previous:
            return
        self._returns += self.current in self._earlier
        self._earlier.add(previous or self.current)
        if self._returns >= _MAX_RETURNS:
            self.turn_off(UNSTABLE)

    def _read(self, reply: object) -> str | None:
        if isinstance(reply, ResponseError) and not _is_forbidden(reply):
            raise reply
        facts = dict(_FACTS.findall(reply)) if isinstance(reply, bytes) else {}
        if facts.keys() >= _WANTED:
            # A replica doesn't count, even if it takes writes: it lacks, or will lose, what its master did not send.
            is_master = facts[b"role"] == b"master"
            return sha256(b" ".join(facts[name] for name in sorted(facts))).hexdigest()[:16] if is_master else None
        self.turn_off(_FORBIDDEN if isinstance(reply, ResponseError) else _INCOMPLETE)
        return None

    def turn_off(self, why: str) -> None:
        """Turn the fence off here, and log why."""
        if self.off is None:
            logger.warning(FENCE_OFF, why)
        self.off, self.current = why, None


def _is_forbidden(error: ResponseError) -> bool:
    return isinstance(error, NoPermissionError) or "unknown command" in str(error).lower()


def alternate(found: list[str | None]) -> bool:
    """Whether an incarnation came back after another one."""
    runs = [incarnation for incarnation, _ in groupby(found)]
    return len(runs) > len(set(runs))
