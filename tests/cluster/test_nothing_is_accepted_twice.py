"""Whatever happens to Redis under load, a proof passes once, clients are hardly bothered, and requests go on.

Six clients follow nonces at two servers of two workers, while everything that passed is sent again to all of them.
`python -m tests.fence --runs 10` repeats it as often as one likes, and prints a table.
"""

import asyncio

import pytest

from tests.fence import stages
from tests.fence.crowd import Crowd
from tests.fence.events import EVENTS
from tests.fence.observation import RECOVERY, observe
from tests.support.exchanges import ACCEPTED, CHALLENGED, LOST, NOT_CONNECTED, REPLAYED, UNAVAILABLE

_TOPOLOGIES = {"sentinel": "_sentinel", "sentinel_on_two_sides": "_sentinel", "cluster": "_cluster"}


def _of(*names):
    """The events whose names begin so. A stage lasts for its events, an observation for the tests of its event."""
    rows = [pytest.param(event.stage, event, id=event.name) for event in EVENTS if event.name.startswith(names)]
    return pytest.mark.parametrize(("stage", "event"), rows, indirect=True, scope="module")


@pytest.fixture(scope="module")
def stage(request, redis_binary, issuer_server):
    kind = request.param
    redis = request.getfixturevalue(_TOPOLOGIES[kind]) if kind in _TOPOLOGIES else redis_binary
    with getattr(stages, kind)(redis, issuer_server.issuer) as stage:
        yield stage


@pytest.fixture(scope="module")
def event(request):
    return request.param


async def _observe(event, stage, issuer):
    # Less than the command sends: other tests run at the same time.
    async with Crowd(stage.ports, issuer=issuer, pause=0.1, replays=50.0) as crowd:
        await crowd.warm_up()
        return await observe(event, stage, crowd)


@pytest.fixture(scope="module")
def observed(stage, event, issuer_server):
    observed = asyncio.run(_observe(event, stage, issuer_server.issuer))
    print(observed)
    if hasattr(stage.redis, "repair"):
        stage.redis.repair()
    return observed


@_of("")
def test_no_proof_is_accepted_twice(event, observed):
    assert observed.accepted > 0
    assert not event.once or len(observed.accepted_twice) == 0


@_of("")
def test_clients_are_challenged_as_rarely_as_is_promised(event, observed):
    assert max(observed.challenges) <= event.challenges


@_of("")
def test_every_client_is_accepted_within_a_second_of_the_end_of_the_event(observed):
    assert observed.everyone < RECOVERY + observed.stalled


@_of("")
def test_a_proof_is_accepted_or_challenged_or_known_as_a_replay_or_the_store_is_unavailable(event, observed):
    missed = {NOT_CONNECTED, LOST} if event.ends_a_worker else set()
    assert observed.outcomes.keys() <= {ACCEPTED, CHALLENGED, REPLAYED, UNAVAILABLE} | missed


@_of("")
def test_where_servers_cannot_be_told_apart_the_log_says_that_the_fence_is_off(stage, event, observed):
    assert event.is_fenced or ["fence" in log for log in stage.logs] == [True] * len(stage.workers)


def _is_replaced(event, observed):
    """503 within half a second until somebody else is known as the master, and not a moment longer."""
    assert (observed.slow, observed.unexplained) == ([], [])
    assert observed.unavailable or event.name.endswith("handed-over")


@_of("sentinel-master", "sentinel-handed")
def test_the_master_behind_sentinel_is_lost(event, observed):
    _is_replaced(event, observed)


@_of("cluster-master", "cluster-handed")
def test_a_master_of_the_cluster_is_lost(event, observed):
    _is_replaced(event, observed)
