"""Which checks a contender makes: found out by trying, over HTTP, against two processes of each."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from tests.benchmarks.peers.api import example
from tests.benchmarks.peers.attacker import Attacker
from tests.benchmarks.peers.attempts import ATTEMPTS, Attempt
from tests.benchmarks.peers.processes import Server, redis_binary
from tests.support.processes import RedisServer

CONTENDERS = (
    "dpop_asgi",
    "PyJWT by hand",
    "joserfc by hand",
    "Authlib by hand",
    "pydpop",
    "oauth4webapi",
    "express-oauth2-jwt-bearer",
)

# What comes with the others is for one process.
_WITH_REDIS = CONTENDERS[:4]
_NONCE_PERIOD = 3.0
_NONCES_LIVE = 3 * _NONCE_PERIOD
_SUCCESS, _SERVER_ERROR = range(200, 300), 500


def examine(*, tell: Callable[[str], None]) -> dict[str, Any]:
    """For each contender, each attempt: the status, and whether that is what it must be."""
    api = example(algorithms=("ES256", "PS256"), nonce_period=_NONCE_PERIOD)
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer(redis_binary()))
        attackers = {}
        for name in CONTENDERS:
            tell(f"checks: starting {name}")
            protected = api.but(redis=redis.url) if name in _WITH_REDIS else api
            servers = [stack.enter_context(Server(name, protected)) for _ in range(2)]
            attackers[name] = Attacker(protected, servers)
        tell("checks: nonces grow old")
        time.sleep(_NONCES_LIVE)
        return {name: _examined(name, attacker, tell) for name, attacker in attackers.items()}


def _examined(name: str, attacker: Attacker, tell: Callable[[str], None]) -> list[dict[str, Any]]:
    tell(f"checks: trying {name}")
    statuses = [attacker.with_nothing_wrong(process=process) for process in (0, 1)]
    if not all(status in _SUCCESS for status in statuses):
        raise RuntimeError(f"{name} answers {statuses} to requests in which nothing is wrong:\n{attacker.logs}")
    return [_outcome(attempt, attempt.move(attacker)) for attempt in ATTEMPTS]


def _outcome(attempt: Attempt, status: int) -> dict[str, Any]:
    return {
        "check": attempt.check,
        "attempt": attempt.name,
        "status": status,
        "holds": (status in _SUCCESS) == attempt.passes and status < _SERVER_ERROR,
    }
