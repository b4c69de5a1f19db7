"""`python -m tests.fence --event restart-without-data --runs 10`: what happens to Redis under load, as a table."""

import argparse
import asyncio
import contextlib
import statistics
import sys
from collections.abc import Iterator
from typing import Any

from tests.fence import stages
from tests.fence.crowd import Crowd
from tests.fence.events import ANY_NUMBER, EVENTS, Event
from tests.fence.observation import Observation, observe
from tests.fence.stages import Stage
from tests.programs import REDIS
from tests.support.serving import IssuerServer
from tests.support.topologies import ClusterTopology, SentinelTopology

_TOPOLOGIES: dict[str, type[SentinelTopology | ClusterTopology]] = {
    "sentinel": SentinelTopology,
    "sentinel_on_two_sides": SentinelTopology,
    "cluster": ClusterTopology,
}
_COLUMNS = (
    *("event", "runs", "proofs accepted", "copies sent", "accepted twice", "challenges per client", "allowed"),
    *("503", "first 200 after, s", "every client, s"),
)


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
        redis: Any = running.enter_context(_TOPOLOGIES[kind](binary)) if kind in _TOPOLOGIES else binary
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


def _row(event: Event, runs: list[Observation]) -> list[str]:
    challenges = [count for run in runs for count in run.challenges]
    twice = [len(run.accepted_twice) for run in runs]
    firsts, everyone = ([getattr(run, name) for run in runs] for name in ("first", "everyone"))
    return [
        *(event.name, str(len(runs)), str(sum(run.accepted for run in runs)), str(sum(run.copies for run in runs))),
        f"{sum(twice)}" + (f" (in a run {min(twice)} to {max(twice)})" if any(twice) else ""),
        f"{statistics.mean(challenges):.2f}, at most {max(challenges)}",
        "any" if event.challenges == ANY_NUMBER else f"{event.challenges}",
        str(sum(run.unavailable for run in runs)),
        *(f"{statistics.median(times):.2f}, at most {max(times):.2f}" for times in (firsts, everyone)),
    ]


def _print_table(rows: list[list[str]]) -> None:
    for row in (list(_COLUMNS), ["---"] * len(_COLUMNS), *rows):
        print("| " + " | ".join(row) + " |")


def main() -> int:
    given = _arguments()
    chosen = [event for event in EVENTS if given.event is None or event.name in given.event]
    observed: list[Observation] = []
    with IssuerServer() as server:
        for kind in dict.fromkeys(event.stage for event in chosen):
            with _stage(kind, REDIS.found(), server.issuer) as stage:
                here = [event for event in chosen if event.stage == kind]
                observed += asyncio.run(_runs(here, stage, server.issuer, given))
    by_event = {event: [run for run in observed if run.event == event.name] for event in chosen}
    _print_table([_row(event, runs) for event, runs in by_event.items()])
    return int(any(run.accepted_twice for event, runs in by_event.items() if event.once for run in runs))


if __name__ == "__main__":
    sys.exit(main())
