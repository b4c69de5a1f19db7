"""A master is killed, or hangs, or hands over, under 200 requests a second, and comes back later.

Clients follow nonces. Each proof is sent twice while this goes on, and all that were accepted once more at the end.
"""

import asyncio

import pytest

from tests.support.barrage import Barrage
from tests.support.busy import patient
from tests.support.failover import RECOVERY, Succession, observe
from tests.support.processes import ResourceServer

PUBLIC_URL = "https://api.example.com"
RATE = 200
# For every answer, whatever happens: twice the deadline of a call to the store.
PROMISED = 0.5

HAPPENINGS = {
    "killed": Succession.kill,
    "frozen": Succession.freeze,
    "handed-over": Succession.hand_over,
}


async def _warm_up(barrage):
    """Connections, keys of the issuer and nonces are there before the watch begins."""
    warm = asyncio.Event()
    asyncio.get_running_loop().call_later(0.5, warm.set)
    await barrage.go_on(until=warm)


async def _observe_all(topology, servers, issuer):
    """One after the other on the same topology: each time another node is the master."""
    observed = {}
    async with Barrage(*servers, public_url=PUBLIC_URL, issuer=issuer, rate=round(RATE / patient(1.0))) as barrage:
        await _warm_up(barrage)
        for name, happen in HAPPENINGS.items():
            observed[name] = await observe(Succession.in_topology(topology), happen, barrage)
            print(name, observed[name])
            await asyncio.to_thread(topology.repair)
    return observed


@pytest.fixture(scope="module", params=[pytest.param(name, id=name.strip("_")) for name in ("_sentinel", "_cluster")])
def all_observed(request, issuer_server):
    topology, issuer = request.getfixturevalue(request.param), issuer_server.issuer
    settings = {"public_url": PUBLIC_URL, "store": topology.url()}
    with ResourceServer(issuer, **settings) as one, ResourceServer(issuer, **settings) as other:
        return asyncio.run(_observe_all(topology, (one, other), issuer))


@pytest.fixture(params=[pytest.param(name, id=name) for name in HAPPENINGS])
def observed(request, all_observed):
    return all_observed[request.param]


def test_every_request_is_answered_in_half_a_second_with_200_401_or_503(observed):
    assert {use.status for use in observed.uses} <= {200, 401, 503}
    assert [
        use for use in observed.uses if use.seconds >= observed.machine.allows(PROMISED) and observed.is_fair(use)
    ] == []


def test_nothing_is_unavailable_but_from_the_failure_until_shortly_after_there_is_a_new_master(observed):
    first, last = observed.moments.failed, observed.moments.known + observed.machine.allows(RECOVERY)
    unavailable = [use for use in observed.uses if use.status == 503]
    outside = [use for use in unavailable if use.answered_at < first or use.asked_at > last]
    assert [use for use in outside if observed.is_fair(use)] == []


def test_proofs_are_accepted_again_within_a_second_after_the_new_master_is_known(observed):
    firsts = [sheet.accepted[0] for sheet in observed.sheets if sheet.accepted]
    assert any(0 < use.asked_at - observed.moments.known < observed.machine.allows(RECOVERY) for use in firsts)


def test_no_proof_is_accepted_twice(observed):
    assert len(observed.doubles) == 0


def _is_replaced(one):
    """Some were told to come back; of the proofs from when the new master was known for a moment each passed once."""
    assert any(use.status == 503 for use in one.uses)
    assert {len(sheet.accepted) for sheet in one.late} == {1}


@pytest.mark.parametrize("all_observed", [pytest.param("_sentinel", id="sentinel")], indirect=True)
@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_the_master_behind_sentinel_is_lost(all_observed, how):
    _is_replaced(all_observed[how])


@pytest.mark.parametrize("all_observed", [pytest.param("_cluster", id="cluster")], indirect=True)
@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_a_master_of_the_cluster_is_lost(all_observed, how):
    _is_replaced(all_observed[how])
