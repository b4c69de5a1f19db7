"""The store, looked at as a server does, and timed."""

import secrets
import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from dpop_asgi.cli.check.clock import Ahead
from dpop_asgi.cli.check.finding import Finding, Verdict, ok, warning
from dpop_asgi.cli.check.text import sentence
from dpop_asgi.core.ports import Clock, Inspectable, Store
from dpop_asgi.errors import StoreError
from dpop_asgi.stores.memory import MemoryStore
from dpop_asgi.stores.redis.store import RedisStore

_ROUND_TRIPS = 5

# Keys of the check are gone soon.
_TTL_SECONDS = 1.0

# More than this share of the deadline leaves too little for a bad moment.
_SLOW_SHARE = 0.5


@dataclass(slots=True)
class StoreSeen:
    """What a store does and says.

    Attributes:
        failure: why it can't be used; empty if it can.
        seconds: how long a round trip takes.
        problems: what the self-check finds.
        servers: what each Redis server says about itself.
        ahead: how far the clock of each is ahead of ours.
    """

    failure: str = ""
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)
    servers: list[dict[str, str]] = field(default_factory=list)
    ahead: list[Ahead] = field(default_factory=list)


async def look_at_store(store: Store, namespace: str, clock: Clock) -> StoreSeen:
    """Write to the store, and have it look for problems."""
    seen = StoreSeen()
    try:
        seen.seconds = await _round_trip(store, namespace)
        if isinstance(store, Inspectable):
            seen.problems = await store.findings(clock)
        if isinstance(store, RedisStore):
            asked_at = clock()
            seen.servers = await store.server_facts()
            seen.ahead = list(_ahead(seen.servers, asked_at, clock()))
    except StoreError as failure:
        seen.failure = str(failure)
    return seen


async def _round_trip(store: Store, namespace: str) -> float:
    """Seconds, in the middle of several calls. The first, which has to connect, isn't counted, and may fail once."""
    try:
        await _call(store, namespace)
    except StoreError:
        await _call(store, namespace)
    return statistics.median([await _call(store, namespace) for _ in range(_ROUND_TRIPS)])


async def _call(store: Store, namespace: str) -> float:
    start = time.perf_counter()
    await store.put_if_absent(f"{namespace}:check:{secrets.token_hex(8)}", "", ttl=_TTL_SECONDS)
    return time.perf_counter() - start


def _ahead(servers: list[dict[str, str]], asked_at: float, arrived_at: float) -> Iterator[Ahead]:
    for facts in servers:
        microseconds = facts.get("server_time_usec", "")
        if microseconds.isdigit():
            yield Ahead(int(microseconds) / 1e6 - arrived_at, int(microseconds) / 1e6 - asked_at)


# Part of a message of the store or its self-check, the name of the finding, and its verdict if the store works. What to
# change is the last sentence of the message where none is given here.
_PROBLEMS: tuple[tuple[str, str, Verdict, str], ...] = (
    ("is a replica", "store_read_only", "error", "Set DPOP_STORE to the master, or use redis+sentinel://."),
    ("older than 7.0", "store_too_old", "error", "Use Redis 7.0 or newer, or Valkey."),
    ("needs Redis 7.0", "store_too_old", "error", "Use Redis 7.0 or newer, or Valkey."),
    ("maxmemory-policy", "store_evicts", "warning", ""),
    ("the fence is off", "fence_off", "warning", ""),
    ("user name or password", "store_credentials", "error", "Correct the user name and password in DPOP_STORE."),
    (
        "ACL must allow",
        "store_acl",
        "error",
        "Allow this user SET, PING and INFO on keys that begin with the namespace.",
    ),
    ("is a node of a cluster", "store_is_cluster", "error", "Begin DPOP_STORE with redis+cluster://."),
    ("not a Sentinel", "store_is_no_sentinel", "error", "Begin DPOP_STORE with redis://, or name the Sentinels in it."),
    ("no Sentinel names", "store_no_master", "error", "Correct the Sentinels and the service in DPOP_STORE."),
    ("did not respond in time", "store_times_out", "error", "Raise DPOP_STORE_TIMEOUT, or use a Redis that is closer."),
)
_UNAVAILABLE = "Check DPOP_STORE, and that this host can reach the server."


def store_findings(store: Store, seen: StoreSeen, *, timeout: float) -> Iterator[Finding]:
    """What is right and wrong with the store.

    Args:
        store: the configured one.
        seen: what it does.
        timeout: seconds that it has for a call.
    """
    if isinstance(store, MemoryStore):
        what = "State is kept in memory: for one process only. Set DPOP_STORE before you start more."
        yield ok("store", "memory_store", what)
        return
    if seen.failure:
        yield _problem(seen.failure, "store_unavailable", "error", _UNAVAILABLE)
        return
    yield _speed(seen.seconds, timeout)
    yield from _versions(seen.servers)
    # About the clocks there is a finding of its own.
    problems = [problem for problem in seen.problems if "the clock of this host" not in problem]
    for problem in problems:
        yield _problem(problem, "store_problem", "warning", "See docs/redis.md.")
    if not any("the fence is off" in problem for problem in problems):
        yield ok("store", "fence_on", "The fence is on: used proofs don't pass again after Redis has lost data.")


def _problem(message: str, name: str, verdict: Verdict, change: str) -> Finding:
    what, _, last = message.rpartition(". ")
    for part, its_name, its_verdict, its_change in _PROBLEMS:
        if part in message:
            name, verdict = its_name, its_verdict
            change = its_change or (f"{last}." if what else change)
            message = message if its_change else what or message
            break
    return Finding("store", name, verdict, sentence(message), change)


def _speed(seconds: float, timeout: float) -> Finding:
    what = f"A round trip takes {seconds * 1000:.1f} ms; the deadline is {timeout * 1000:.0f} ms."
    if seconds <= timeout * _SLOW_SHARE:
        return ok("store", "store_round_trip", what)
    change = "Use a Redis that is closer, or raise DPOP_STORE_TIMEOUT."
    return warning("store", "store_slow", what, change=change)


def _versions(servers: list[dict[str, str]]) -> Iterator[Finding]:
    versions = sorted({_version(facts) for facts in servers})
    if versions:
        yield ok("store", "store_version", f"It runs {', '.join(versions)}.")


def _version(facts: Mapping[str, str]) -> str:
    if "valkey_version" in facts:
        return f"Valkey {facts['valkey_version']}"
    return f"Redis {facts.get('redis_version', '?')}"
