"""What is wrong with a Redis server that answers: told from its `INFO`."""

import re
from collections.abc import Iterator

INFO = ("INFO", "server", "memory", "replication")

READ_ONLY = "the Redis store is a read-only replica: give the master's address, or use redis+sentinel://"

_LEAST_VERSION = (7, 0)

# Hosts may differ by ten seconds before a spent proof could pass again; half of that is time to act.
_MAX_CLOCK_DIFFERENCE_SECONDS = 5.0


def findings(info: bytes, *, now: float) -> Iterator[str]:
    """What an operator should mend, a sentence each.

    Args:
        info: the answer to `INFO`.
        now: seconds since the epoch, on the clock that judges proofs, when the answer came.
    """
    facts = dict(re.findall(r"^(\w+):(.*?)\r?$", info.decode("utf-8", "replace"), re.MULTILINE))
    # Valkey tells the version of Redis that it is compatible with.
    version = facts.get("redis_version", "")
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < _LEAST_VERSION:
        yield f"the Redis store has version {version or '?'}: it needs Redis 7.0 or newer, or Valkey"
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy != "noeviction" and facts.get("maxmemory", "0") != "0":
        yield (
            f"the Redis store has maxmemory-policy {policy}: when its memory is full it drops spent proofs, which can "
            "then be used again. Set maxmemory-policy noeviction, or give it an instance of its own"
        )
    if facts.get("role") == "slave":
        yield READ_ONLY
    difference = now - int(facts.get("server_time_usec", now * 1e6)) / 1e6
    if abs(difference) > _MAX_CLOCK_DIFFERENCE_SECONDS:
        yield (
            f"the clock here is {abs(difference):.0f} s {'ahead of' if difference > 0 else 'behind'} the Redis "
            "store's: with hosts more than 10 s apart, nonces differ and a spent proof can "
            "pass again. Synchronise the clocks"
        )
