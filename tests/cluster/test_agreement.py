"""What many workers share: replay keys spread over a cluster, and one nonce for all."""

import asyncio
import math

import pytest

from dpop_asgi import NoncePolicy, Reason, RedisStore, Revocations
from dpop_asgi.nonces import NonceWindow
from dpop_asgi.replay import UsedProofs
from tests.support.decisions import Resource, accepted_nonce
from tests.support.topologies import SLOTS

PROOFS = 3000
WORKERS = 6


@pytest.fixture(params=[pytest.param(name, id=name) for name in ("sentinel", "cluster")])
def topology(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
async def stores(topology):
    """Each as another worker has it."""
    stores = [RedisStore(topology.url(), timeout=10.0) for _ in range(WORKERS)]
    yield stores
    for store in stores:
        await store.aclose()


async def _spend(store, jti):
    spent = UsedProofs(store, namespace="dpop")
    return await spent.claim(key_thumbprint="t", target_uri="https://rs.example/r", jti=jti, seconds_left=60.0)


async def test_a_cluster_spreads_proofs_evenly_over_its_masters(cluster):
    """Also where a client writes hash tags, which would keep keys together."""
    store = RedisStore(cluster.url(), timeout=10.0)
    assert all(await asyncio.gather(*(_spend(store, f"{{tag}}-{number}") for number in range(PROOFS))))
    await store.aclose()
    found = {master: master.ask("DBSIZE") for master in cluster.masters}
    assert sum(found.values()) == PROOFS
    for master, count in found.items():
        share = sum(len(slots) for slots, owner in cluster.owners.items() if owner is master) / SLOTS
        # Five standard deviations of the binomial distribution: an even spread is outside once in a million runs.
        tolerance = 5 * math.sqrt(PROOFS * share * (1 - share)) + 1
        assert abs(count - PROOFS * share) < tolerance


async def test_workers_that_start_at_the_same_time_agree_on_the_nonces(stores, clock):
    policy = NoncePolicy(period=60.0, grace=1, lookahead=5)
    windows = [NonceWindow(store, policy, namespace="dpop", clock=clock, tag=store.tags[-1]) for store in stores]
    for _ in range(3):
        await asyncio.gather(*(window.ensure(clock.now) for window in windows))
        [nonce] = {window.to_issue(clock.now) for window in windows}
        assert (await accepted_nonce(windows[-1], nonce, clock.now)).value == nonce
        clock.advance(policy.period * policy.lookahead * 2)


async def test_what_is_revoked_no_worker_accepts_and_each_client_is_challenged_once(stores, clock, client):
    workers = [Resource(clock, client, store=store, nonces=NoncePolicy()) for store in stores]
    operator = Revocations(stores[0], clock=clock)
    nonces = [await worker.authenticator.challenge_nonce() for worker in workers]
    await asyncio.gather(*(worker.accept(worker.headers(nonce=nonces[0])) for worker in workers))
    await operator.revoke_nonces()
    clock.advance(0.5)
    for worker, nonce in zip(workers, nonces, strict=True):
        refusal = await worker.refusal(worker.headers(nonce=nonce))
        assert refusal.reason is Reason.NONCE_REVOKED
        new = await worker.authenticator.challenge_nonce(refusal)
        await asyncio.gather(*(each.accept(each.headers(nonce=new)) for each in workers))
    await operator.revoke_key(client.thumbprint)
    clock.advance(0.5)
    assert {await worker.reason(worker.headers(nonce=new)) for worker in workers} == {Reason.KEY_REVOKED}
