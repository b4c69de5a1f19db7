"""What a soak is asked to do."""

import argparse
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
        given = {name: value for name, value in vars(arguments).items() if name not in {"minutes", "json"}}
        return cls(seconds=arguments.minutes * 60, redis=REDIS.found(), **given)


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="python -m tests.soak",
        description="Real servers under load while Redis, servers and the issuer fail; a ledger of every answer.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    for name, default, told in (
        ("minutes", 10.0, "longer, if not everything has failed by then"),
        ("rate", Options.rate, "requests per second"),
        ("servers", Options.servers, "at least two; the first is never touched"),
        ("workers", Options.workers, "of each server"),
        ("clients", Options.clients, "that go on asking"),
        ("nonce-period", Options.nonce_period, "seconds"),
        ("fault-pause", Options.fault_pause, "seconds between faults"),
        ("seed", random.randrange(10**6), "of everything left to chance"),
    ):
        result.add_argument(f"--{name}", type=type(default), default=default, help=told)
    result.add_argument("--json", type=Path, help="write the ledger here as well")
    return result
