"""Two workers and one Redis: one window of nonces, one memory of proofs."""

import pytest

from dpop_asgi import RedisStore
from tests.support.api import call, http_scope


@pytest.fixture
async def workers(make_api, redis_server):
    stores = [RedisStore(redis_server.url, timeout=10.0) for _ in range(2)]
    yield [make_api(store=store) for store in stores]
    for store in stores:
        await store.aclose()


@pytest.mark.requirement("R-9-07", "R-9-02")
async def test_a_nonce_from_one_worker_works_at_the_other(workers):
    one, other = workers
    challenged = await one.request(nonce=None)
    assert (await other.request(nonce=challenged.one("dpop-nonce"))).status == 200


@pytest.mark.requirement("R-9-07", "R-8-05")
async def test_both_rotate_to_the_same_nonce(workers, clock):
    nonces = []
    for _ in range(10):
        nonces.append({(await worker.anonymous()).one("dpop-nonce") for worker in workers})
        clock.advance(60.0)
    assert [len(of_both) for of_both in nonces] == [1] * 10
    assert len(set().union(*nonces)) == 10


@pytest.mark.requirement("R-9-07")
async def test_a_worker_that_starts_later_knows_the_nonces_from_before(workers, clock):
    one, other = workers
    older = (await one.anonymous()).one("dpop-nonce")
    clock.advance(60.0)
    assert (await other.request(nonce=older)).status == 200


@pytest.mark.requirement("R-11.1-04")
async def test_a_proof_that_one_worker_accepted_is_rejected_by_the_other(workers):
    one, other = workers
    sent = await one.fields()
    statuses = [(await call(worker.app, http_scope(headers=sent.items()))).status for worker in (one, other)]
    assert statuses == [200, 401]


@pytest.mark.requirement("R-9-03")
async def test_a_nonce_of_another_namespace_is_rejected(make_api, redis_server):
    stores = [RedisStore(redis_server.url, timeout=10.0) for _ in range(2)]
    one, other = (make_api(store=store, namespace=name) for store, name in zip(stores, ("one", "other"), strict=True))
    answer = await other.request(nonce=await one.authenticator.challenge_nonce())
    assert (answer.status, answer.one("www-authenticate").startswith('DPoP error="use_dpop_nonce"')) == (401, True)
    for store in stores:
        await store.aclose()
