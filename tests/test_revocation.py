"""What an operator revokes: it holds on every worker within a second, and nothing else is refused."""

import asyncio
import logging
from types import SimpleNamespace

import pytest

from dpop_asgi import (
    AccessToken,
    MemoryStore,
    NoncePolicy,
    ProofVerifier,
    Reason,
    Revocations,
    StoreError,
    StoreUnavailable,
)
from dpop_asgi.core.revoked import MOST_KEYS, MOST_SECONDS, Revoked
from dpop_asgi.testing import Client
from tests.support.decisions import CountingStore, Resource, incoming, settle
from tests.support.fenced_store import FencedStore, RevocableStore
from tests.support.proofs import URI

TAGS = ("aa", "bb", "cc", "dd")
BOARD = "dpop:revoked:v1"
# A worker that has just looked does not look again for so long; a proof takes up to the store's deadline besides.
SOON = 0.5
THUMBPRINT = "A" * 43


@pytest.fixture
def clock(clock):
    """At the start of a slot of a minute."""
    clock.now = 1_700_000_040.0
    return clock


@pytest.fixture(autouse=True)
def looks(monkeypatch, clock):
    """The clock that says when it is time to look at the store again."""
    monkeypatch.setattr("dpop_asgi.nonces.look.time", SimpleNamespace(monotonic=clock))


@pytest.fixture(params=["memory", "fenced", "cluster"])
def store(request, clock):
    kinds = {"memory": MemoryStore, "fenced": RevocableStore}
    return RevocableStore(clock, tags=TAGS) if request.param == "cluster" else kinds[request.param](clock=clock)


@pytest.fixture
def worker(clock, client, store):
    """Makes workers of one service."""
    return lambda **options: Resource(clock, client, **{"store": store, "nonces": NoncePolicy(), **options})


@pytest.fixture
def operator(clock, store):
    return Revocations(store, clock=clock)


async def nonce_of(resource, refusal=None):
    return await resource.authenticator.challenge_nonce(refusal)


async def challenged(resource, headers, reason):
    """The nonce that a client gets which is challenged with these."""
    refusal = await resource.refusal(headers)
    assert (refusal.code, refusal.reason) == ("use_dpop_nonce", reason)
    return await nonce_of(resource, refusal)


# Nonces


@pytest.mark.parametrize("pause", [SOON, 5.0, 3600.0], ids=["busy", "after a pause", "after an hour"])
async def test_older_proofs_die_on_all_workers_and_each_client_is_challenged_once(worker, operator, clock, pause):
    workers = [worker(nonces=NoncePolicy(period=7200.0)) for _ in range(3)]
    nonce = await nonce_of(workers[0])
    stolen = [[each.headers(nonce=nonce) for each in workers] for _ in range(3)]
    for each in workers:
        await each.accept(each.headers(nonce=nonce))
    await operator.revoke_nonces()
    clock.advance(pause)
    stolen = [each.headers(nonce=nonce) for each in workers] if pause > 200 else stolen[0]
    new = await challenged(workers[0], stolen[0], Reason.NONCE_REVOKED)
    assert new != nonce
    # Some of these have not looked yet.
    for each in workers * 2:
        await each.accept(each.headers(nonce=new))
    for each, headers in zip(workers, stolen, strict=True):
        await challenged(each, headers, Reason.NONCE_REVOKED)


async def test_a_worker_that_was_idle_does_not_issue_what_it_would_not_accept(worker, operator, clock):
    resource = worker()
    old = await nonce_of(resource)
    await operator.revoke_nonces()
    clock.advance(SOON)
    new = await nonce_of(resource)
    assert new != old
    await resource.accept(resource.headers(nonce=new))


async def test_a_client_stays_with_its_master_when_nonces_are_revoked(clock, client):
    store = RevocableStore(clock, tags=TAGS)
    resource = Resource(clock, client, store=store, nonces=NoncePolicy())
    nonces = {nonce[0]: nonce for nonce in [await nonce_of(resource) for _ in TAGS]}
    await Revocations(store, clock=clock).revoke_nonces()
    clock.advance(SOON)
    for first, nonce in nonces.items():
        assert (await challenged(resource, resource.headers(nonce=nonce), Reason.NONCE_REVOKED))[0] == first


async def test_nonces_that_were_revoked_do_not_come_back_with_an_incarnation_that_does(clock, client):
    store = RevocableStore(clock)
    resource = Resource(clock, client, store=store, nonces=NoncePolicy())
    of_one = await nonce_of(resource)
    await resource.accept(resource.headers(nonce=of_one))
    store.become("two")
    await resource.accept(
        resource.headers(nonce=await challenged(resource, resource.headers(nonce=of_one), Reason.NONCE_SUPERSEDED))
    )
    await Revocations(store, clock=clock).revoke_nonces()
    clock.advance(SOON)
    await nonce_of(resource)
    store.become("one")
    await challenged(resource, resource.headers(nonce=of_one), Reason.NONCE_REVOKED)


@pytest.mark.parametrize("fence", ["one", None], ids=["fence", "no fence"])
async def test_a_store_that_lost_the_generation_gets_it_back_from_a_worker(clock, client, fence, caplog):
    """With the old nonces still there: they must not be valid again."""
    store = RevocableStore(clock)
    store.become(fence)
    resource = Resource(clock, client, store=store, nonces=NoncePolicy())
    old = await nonce_of(resource)
    await Revocations(store, clock=clock).revoke_nonces()
    clock.advance(SOON)
    new = await nonce_of(resource)
    await store.replace(BOARD, "", ttl=0.001)
    for _ in range(3):
        clock.advance(2.0)
        await resource.accept(resource.headers(nonce=new))
        await settle()
        await challenged(resource, resource.headers(nonce=old), Reason.NONCE_REVOKED)
    late = Resource(clock, client, store=store, nonces=NoncePolicy())
    await late.accept(late.headers(nonce=new))


async def test_a_server_that_forgot_everything_is_told_again_by_a_worker(clock, client):
    store = RevocableStore(clock)
    resource = Resource(clock, client, store=store, nonces=NoncePolicy())
    await Revocations(store, clock=clock).revoke_key(client.thumbprint)
    assert await resource.reason(resource.headers(nonce=await nonce_of(resource))) is Reason.KEY_REVOKED
    store.become("two")
    clock.advance(SOON)
    assert await resource.reason(resource.headers(nonce=await nonce_of(resource))) is Reason.KEY_REVOKED
    assert client.thumbprint in await store.read(BOARD)
    assert (await Revocations(store, clock=clock).revoked_keys()).keys() == {client.thumbprint}


async def test_an_operator_whose_clock_is_behind_begins_a_later_generation(clock, store, worker):
    resource = worker()
    for skew in (0.0, -3600.0, 0.0):
        nonce = await nonce_of(resource)
        await Revocations(store, clock=lambda skew=skew: clock() + skew).revoke_nonces()
        clock.advance(SOON)
        await challenged(resource, resource.headers(nonce=nonce), Reason.NONCE_REVOKED)


# Keys


async def test_a_revoked_key_is_refused_on_all_workers_and_no_other(worker, operator, client, clock):
    workers, stolen_from = [worker(), worker(nonces=None)], client.thumbprint
    other = Client(clock=clock)
    for each in workers:
        each.tokens["other"] = AccessToken(key_thumbprint=other.thumbprint)
        await each.accept(each.headers(nonce=await nonce_of(each)))
    await operator.revoke_key(stolen_from, seconds=3600)
    clock.advance(SOON)
    for each in workers:
        refusal = await each.refusal(each.headers(nonce=await nonce_of(each)))
        assert (refusal.code, refusal.reason) == ("invalid_token", Reason.KEY_REVOKED)
        assert refusal.facts == {"key": stolen_from}
        await each.accept(other.headers("GET", URI, "other", nonce=await nonce_of(each)))
    clock.advance(3601)
    for each in workers:
        await each.accept(each.headers(nonce=await nonce_of(each)))


async def test_the_undo_holds_as_soon(worker, operator, client, clock):
    resource = worker(nonces=None)
    await operator.revoke_key(client.thumbprint)
    assert await operator.revoked_keys() == {client.thumbprint: clock() + 86_400}
    assert await resource.reason() is Reason.KEY_REVOKED
    await operator.restore_key(client.thumbprint)
    assert await operator.revoked_keys() == {}
    clock.advance(SOON)
    await resource.accept()


@pytest.mark.parametrize("later", [1, 60, 172_800], ids=["a second", "a minute", "two days"])
async def test_a_key_that_is_revoked_again_is_never_rejected_for_less_time(operator, client, clock, later):
    until = clock() + 86_400
    await operator.revoke_key(client.thumbprint)
    clock.advance(30)
    await operator.revoke_key(client.thumbprint, seconds=later)
    assert await operator.revoked_keys() == {client.thumbprint: max(until, clock() + later)}


async def test_a_token_endpoint_refuses_the_key_of_a_proof(clock, client):
    store = MemoryStore(clock=clock)
    await Revocations(store, namespace="dpop-as", clock=clock).revoke_key(client.thumbprint)
    verifier = ProofVerifier(store=store, nonces=None, clock=clock)
    proof = client.proof("POST", "https://as.example/token")
    with pytest.raises(Exception, match="key_revoked") as refused:
        await verifier.verify(incoming({"DPoP": proof}, method="POST", target_uri="https://as.example/token"))
    assert (refused.value.code, refused.value.reason) == ("invalid_dpop_proof", Reason.KEY_REVOKED)


async def test_a_refused_key_leaves_nothing_in_the_store(clock, client):
    store = CountingStore(clock)
    resource = Resource(clock, client, store=store)
    await Revocations(store, clock=clock).revoke_key(client.thumbprint)
    # It is noticed when the proof is recorded, and known from then on.
    assert await resource.reason() is Reason.KEY_REVOKED
    store.calls.clear()
    assert [await resource.reason() for _ in range(3)] == [Reason.KEY_REVOKED] * 3
    assert store.calls == []


async def test_keys_are_revoked_one_after_the_other_when_several_operators_do_it(clock, store):
    thumbprints = [Client().thumbprint for _ in range(5)]
    operators = [Revocations(store, clock=clock) for _ in thumbprints]
    done = asyncio.gather(*(one.revoke_key(key) for one, key in zip(operators, thumbprints, strict=True)))
    while not done.done():
        await asyncio.sleep(0.01)
        clock.advance(0.01)  # locks expire
    assert (await operators[0].revoked_keys()).keys() == set(thumbprints)


async def test_their_number_is_bounded_and_past_ones_do_not_count(clock, operator):
    now = clock()
    full = Revoked(changed=1, keys={f"{number:042}A": int(now) + 60 for number in range(MOST_KEYS)})
    assert len(str(full)) < 2**16
    for board in operator._boards:
        await board.change(lambda _: full)
    with pytest.raises(ValueError, match=r"^thumbprint: must be one of at most 500"):
        await operator.revoke_key(THUMBPRINT)
    clock.advance(61)
    await operator.revoke_key(THUMBPRINT)
    assert (await operator.revoked_keys()).keys() == {THUMBPRINT}


@pytest.mark.parametrize(
    ("thumbprint", "seconds", "option"),
    [
        ("A" * 42, 60, "thumbprint"),
        ("A" * 42 + "B", 60, "thumbprint"),
        (f"{THUMBPRINT} x", 60, "thumbprint"),
        (THUMBPRINT, 0, "seconds"),
        (THUMBPRINT, float("nan"), "seconds"),
        (THUMBPRINT, MOST_SECONDS + 1, "seconds"),
    ],
)
async def test_what_cannot_be_revoked_is_said(operator, thumbprint, seconds, option):
    with pytest.raises(ValueError, match=f"^{option}: must be "):
        await operator.revoke_key(thumbprint, seconds=seconds)


# The store


async def test_a_proof_is_not_accepted_while_revocations_cannot_be_read(clock, client, monkeypatch):
    store = RevocableStore(clock)
    resource = Resource(clock, client, store=store, nonces=NoncePolicy())
    nonce = await nonce_of(resource)

    async def read(_key):
        raise StoreError("garbage")

    monkeypatch.setattr(store, "read", read)
    clock.advance(SOON)
    with pytest.raises(StoreError, match="garbage"):
        await resource.accept(resource.headers(nonce=nonce))
    assert await nonce_of(resource) == nonce


async def test_a_used_proof_is_rejected_where_revocations_cannot_be_read(clock, client, monkeypatch):
    """Whatever `on_store_failure` says: the store has said that it was used. A new one is recorded."""
    store = RevocableStore(clock)
    resource = Resource(clock, client, store=store, nonces=NoncePolicy(), on_store_failure="accept")
    used, new = [resource.headers(nonce=await nonce_of(resource)) for _ in range(2)]
    await resource.accept(used)
    clock.advance(SOON)

    async def read(_key):
        raise StoreUnavailable("not tried")

    monkeypatch.setattr(store, "read", read)
    assert await resource.reason(used) is Reason.PROOF_REPLAYED
    assert (await resource.accept(new)).replay_checked
    assert await resource.reason(new) is Reason.PROOF_REPLAYED


async def test_the_first_proof_after_an_outage_is_accepted(clock, client, monkeypatch):
    """A circuit breaker lets one call through, and that is the one that records the proof."""
    store = RevocableStore(clock)
    resource = Resource(clock, client, store=store, nonces=NoncePolicy())
    nonce, failures = await nonce_of(resource), [StoreUnavailable("not tried")]
    read = store.read

    async def first_fails(key):
        if failures:
            raise failures.pop()
        return await read(key)

    monkeypatch.setattr(store, "read", first_fails)
    clock.advance(SOON)
    await resource.accept(resource.headers(nonce=nonce))
    assert not failures


@pytest.mark.parametrize("text", ["x", "1 -", "1 - A:1", f"1 - {THUMBPRINT}:x", "1", "1 zz-000000"])
async def test_what_others_wrote_there_is_not_taken_for_nothing(clock, client, text):
    store = MemoryStore(clock=clock)
    await store.replace(BOARD, text, ttl=60.0)
    resource = Resource(clock, client, store=store)
    if text == "1 -":
        await resource.accept()
        return
    with pytest.raises(StoreError, match="does another program use this namespace"):
        await resource.accept()


async def test_while_the_store_is_away_what_is_known_holds_where_proofs_are_accepted_unrecorded(clock, client):
    store = RevocableStore(clock)
    resource = Resource(clock, client, store=store, nonces=NoncePolicy(), on_store_failure="accept")
    nonce = await nonce_of(resource)
    store.away = {""}
    clock.advance(SOON)
    store.put_if_absent = _away
    assert not (await resource.accept(resource.headers(nonce=nonce))).replay_checked
    del store.put_if_absent
    store.away = set()
    await Revocations(store, clock=clock).revoke_key(client.thumbprint)
    clock.advance(SOON)
    assert await resource.reason(resource.headers(nonce=nonce)) is Reason.KEY_REVOKED
    store.away = {""}
    clock.advance(2 * SOON)
    assert await resource.reason(resource.headers(nonce=await nonce_of(resource))) is Reason.KEY_REVOKED


async def _away(*_arguments, **_options):
    raise StoreUnavailable("the server is away")


async def test_it_is_read_four_times_a_second_at_most_however_many_proofs_are_recorded(clock, client):
    store = RevocableStore(clock)
    resource = Resource(clock, client, store=store, nonces=NoncePolicy())
    nonce = await nonce_of(resource)
    store.reads = 0
    for _ in range(100):
        clock.advance(0.01)
        await asyncio.gather(*(resource.accept(resource.headers(nonce=nonce)) for _ in range(3)))
    assert 3 <= store.reads <= 4


async def test_a_change_is_told_once_for_all_hash_tags(clock, client, caplog):
    store = RevocableStore(clock, tags=TAGS)
    resource = Resource(clock, client, store=store, nonces=NoncePolicy())
    await resource.authenticator.ready()
    await Revocations(store, clock=clock).revoke_nonces()
    await Revocations(store, clock=clock).revoke_key(THUMBPRINT)
    clock.advance(SOON)
    with caplog.at_level(logging.WARNING, "dpop_asgi"):
        for _ in TAGS:
            await nonce_of(resource)
    assert [record.message for record in caplog.records] == [
        "revocation: all earlier nonces are revoked; clients are challenged for a new one",
        "revocation: 1 keys are revoked",
    ]


async def test_what_was_revoked_before_the_start_is_not_told_with_a_later_change(worker, operator, clock, caplog):
    await operator.revoke_nonces()
    resource = worker()
    await resource.authenticator.ready()
    await nonce_of(resource)
    await operator.revoke_key(THUMBPRINT)
    clock.advance(SOON)
    for _ in TAGS:
        await nonce_of(resource)
    told = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert told == ["revocation: 1 keys are revoked"]


async def test_a_change_is_told_where_another_tag_is_read_for_the_first_time_after_it(clock, client, caplog):
    store = RevocableStore(clock, tags=TAGS[:2])
    watches = Resource(clock, client, store=store, nonces=NoncePolicy()).authenticator._recorder._watches
    one, other = watches.by_tag.values()
    await one.read()
    await Revocations(store, clock=clock).revoke_key(THUMBPRINT)
    for watch in (other, one):
        await watch.read()
    assert [record.message for record in caplog.records] == ["revocation: 1 keys are revoked"]


async def test_a_key_may_be_revoked_for_less_than_a_second(operator, clock):
    await operator.revoke_key(THUMBPRINT, seconds=0.3)
    assert clock() + 0.3 <= (await operator.revoked_keys())[THUMBPRINT] <= clock() + 1.0


async def test_a_master_that_is_away_does_not_keep_the_others_from_being_told(clock, client):
    store = RevocableStore(clock, tags=TAGS)
    store.away = {"bb"}
    with pytest.raises(StoreError, match="not revoked on all masters, do it again"):
        await Revocations(store, clock=clock).revoke_key(client.thumbprint)
    assert [client.thumbprint in await store.read(f"dpop:revoked{{{tag}}}:v1") for tag in ("aa", "cc", "dd")] == [
        True
    ] * 3


async def test_workers_of_a_cluster_whose_fence_is_off_are_told_too(clock):
    store = RevocableStore(clock, tags=TAGS)
    await Revocations(store, clock=clock).revoke_key(THUMBPRINT)
    assert THUMBPRINT in await store.read(BOARD)


def test_a_store_whose_values_cannot_be_replaced_is_refused_by_name(clock):
    with pytest.raises(ValueError, match=r"^store: must be one whose values can be replaced"):
        Revocations(FencedStore(clock))
