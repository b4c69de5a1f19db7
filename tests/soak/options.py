"""What a soak is asked to do."""

import argparse
import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.programs import REDIS


@dataclass(frozen=True, kw_only=True)
class Options:
    """How long, how much, against what.

    Attributes:
        seconds: how long there is load; longer if by then some fault has not happened yet.
        rate: requests per second, on average; their times do not depend on the answers.
        servers: the first is never touched, the others are restarted and killed.
        workers: of each server.
        clients: that go on asking, each with a key of its own.
        nonce_period: seconds per slot.
        fault_pause: seconds between faults of Redis, and of servers, on average; of the issuer, three times as many.
        seed: of everything that is left to chance.
        redis: the program.
    """

    seconds: float
    redis: str
    rate: float = 200.0
    servers: int = 2
    workers: int = 2
    clients: int = 50
    nonce_period: float = 5.0
    fault_pause: float = 6.0
    seed: int = 0

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> Self:
        redis = os.environ.get("REDIS_SERVER") or REDIS.search()
        if redis is None:
            raise SystemExit("soak: no redis-server: `python3 -m tests --setup-only` installs one")
        given = {name: value for name, value in vars(arguments).items() if name not in {"minutes", "json"}}
        return cls(seconds=arguments.minutes * 60, redis=redis, **given)


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="python -m tests.soak",
        description="Real servers under load while Redis, servers and the issuer fail; a ledger of every answer.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    result.add_argument("--minutes", type=float, default=10.0)
    result.add_argument("--rate", type=float, default=200.0, help="requests per second")
    result.add_argument("--servers", type=_at_least(2), default=2, help="the first is never touched")
    result.add_argument("--workers", type=_at_least(1), default=2, help="of each server")
    result.add_argument("--clients", type=_at_least(1), default=50)
    result.add_argument("--nonce-period", type=float, default=5.0, help="seconds")
    result.add_argument("--fault-pause", type=float, default=6.0, help="seconds between faults")
    result.add_argument("--seed", type=int, default=random.randrange(10**6), help="of everything left to chance")
    result.add_argument("--json", type=Path, help="write the ledger here as well")
    return result


def _at_least(least: int):
    def number(text: str) -> int:
        if int(text) < least:
            raise argparse.ArgumentTypeError(f"at least {least}")
        return int(text)

    return number
