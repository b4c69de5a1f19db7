"""Bugs that other implementations had or have, one test each: proofs that were used, and the store that remembers them.

Above each test: who had it. "read" means that it stands in their code as read, without an issue that names it.

Not here: a write whose reply is lost, which a client library sends again and takes for a replay (redis-py):
`test_a_write_that_is_sent_again_after_a_lost_reply_stays_a_first_use` has it.
"""

import asyncio

import pytest

from dpop_asgi import MemoryStore, NoncePolicy, Reason, RedisStore
from dpop_asgi.core.private_key import PrivateKey
from tests.support.api import call, http_scope

JTI = {"jti": "the-one-jti"}


@pytest.fixture
async def two_hosts(make_api, redis_server):
    """Two processes of one service, as far as they know of one another."""
    stores = [RedisStore(redis_server.url, timeout=10.0) for _ in range(2)]
    yield [make_api(store=store) for store in stores]
    for store in stores:
        await store.aclose()


# dedalus-mcp (read): validator and cache made anew for each request. PRO-Robotech/kacho-iam #206: a cache that nobody
# asks. auth0 node-oauth2-jwt-bearer #215, AzureAD #3504: replay is the user's business, or off without notice.
async def test_a_replay_is_rejected_without_being_asked_for(api, store):
    assert await api.passes(claims=JTI)
    assert await api.reason(claims=JTI) is Reason.PROOF_REPLAYED
    assert len(store.proofs) == 2


@pytest.mark.parametrize("without", ["store", "verify_token"])
def test_neither_store_nor_verifier_can_be_left_out(api, without):
    parts = {"store": MemoryStore(), "verify_token": api.authenticator.verify_token}
    with pytest.raises(ValueError, match=without):
        type(api.authenticator)(**{**parts, without: None})


# giantswarm/mcp-oauth #389, spring-security #18120, writer/cerebro #936: each pod with a cache of its own.
async def test_a_proof_that_one_host_accepted_is_rejected_by_the_other(two_hosts):
    here, there = two_hosts
    fields = (await here.fields()).items()
    assert await here.passes(drop={"Authorization", "DPoP"}, also=fields)
    assert await there.reason(drop={"Authorization", "DPoP"}, also=fields) is Reason.PROOF_REPLAYED


# pydpop, Duende, node-oidc-provider, liboauth2, express-oauth2-dpop, swarmauri (read): looks, then writes.
async def test_of_copies_sent_to_two_hosts_at_once_one_passes(two_hosts):
    headers = [("host", "rs.example"), *(await two_hosts[0].fields()).items()]
    copies = [call(two_hosts[number % 2].app, http_scope(headers=headers)) for number in range(40)]
    assert sorted(answer.status for answer in await asyncio.gather(*copies)) == [200, *[401] * 39]


# atproto (read): `SET … GET` without `NX` puts the replay in the place of the first use, and starts its time anew.
async def test_a_replay_does_not_prolong_the_memory_of_the_first_use(two_hosts, redis_server):
    assert await two_hosts[0].passes(claims=JTI)
    with redis_server.client() as redis:
        (key,) = redis.keys("*:jti:*")
        redis.pexpire(key, 30_000)
        first = redis.get(key)
        assert await two_hosts[1].reason(claims=JTI) is Reason.PROOF_REPLAYED
        assert redis.get(key) == first
        assert redis.pttl(key) <= 30_000


# sourcebot #1395, keycloak #43505, attesto #18; atproto, node-oidc-provider, Community Solid Server,
# express-oauth2-dpop, swarmauri (read): the memory ends before the proof does, most of all for an `iat` ahead.
@pytest.mark.parametrize("nonces", [None, NoncePolicy(period=1000.0)], ids=["nonces-off", "nonces-on"])
@pytest.mark.parametrize("ahead", [-299, 0, 60])
async def test_a_proof_is_remembered_until_its_last_instant(make_api, clock, nonces, ahead):
    api = make_api(nonces=nonces)
    issued = clock.now + ahead
    fields = (await api.fields(claims={"iat": issued})).items()
    assert await api.passes(drop={"Authorization", "DPoP"}, also=fields)
    clock.now = issued + 300
    assert await api.reason(drop={"Authorization", "DPoP"}, also=fields) is Reason.PROOF_REPLAYED


# descope go-sdk #756, #757; atproto, liboauth2, Community Solid Server, Keycloak, huskarl, pydpop, dedalus-mcp (read):
# a request that is refused for something else spends the `jti`, and its correction is a replay.
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"claims": {**JTI, "ath": "x"}}, id="ath"),
        pytest.param({"claims": {**JTI, "htm": "PUT"}}, id="htm"),
        pytest.param({"claims": JTI, "nonce": None}, id="nonce"),
        pytest.param({"claims": JTI, "signed_by": PrivateKey.generate()}, id="signature"),
        pytest.param({"claims": JTI, "token": "not-a-token"}, id="token"),
    ],
)
async def test_a_rejected_request_does_not_spend_the_jti(api, store, fault):
    await api.reason(**fault)
    assert store.proofs == []
    assert await api.passes(claims=JTI)


# inji-certify #1000, draft-dpop #32, attesto #18: a `jti` that is known beforehand can be burned with another key.
async def test_no_client_can_spend_the_jti_of_another(api, other_client):
    theirs = api.issuer.access_token(other_client)
    assert await api.passes(client=other_client, token=theirs, claims=JTI)
    assert await api.passes(claims=JTI)


# better-auth #10039, #10799: the key of the memory held `htm` and `htu` as sent.
@pytest.mark.parametrize(
    "htu", ["https://rs.example/r?x=1", "https://rs.example/r#x", "HTTPS://RS.example:443/r", "https://rs.example/%72"]
)
async def test_a_proof_whose_htu_differs_only_in_the_query_or_spelling_is_a_replay(api, htu):
    assert await api.passes(claims=JTI)
    assert await api.reason(claims={**JTI, "htu": htu}) is Reason.PROOF_REPLAYED


async def test_a_proof_whose_htm_differs_is_a_replay(api):
    assert await api.passes(claims=JTI)
    assert await api.reason("POST", claims=JTI) is Reason.PROOF_REPLAYED


# swarmauri, liboauth2 (read): a write that failed counts as done. dedalus-mcp (read): `fail_open` lets anything in.
async def test_a_store_that_fails_lets_nobody_in(api, store):
    assert await api.passes()
    store.down = True
    assert (await api.ask()).status == 503
    assert len(api.inner.scopes) == 1


async def test_a_verifier_that_fails_lets_nobody_in(make_api):
    async def verify(_):
        raise KeyError("a bug of its own")

    api = make_api(verify_token=verify)
    with pytest.raises(KeyError):
        await api.ask()
    assert api.inner.scopes == []


# hono-dpop, Community Solid Server (read): a full cache forgets the oldest, which then can be replayed. pydpop,
# atproto (read): a store that grows without end.
async def test_a_full_store_neither_forgets_nor_grows(make_api, clock):
    small = MemoryStore(max_entries=9, clock=clock)
    api = make_api(store=small)
    first = (await api.fields()).items()
    assert await api.passes(drop={"Authorization", "DPoP"}, also=first)
    answers = [(await api.ask()).status for _ in range(9)]
    assert answers[-1] == 503
    assert await api.reason(drop={"Authorization", "DPoP"}, also=first) is Reason.PROOF_REPLAYED
    assert len(small._values) == 9


# pydpop, atproto (read); descope go-sdk #756: who may fill the memory, and with how much?
async def test_only_who_has_a_good_token_is_remembered_and_in_one_size(api, store, other_client):
    await api.reason(client=other_client)
    await api.reason(drop={"Authorization"})
    assert store.proofs == []
    for jti in ("j", "j" * 129, "j" * 4000):
        assert await api.passes(claims={"jti": jti})
    assert len({len(call.key) for call in store.proofs}) == 1
