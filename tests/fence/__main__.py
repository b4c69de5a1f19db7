"""`python -m tests.fence --event restart-seen-late --runs 10`: what happens to Redis under load, run by run."""

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from tests.fence import stages
from tests.fence.crowd import Crowd
from tests.fence.events import EVENTS, Event
from tests.fence.observation import Observation, observe
from tests.fence.stages import Stage
from tests.programs import REDIS
from tests.support.serving import IssuerServer
from tests.support.topologies import ClusterTopology, SentinelTopology

_OF_SENTINELS = ("sentinel", "sentinel_on_two_sides")
_TOPOLOGIES: dict[str, Any] = {**dict.fromkeys(_OF_SENTINELS, SentinelTopology), "cluster": ClusterTopology}


def _arguments() -> argparse.Namespace:
    names = [event.name for event in EVENTS]
    parser = argparse.ArgumentParser(
        prog="python -m tests.fence",
        description="Two servers of two workers under load while something happens to Redis. All proofs that were "
        "accepted are sent again meanwhile, and in the end to every worker.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--event", action="append", choices=names, help="several times for several; all by default")
    parser.add_argument("--runs", type=int, default=1, help="of each event")
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--pause", type=float, default=0.05, help="seconds between the requests of a client")
    parser.add_argument("--replays", type=float, default=200.0, help="copies of used proofs per second")
    return parser.parse_args()


@contextlib.contextmanager
def _stage(kind: str, binary: str, issuer: Any) -> Iterator[Stage]:
    with contextlib.ExitStack() as running:
        redis = running.enter_context(_TOPOLOGIES[kind](binary)) if kind in _TOPOLOGIES else binary
        yield running.enter_context(getattr(stages, kind)(redis, issuer))


async def _runs(events: list[Event], stage: Stage, issuer: Any, given: argparse.Namespace) -> list[Observation]:
    crowd = Crowd(stage.ports, issuer=issuer, clients=given.clients, pause=given.pause, replays=given.replays)
    observed = []
    async with crowd:
        await crowd.warm_up()
        for event in events:
            for _ in range(given.runs):
                observed.append(await observe(event, stage, crowd))
                print(observed[-1], flush=True)
                if hasattr(stage.redis, "repair"):
                    await asyncio.to_thread(stage.redis.repair)
    return observed


def main() -> int:
    given = _arguments()
    chosen = [event for event in EVENTS if given.event is None or event.name in given.event]
    observed: list[Observation] = []
    with IssuerServer() as server:
        for kind in dict.fromkeys(event.stage for event in chosen):
            with _stage(kind, REDIS.found(), server.issuer) as stage:
                here = [event for event in chosen if event.stage == kind]
                observed += asyncio.run(_runs(here, stage, server.issuer, given))
    accepted, twice = (sum(run.accepted for run in observed), sum(len(run.accepted_twice) for run in observed))
    print(f"{len(observed)} runs: {accepted} proofs accepted, {twice} of them twice")
    return int(twice > 0)


if __name__ == "__main__":
    sys.exit(main())
