"""The fence: a proof is accepted only if the reply that recorded it came from the incarnation of its nonce."""

import asyncio
import re
from types import SimpleNamespace

import pytest

from dpop_asgi import InvalidToken, NoncePolicy, Reason, StoreError
from dpop_asgi.errors import Superseded
from dpop_asgi.testing import Client
from tests.support.decisions import Resource, settle
from tests.support.fenced_store import FencedStore, LateView
from tests.support.proofs import TOKEN, URI

PERIOD = 60.0
OURS = re.compile(r"[A-Za-z0-9_-]{22}")
TAGS = ("aa", "bb", "cc", "dd")
pytestmark = pytest.mark.usefixtures("start_of_a_slot")


@pytest.fixture
def looks(monkeypatch, clock):
    """The clock that says when it is time to look at the store again."""
    monkeypatch.setattr("dpop_asgi.nonces.look.time", SimpleNamespace(monotonic=clock))
    return clock


@pytest.fixture
def store(clock):
    return FencedStore(clock)


@pytest.fixture
def worker(clock, client, looks):
    """Makes workers of one service."""
    return lambda store, **options: Resource(clock, client, **{"store": store, "nonces": NoncePolicy(), **options})


async def nonce_of(resource):
    return await resource.authenticator.challenge_nonce()


# One store


def keys_of_nonces(store):
    return [key for key in store.keys if ":nonce:" in key]


async def test_a_store_that_forgot_is_noticed_by_the_very_call_that_records_a_proof(store, worker, looks):
    resource = worker(store)
    nonce = await nonce_of(resource)
    used = resource.headers(nonce=nonce)
    await resource.accept(used)
    store.become("two")
    assert await resource.reason(used) is Reason.NONCE_SUPERSEDED
    unknown = await resource.refusal(resource.headers(nonce="unknown"))
    for _ in range(20):
        refusal = await resource.refusal(resource.headers(nonce=nonce))
        assert refusal.reason is Reason.NONCE_SUPERSEDED
        assert (refusal.code, refusal.description) == ("use_dpop_nonce", unknown.description), "as of any nonce fault"
    assert store.asked[""] == 2, "nonces of the past make nobody look"
    renewed = await nonce_of(resource)
    assert renewed != nonce
    await resource.accept(resource.headers(nonce=renewed))
    assert await resource.reason(used) is Reason.NONCE_SUPERSEDED
    assert {key.rpartition(":")[2] for key in keys_of_nonces(store)} == {"one", "two"}
    assert all(key.startswith("dpop:nonce:v2:60:") for key in keys_of_nonces(store))


async def test_an_incarnation_that_comes_back_has_its_nonces_still(store, worker):
    """A master that was frozen, and is thawed."""
    resource = worker(store)
    nonce = await nonce_of(resource)
    used = resource.headers(nonce=nonce)
    await resource.accept(used)
    store.become("two")
    assert await resource.reason(resource.headers(nonce=nonce)) is Reason.NONCE_SUPERSEDED
    of_two = await nonce_of(resource)
    store.become("one")
    assert await resource.reason(resource.headers(nonce=of_two)) is Reason.NONCE_SUPERSEDED
    await resource.accept(resource.headers(nonce=nonce))
    assert await resource.reason(used) is Reason.PROOF_REPLAYED


async def test_challenges_of_an_outage_come_from_memory_and_the_first_request_after_it_is_challenged(store, worker):
    resource = worker(store)
    before = await nonce_of(resource)
    store.away = {""}
    assert await nonce_of(resource) == before
    with pytest.raises(StoreError):
        await resource.accept(resource.headers(nonce=before))
    store.away, store.now = set(), {"": "two"}
    assert await resource.reason(resource.headers(nonce=before)) is Reason.NONCE_SUPERSEDED
    await resource.accept(resource.headers(nonce=await nonce_of(resource)))


# Several workers


async def test_a_worker_that_has_not_noticed_yet_looks_when_it_meets_a_nonce_that_it_does_not_know(store, worker):
    late, early = worker(LateView(store)), worker(store)
    old = await nonce_of(early)
    assert await nonce_of(late) == old
    store.become("two")
    assert await early.reason(early.headers(nonce=old)) is Reason.NONCE_SUPERSEDED
    new = await nonce_of(early)
    await late.accept(late.headers(nonce=new))
    assert await nonce_of(late) == new


async def test_invented_nonces_make_a_worker_look_four_times_a_second_at_most(store, worker, looks):
    resource = worker(store)
    await nonce_of(resource)
    asked = store.asked[""]
    invented = [f"{number:022d}" for number in range(100)]
    assert all(map(OURS.fullmatch, invented))
    for _ in range(2):
        reasons = await asyncio.gather(*(resource.reason(resource.headers(nonce=nonce)) for nonce in invented))
        assert set(reasons) == {Reason.NONCE_UNKNOWN}
    # Those of the second time have waited, as the clock that says when it is time stands still, for a whole pause.
    assert store.asked[""] == asked + 2


async def test_a_worker_that_has_just_looked_waits_until_it_may_look_again(store, worker):
    """Not so: it would answer with its own old nonce, and send the client back to the worker that has noticed."""
    late, early = worker(LateView(store)), worker(store)
    old = await nonce_of(early)
    await late.accept(late.headers(nonce=old))
    assert await late.reason(late.headers(nonce="0" * 22)) is Reason.NONCE_UNKNOWN
    store.become("two")
    assert await early.reason(early.headers(nonce=old)) is Reason.NONCE_SUPERSEDED
    await late.accept(late.headers(nonce=await nonce_of(early)))


@pytest.mark.parametrize("nonce", [None, "unknown", "x" * 21, "x" * 24, "%" * 22, " " * 22], ids=repr)
async def test_a_nonce_that_cannot_be_of_another_worker_makes_nobody_look(store, worker, nonce):
    resource = worker(store)
    await nonce_of(resource)
    asked = store.asked[""]
    await resource.refusal(resource.headers(nonce=nonce))
    assert store.asked[""] == asked


@pytest.mark.parametrize("on_store_failure", ["refuse", "accept"])
async def test_a_look_without_an_answer_is_an_outage_where_the_store_is_required(store, worker, on_store_failure):
    resource = worker(store, on_store_failure=on_store_failure)
    await nonce_of(resource)
    store.away = {""}
    headers = resource.headers(nonce="0" * 22)
    if on_store_failure == "accept":
        assert await resource.reason(headers) is Reason.NONCE_UNKNOWN
    else:
        with pytest.raises(StoreError):
            await resource.accept(headers)


async def test_where_the_incarnation_cannot_be_known_nonces_are_agreed_without(store, worker):
    store.become(None)
    resource, other = worker(store), worker(store)
    await other.accept(other.headers(nonce=await nonce_of(resource)))
    assert all(key.startswith("dpop:nonce:v1:60:") for key in keys_of_nonces(store))


class _Silent(FencedStore):
    """Replies don't say which incarnation they came from, once it is another one."""

    async def put_if_absent(self, key, value, *, ttl, under=None):
        try:
            return await super().put_if_absent(key, value, ttl=ttl, under=under)
        except Superseded:
            raise Superseded(None) from None


async def test_an_incarnation_that_a_reply_does_not_name_is_looked_up(clock, worker):
    store = _Silent(clock)
    resource = worker(store)
    nonce = await nonce_of(resource)
    for incarnation in ("two", "three"):
        store.become(incarnation)
        assert await resource.reason(resource.headers(nonce=nonce)) is Reason.NONCE_SUPERSEDED
        nonce = await nonce_of(resource)
        used = resource.headers(nonce=nonce)
        await resource.accept(used)
    store.become("four")
    assert await resource.reason(used) is Reason.NONCE_SUPERSEDED


async def test_without_nonces_there_is_no_fence(store, worker):
    resource = worker(store, nonces=None)
    await resource.accept(resource.headers())
    store.become("two")
    await resource.accept(resource.headers())
    assert not store.asked


# A cluster: a nonce and the proofs that carry it are on one server


@pytest.fixture
def cluster(clock):
    return FencedStore(clock, tags=TAGS)


async def nonce_with(resource, tag):
    """A nonce of this tag: newcomers are spread over all."""
    nonces = [await nonce_of(resource) for _ in TAGS]
    return next(nonce for nonce in nonces if nonce[0] == tag[0])


@pytest.mark.parametrize("tag", TAGS)
async def test_a_proof_is_recorded_where_its_nonce_was_agreed(cluster, worker, tag):
    resource = worker(cluster)
    nonce = await nonce_with(resource, tag)
    await resource.accept(resource.headers(nonce=nonce))
    (key,) = [key for key in cluster.keys if ":jti" in key]
    assert cluster.tag_of(key) == tag
    assert len(key) == len("dpop:jti:v1:") + 16
    assert {cluster.tag_of(key) for key in cluster.keys if nonce[0] == tag[0] and f"{{{tag}}}" in key} == {tag}


async def test_a_failover_concerns_the_nonces_of_all_tags_of_its_master_and_no_others(cluster, worker):
    """So that a newcomer gets none of its old nonces."""
    resource = worker(cluster)
    nonces = {tag: await nonce_with(resource, tag) for tag in TAGS}
    cluster.become("two", "aa", "bb")
    for tag in ("cc", "dd"):
        await resource.accept(resource.headers(nonce=nonces[tag]))
    assert await resource.reason(resource.headers(nonce=nonces["aa"])) is Reason.NONCE_SUPERSEDED
    renewed = {tag: await nonce_with(resource, tag) for tag in TAGS}
    assert {tag for tag in TAGS if renewed[tag] != nonces[tag]} == {"aa", "bb"}
    for nonce in renewed.values():
        await resource.accept(resource.headers(nonce=nonce))


async def test_a_client_stays_with_its_tag(cluster, worker, clock):
    resource = worker(cluster)
    assert {(await nonce_of(resource))[0] for _ in TAGS} == {tag[0] for tag in TAGS}, "newcomers are spread over all"
    nonce = await nonce_with(resource, "cc")
    caller = await resource.accept(resource.headers(nonce=nonce))
    clock.advance(PERIOD)
    assert resource.authenticator.replacement_nonce(caller)[0] == "c"
    clock.advance(PERIOD)
    refusal = await resource.refusal(resource.headers(nonce=nonce))
    for _ in TAGS:
        assert (await resource.authenticator.challenge_nonce(refusal))[0] == "c"


async def test_a_fact_of_a_custom_rejection_is_no_tag(cluster, worker):
    rejection = InvalidToken(Reason.TOKEN_REJECTED, tag="beta")
    assert await worker(cluster).authenticator.challenge_nonce(rejection) is not None


async def test_another_tag_is_offered_only_while_the_server_of_its_own_is_unavailable(cluster, worker):
    resource = worker(cluster)
    nonce = await nonce_with(resource, "cc")
    cluster.away = {"cc"}
    with pytest.raises(StoreError):
        await resource.accept(resource.headers(nonce=nonce))
    refusal = await resource.refusal(resource.headers(nonce="c-no"))
    elsewhere = await resource.authenticator.challenge_nonce(refusal)
    assert elsewhere[0] != "c"
    await resource.accept(resource.headers(nonce=elsewhere))
    assert {(await nonce_of(resource))[0] for _ in range(20)} == {"a", "b", "d"}
    cluster.away = set()
    await resource.accept(resource.headers(nonce=nonce))
    assert (await resource.authenticator.challenge_nonce(refusal))[0] == "c"


async def test_a_cold_worker_hands_out_what_it_can_get_and_fetches_a_tag_that_it_has_not_yet_seen(cluster, worker):
    nonce, cold = await nonce_with(worker(cluster), "bb"), worker(cluster)
    cluster.away = {"aa", "bb", "cc"}
    assert {(await nonce_of(cold))[0] for _ in range(8)} == {"d"}
    cluster.away = set()
    await cold.accept(cold.headers(nonce=nonce))


async def test_switching_nonces_off_lets_no_used_proof_pass(cluster, worker):
    """Z12: the key of a proof does not depend on who judges it."""
    resource = worker(cluster)
    used = resource.headers(nonce=await nonce_with(resource, "bb"))
    await resource.accept(used)
    assert await worker(cluster, nonces=None).reason(used) is Reason.PROOF_REPLAYED


# Workers that do not agree


def _warnings(caplog, about):
    return [record.getMessage() for record in caplog.records if about in record.getMessage()]


@pytest.mark.parametrize(
    ("policy", "told"),
    [(NoncePolicy(period=30.0), ["period=60 ", "period=30 "]), (NoncePolicy(lookahead=3), None)],
    ids=["period", "lookahead"],
)
async def test_other_settings_of_another_worker_are_warned_of_once(clock, client, caplog, policy, told):
    """N09: in one namespace of one store."""
    one = Resource(clock, client, nonces=NoncePolicy())
    two = Resource(clock, client, nonces=policy, store=one.store)
    for _ in range(5):
        for worker in (one, two):
            await nonce_of(worker)
            await settle()
        clock.advance(PERIOD)
    if told is None:
        assert not caplog.records
    else:
        (warning,) = _warnings(caplog, "other settings")
        assert [part in warning for part in told] == [True, True]


@pytest.mark.requirement("R-9-03")
@pytest.mark.parametrize(
    "options", [{"store": None}, {"namespace": "other"}, {"nonces": NoncePolicy(period=30.0)}], ids=repr
)
async def test_a_client_that_two_workers_send_back_and_forth_is_warned_of(clock, client, caplog, options):
    """N09"""
    one = Resource(clock, client, nonces=NoncePolicy())
    two = Resource(clock, client, **{"store": one.store, "nonces": NoncePolicy(), **options})
    nonce = await nonce_of(one)
    for _ in range(5):
        clock.advance(5)
        for worker in (two, one):
            assert await worker.reason(worker.headers(nonce=nonce)) is Reason.NONCE_UNKNOWN
            nonce = await nonce_of(worker)
            clock.advance(PERIOD)
    assert _warnings(caplog, "another Redis, database, namespace or nonce period")
    assert nonce not in caplog.text


async def test_clients_that_come_back_with_old_nonces_are_not_warned_of(clock, client, caplog):
    resource = Resource(clock, client, nonces=NoncePolicy())
    for number in range(20):
        headers = Client(clock=clock).headers("GET", URI, TOKEN, nonce=f"old-{number}")
        assert await resource.reason(headers) is Reason.NONCE_UNKNOWN
    assert not caplog.records
