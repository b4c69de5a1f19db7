"""The decision: who passes, what is written, who is told, and what happens when store or issuer are away."""

import asyncio

import pytest

from dpop_asgi import AccessToken, MemoryStore, NoncePolicy, Reason, StoreError
from tests.support.decisions import CountingStore, Resource, settle
from tests.support.fenced_store import RevocableStore
from tests.support.proofs import TOKEN, URI


@pytest.fixture
def resource(clock, client):
    return Resource(clock, client)


@pytest.mark.requirement("R-4.3-19", "R-9-01")
async def test_a_correct_request_passes_and_writes_once(resource, client):
    resource.tokens[TOKEN] = AccessToken(
        subject="alice",
        client_id="app",
        scopes=frozenset({"a"}),
        claims={"x": 1},
        key_thumbprint=client.thumbprint,
        expires_at=2_000_000_000.0,
    )
    caller = await resource.accept()
    assert (caller.subject, caller.client_id, caller.scopes, caller.claims) == ("alice", "app", {"a"}, {"x": 1})
    assert (caller.key_thumbprint, caller.token_expires_at) == (client.thumbprint, 2_000_000_000.0)
    assert (caller.nonce, caller.nonce_age) == (None, None)
    assert (caller.is_authenticated, caller.display_name, caller.identity) == (True, "alice", "alice")
    assert caller.proof_claims["htu"] == URI
    assert caller.proof_claims["jti"] not in repr(caller)
    assert len(resource.store.calls) == len(resource.store.proofs) == 1


async def test_a_caller_cannot_change_what_is_remembered_of_the_token(resource, client):
    resource.tokens[TOKEN] = AccessToken(claims={"roles": ["reader"]}, key_thumbprint=client.thumbprint)
    (await resource.accept()).claims["roles"].append("admin")
    assert (await resource.accept()).claims == {"roles": ["reader"]}


@pytest.mark.requirement("R-7.2-02", "R-8705-01")
@pytest.mark.parametrize("confirmation", [{"jkt": "x"}, {"x5t#S256": "x"}, {}, None], ids=repr)
async def test_a_binding_that_only_the_claims_know_of_is_none_that_passes_as_bearer(clock, client, confirmation):
    resource = Resource(clock, client, mode="mixed")
    resource.tokens[TOKEN] = AccessToken(claims={"cnf": confirmation})
    assert await resource.reason({"Authorization": f"Bearer {TOKEN}"}) is Reason.BOUND_TOKEN_AS_BEARER
    assert await resource.reason() is Reason.BINDING_MISSING


async def test_a_proof_that_expires_while_the_issuer_is_asked_is_rejected(clock, client):
    async def verify(_):
        clock.advance(10)
        return AccessToken(key_thumbprint=client.thumbprint)

    resource = Resource(clock, client, verify_token=verify)
    await resource.accept(resource.headers(claims={"iat": clock.now - 290}))
    (call,) = resource.store.proofs
    assert call.ttl == pytest.approx(10)
    assert await resource.reason(resource.headers(claims={"iat": clock.now - 291})) is Reason.ISSUED_TOO_EARLY
    assert len(resource.store.proofs) == 1


async def test_a_nonce_that_expires_while_the_issuer_is_asked_is_rejected(clock, client):
    async def verify(_):
        clock.advance(121)
        return AccessToken(key_thumbprint=client.thumbprint)

    resource = Resource(clock, client, verify_token=verify, nonces=NoncePolicy())
    nonce = await resource.authenticator.challenge_nonce()
    assert await resource.reason(resource.headers(nonce=nonce)) is Reason.NONCE_EXPIRED
    assert resource.store.proofs == []


# The observer


async def test_an_observer_that_turns_out_to_be_async_is_complained_about_once(clock, client, caplog):
    """Y07: where it cannot be seen before. With warnings as errors, a coroutine left over would fail the test."""

    async def observe(_):
        """Never run."""

    resource = Resource(clock, client, observer=lambda decision: observe(decision))  # noqa: PLW0108
    for _ in range(2):
        await resource.accept()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert caplog.records[0].message.startswith("observer: must not be async")


async def test_an_observer_that_raises_changes_nothing(clock, client, caplog):
    def observe(_):
        raise ZeroDivisionError

    resource = Resource(clock, client, observer=observe)
    assert (await resource.accept()).subject == "alice"
    assert await resource.reason({}) is Reason.AUTHORIZATION_MISSING
    assert [record.message for record in caplog.records] == ["the observer failed"] * 2


async def test_a_request_that_is_cancelled_is_no_decision(clock, client):
    async def verify(_):
        await asyncio.Event().wait()

    decisions = []
    resource = Resource(clock, client, verify_token=verify, observer=decisions.append)
    task = asyncio.ensure_future(resource.accept())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert decisions == resource.store.calls == []


# The store is away


async def test_by_default_nobody_passes_without_being_remembered(clock, client):
    decisions = []
    resource = Resource(clock, client, store=CountingStore(clock, down=True), observer=decisions.append)
    with pytest.raises(StoreError):
        await resource.accept()
    resource.store.down = False
    await resource.accept()
    told = [(decision.outcome, decision.reason, decision.unavailable) for decision in decisions]
    assert told == [("unavailable", None, "store"), ("accepted", None, None)]


async def test_accept_lets_a_proof_pass_unremembered_and_says_so_once(clock, client, caplog):
    decisions = []
    resource = Resource(clock, client, nonces=NoncePolicy(), on_store_failure="accept", observer=decisions.append)
    nonce = await resource.authenticator.challenge_nonce()
    resource.store.down = True
    headers = resource.headers(nonce=nonce)
    await resource.accept(headers)
    await resource.accept(headers)
    resource.store.down = False
    await resource.accept(headers)
    assert await resource.reason(headers) is Reason.PROOF_REPLAYED
    assert [decision.replay_checked for decision in decisions] == [False, False, True, True]
    assert len(caplog.records) == 2


async def test_accept_is_for_a_store_that_was_seen_to_be_unavailable_only(clock, client):
    """Z02: whoever fills the store, or keeps us too busy to hear it, must not be able to use a proof again."""
    policy = NoncePolicy()
    store = MemoryStore(max_entries=policy.grace + policy.lookahead + 1, clock=clock)
    resource = Resource(clock, client, store=store, nonces=policy, on_store_failure="accept")
    headers = resource.headers(nonce=await resource.authenticator.challenge_nonce())
    with pytest.raises(StoreError, match="full"):
        await resource.accept(headers)


@pytest.mark.requirement("R-9-08")
async def test_accept_still_asks_everything_else(clock, client):
    resource = Resource(clock, client, nonces=NoncePolicy(), on_store_failure="accept")
    nonce = await resource.authenticator.challenge_nonce()
    resource.store.down = True
    assert await resource.reason(resource.headers()) is Reason.NONCE_MISSING
    assert await resource.reason(resource.headers(nonce=nonce, claims={"ath": "x"})) is Reason.TOKEN_HASH_MISMATCH
    cold = Resource(clock, client, nonces=NoncePolicy(), on_store_failure="accept", store=resource.store)
    with pytest.raises(StoreError):
        await cold.accept(cold.headers(nonce=nonce))


@pytest.mark.parametrize("nonces", [None, NoncePolicy()], ids=["without-nonces", "with-nonces"])
async def test_readiness_asks_the_store_and_every_key_starts_with_the_namespace(clock, client, nonces):
    resource = Resource(clock, client, nonces=nonces, namespace="mine")
    await resource.authenticator.ready()
    assert "mine:ready:v1" in [call.key for call in resource.store.calls]
    await resource.accept(resource.headers(nonce=await resource.authenticator.challenge_nonce()))
    assert {call.key.split(":")[0] for call in resource.store.calls} == {"mine"}
    resource.store.down = True
    with pytest.raises(StoreError):
        await resource.authenticator.ready()


# A request that an outer instance has accepted: everything is asked again but nonce and first use


@pytest.fixture
def outer(clock, client):
    return Resource(clock, client, nonces=NoncePolicy())


@pytest.fixture
def inner(clock, client, outer):
    return Resource(clock, client, nonces=NoncePolicy(), namespace="inner", store=outer.store)


async def test_an_inner_authenticator_asks_for_all_but_nonce_and_first_use(outer, inner):
    headers = outer.headers(nonce=await outer.authenticator.challenge_nonce())
    caller = await outer.accept(headers)
    before = len(outer.store.calls)
    assert (await inner.accept(headers, outer_caller=caller)).subject == "alice"
    elsewhere = "https://api.example.com/elsewhere"
    assert await inner.reason(headers, outer_caller=caller, target_uri=elsewhere) is Reason.TARGET_MISMATCH
    spoiled = {**headers, "DPoP": headers["DPoP"][:-6] + "AAAAAA"}
    assert await inner.reason(spoiled, outer_caller=caller) is Reason.SIGNATURE_INVALID
    inner.tokens.clear()
    assert await inner.reason(headers, outer_caller=caller) is Reason.TOKEN_REJECTED
    inner.tokens[TOKEN] = AccessToken()
    assert await inner.reason(headers, outer_caller=caller) is Reason.BINDING_MISSING
    assert len(outer.store.calls) == before
    assert await inner.reason(headers) is Reason.NONCE_UNKNOWN, "not accepted before"


async def test_a_proof_beside_a_bearer_token_that_passed_outside_was_never_used(clock, client):
    outer = Resource(clock, client, mode="mixed")
    outer.tokens[TOKEN] = AccessToken(subject="alice")
    caller = await outer.accept({"Authorization": f"Bearer {TOKEN}"})
    inner = Resource(clock, client, store=outer.store)
    headers = inner.headers()
    await inner.accept(headers, outer_caller=caller)
    assert await inner.reason(headers, outer_caller=caller) is Reason.PROOF_REPLAYED


class Closing(RevocableStore):
    """One that takes a few turns of the event loop for each call, and notes what it is called for once it is closed."""

    closed = False

    def __init__(self, clock):
        super().__init__(clock)
        self.late = []

    async def _taking_turns(self, call, key, *arguments, **options):
        for _ in range(3):
            self.late += [key] * self.closed
            await asyncio.sleep(0)
        return await call(key, *arguments, **options)

    async def put_if_absent(self, key, value, *, ttl, under=None):
        return await self._taking_turns(super().put_if_absent, key, value, ttl=ttl, under=under)

    async def incarnation(self, key):
        return await self._taking_turns(super().incarnation, key)

    async def read(self, key):
        return await self._taking_turns(super().read, key)

    async def aclose(self):
        self.closed = True


UNDER_WAY = [
    pytest.param(False, "x" * 22, id="nonces are fetched, settings compared"),
    pytest.param(True, "x" * 22, id="a look at the store"),
    pytest.param(True, None, id="what is revoked is read"),
]


async def _requests(clock, client, number, is_warm, nonce):
    """The authenticator, and requests that have just begun to wait for its store."""
    resource = Resource(clock, client, store=Closing(clock), nonces=NoncePolicy())
    if is_warm:
        newest = await resource.authenticator.challenge_nonce()
        await settle()
        clock.advance(0.3)
        nonce = nonce or newest
    requests = [asyncio.create_task(resource.accept(resource.headers(nonce=nonce))) for _ in range(number)]
    await asyncio.sleep(0)
    return resource, requests


@pytest.mark.parametrize(("is_warm", "nonce"), UNDER_WAY)
async def test_what_nobody_waits_for_any_longer_ends_before_the_store_is_closed(clock, client, is_warm, nonce):
    resource, (gone,) = await _requests(clock, client, 1, is_warm, nonce)
    gone.cancel()
    await resource.authenticator.aclose()
    await settle()
    assert resource.store.late == []


async def test_a_store_that_hangs_is_closed_all_the_same(clock, client, monkeypatch):
    monkeypatch.setattr("dpop_asgi.proof_state._LONGEST_WAIT_SECONDS", 0.01)
    resource = Resource(clock, client, store=Closing(clock), nonces=NoncePolicy())
    resource.store.put_if_absent = lambda *_, **__: asyncio.Event().wait()
    request = asyncio.create_task(resource.accept())
    await asyncio.sleep(0)
    async with asyncio.timeout(60.0):
        await resource.authenticator.aclose()
    assert resource.store.closed
    request.cancel()


@pytest.mark.parametrize(("is_warm", "nonce"), UNDER_WAY)
async def test_who_shares_an_authenticator_goes_on_while_another_app_shuts_down(clock, client, is_warm, nonce):
    resource, requests = await _requests(clock, client, 2, is_warm, nonce)
    requests[0].cancel()
    await resource.authenticator.aclose()
    await asyncio.wait(requests)
    assert [request.cancelled() for request in requests] == [True, False]
    if nonce is None:
        assert requests[1].result().replay_checked
    else:
        assert requests[1].exception().reason is Reason.NONCE_UNKNOWN
