"""Configuration problems of a Redis server that responds, found in its `INFO`."""

import re
from collections.abc import Iterator, Mapping

INFO = ("INFO", "server", "memory", "replication")

READ_ONLY = "the Redis store is a replica: give the master's address, or use redis+sentinel://"

_LEAST_VERSION = (7, 0)

# Clocks may differ by ten seconds before a used proof could be accepted again. Warning at half of that leaves time.
_MAX_CLOCK_DIFFERENCE_SECONDS = 5.0


def facts_of(info: bytes) -> dict[str, str]:
    """The reply to `INFO` as names and values."""
    return dict(re.findall(r"^(\w+):(.*?)\r?$", info.decode("utf-8", "replace"), re.MULTILINE))


def findings(facts: Mapping[str, str], *, now: float) -> Iterator[str]:
    """What an operator should fix, a sentence each.

    Args:
        facts: the reply to `INFO`, read by `facts_of`.
        now: when it arrived: seconds since the epoch, on the clock that proofs are checked against.
    """
    # Valkey reports the version of Redis that it is compatible with.
    version = facts.get("redis_version", "")
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < _LEAST_VERSION:
        yield f"the Redis store has version {version or '?'}: it needs Redis 7.0 or newer, or Valkey"
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy != "noeviction" and facts.get("maxmemory", "0") != "0":
        yield (
            f"the Redis store has maxmemory-policy {policy}: when its memory is full it drops used proofs, which are "
            "then accepted again. Set maxmemory-policy noeviction, or use a separate instance"
        )
    if facts.get("role") == "slave":
        yield READ_ONLY
    difference = now - int(facts.get("server_time_usec", now * 1e6)) / 1e6
    if abs(difference) > _MAX_CLOCK_DIFFERENCE_SECONDS:
        yield (
            f"the clock of this host is {abs(difference):.0f} s {'ahead of' if difference > 0 else 'behind'} the Redis "
            "store's. If clocks are more than 10 s apart, nonces differ, and used proofs can be accepted again. "
            "Synchronize the clocks"
        )
