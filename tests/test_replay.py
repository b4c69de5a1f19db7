"""A proof is used once: within its context, for as long as it could be accepted, however many try at once."""

import asyncio

import pytest

from dpop_asgi import AccessToken, MemoryStore, NoncePolicy, ProofPolicy, Reason, Refusal, StoreError
from dpop_asgi.core.encoding import b64url_decode
from tests.support.decisions import CountingStore, Resource
from tests.support.keys import unpadded
from tests.support.proofs import URI

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
OTHER_URI = "https://api.example.com/other"


@pytest.fixture
def resource(clock, client):
    return Resource(clock, client)


@pytest.mark.requirement("R-11.1-04", "R-7.3-01")
async def test_the_identical_request_is_rejected_the_second_time(resource):
    headers = resource.headers()
    await resource.accept(headers)
    for _ in range(3):
        refusal = await resource.refusal(headers)
        assert (refusal.reason, refusal.code) == (Reason.PROOF_REPLAYED, "invalid_dpop_proof")


@pytest.mark.requirement("R-11.1-04")
async def test_a_new_proof_with_an_old_jti_is_rejected(resource, clock):
    await resource.accept(resource.headers(claims={"jti": "one"}))
    clock.advance(5)
    assert await resource.reason(resource.headers(claims={"jti": "one"})) is Reason.PROOF_REPLAYED
    assert await resource.reason(resource.headers(claims={"jti": "one", "more": 1})) is Reason.PROOF_REPLAYED


@pytest.mark.requirement("R-11.1-04")
async def test_of_fifty_copies_at_once_exactly_one_passes(resource):
    headers = resource.headers()
    results = await asyncio.gather(*(resource.accept(headers) for _ in range(50)), return_exceptions=True)
    refused = [result for result in results if isinstance(result, Refusal)]
    assert {refusal.reason for refusal in refused} == {Reason.PROOF_REPLAYED}
    assert len(refused) == 49


@pytest.mark.requirement("H-07", "R-11.1-04")
async def test_the_mirrored_signature_of_a_used_proof_is_no_new_proof(resource):
    headers = resource.headers()
    signing_input, _, signature = headers["DPoP"].rpartition(".")
    raw = b64url_decode(signature.encode())
    mirrored = raw[:32] + (P256_ORDER - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")
    await resource.accept(headers)
    copy = headers | {"DPoP": f"{signing_input}.{unpadded(mirrored)}"}
    assert copy != headers
    assert await resource.reason(copy) is Reason.PROOF_REPLAYED


@pytest.mark.requirement("R-11.1-05")
async def test_the_same_jti_passes_at_another_uri(resource):
    await resource.accept(resource.headers(claims={"jti": "one"}))
    await resource.accept(resource.headers(uri=OTHER_URI, claims={"jti": "one"}), target_uri=OTHER_URI)


@pytest.mark.requirement("R-11.1-05")
async def test_the_same_jti_passes_from_another_key(resource, other_client):
    resource.tokens["theirs"] = AccessToken(key_thumbprint=other_client.thumbprint)
    await resource.accept(resource.headers(claims={"jti": "one"}))
    await resource.accept(other_client.headers("GET", URI, "theirs", claims={"jti": "one"}))


@pytest.mark.requirement("R-11.1-05")
@pytest.mark.parametrize(
    "variant",
    [
        pytest.param("HTTPS://API.EXAMPLE.COM/orders", id="case"),
        pytest.param("https://api.example.com:443/orders", id="port"),
        pytest.param("https://api.example.com/%6Frders", id="escape"),
        pytest.param("https://api.example.com/orders?x=1#y", id="query"),
    ],
)
async def test_another_spelling_of_the_uri_is_the_same_context(resource, variant):
    await resource.accept(resource.headers(claims={"jti": "one"}))
    headers = resource.headers(uri=variant, claims={"jti": "one"})
    assert await resource.reason(headers, target_uri=variant) is Reason.PROOF_REPLAYED


@pytest.mark.requirement("R-11.1-04")
async def test_another_method_does_not_make_a_jti_new(resource):
    await resource.accept(resource.headers(claims={"jti": "one"}))
    headers = resource.headers(method="POST", claims={"jti": "one"})
    assert await resource.reason(headers, method="POST") is Reason.PROOF_REPLAYED


@pytest.mark.requirement("R-11.1-06")
@pytest.mark.parametrize("ahead", [0, 30, 60, -200, -299])
async def test_a_proof_stays_used_until_it_is_too_old(resource, clock, ahead):
    issued = clock.now + ahead
    headers = resource.headers(claims={"iat": issued})
    await resource.accept(headers)
    for age in (299.5, 300.0):
        clock.now = issued + age
        assert await resource.reason(headers) is Reason.PROOF_REPLAYED
    clock.now = issued + 300.001
    assert await resource.reason(headers) is Reason.ISSUED_TOO_EARLY


@pytest.mark.requirement("R-11.1-06")
@pytest.mark.parametrize(
    ("claims", "seconds"),
    [
        pytest.param({}, 300, id="now"),
        pytest.param({"iat": 60}, 360, id="from-the-future"),
        pytest.param({"iat": -100}, 200, id="older"),
        pytest.param({"iat": -300}, 0, id="at-its-last-instant"),
        pytest.param({"exp": 100}, 300, id="with-exp"),
    ],
)
async def test_the_entry_lives_ten_seconds_longer_than_the_proof(resource, clock, claims, seconds):
    await resource.accept(resource.headers(claims={name: clock.now + offset for name, offset in claims.items()}))
    (call,) = resource.store.proofs
    assert call.ttl == pytest.approx(seconds + 10)


@pytest.mark.requirement("R-11.1-06")
async def test_a_proof_stays_used_for_a_host_whose_clock_is_ten_seconds_behind(resource, clock):
    issued = clock.now
    headers = resource.headers(claims={"iat": issued})
    await resource.accept(headers)
    resource.store._clock = lambda: clock.now + 9.999
    clock.now = issued + 299.999
    assert await resource.reason(headers) is Reason.PROOF_REPLAYED


LIVES = [
    pytest.param(NoncePolicy(), ProofPolicy(), {}, 300, id="default"),
    pytest.param(None, ProofPolicy(), {}, 300, id="without nonces"),
    pytest.param(NoncePolicy(), ProofPolicy(max_age=30), {}, 300, id="stricter than the default"),
    pytest.param(NoncePolicy(), ProofPolicy(max_age=3600), {}, 3600, id="looser than the default"),
    pytest.param(NoncePolicy(), ProofPolicy(max_age=30), {"remember_for": 900}, 900, id="before a loosening"),
    pytest.param(NoncePolicy(), ProofPolicy(max_age=30), {"remember_for": 0}, 30, id="no longer than needed"),
]


@pytest.mark.requirement("R-11.1-06")
@pytest.mark.parametrize(("nonces", "policy", "options", "seconds"), LIVES)
async def test_the_entry_lives_as_long_as_any_policy_could_accept_the_proof(
    clock, client, nonces, policy, options, seconds
):
    """Z12"""
    resource = Resource(clock, client, nonces=nonces, proof_policy=policy, **options)
    await resource.accept(resource.headers(nonce=await resource.authenticator.challenge_nonce()))
    (call,) = resource.store.proofs
    assert call.ttl == pytest.approx(seconds + 10)


LOOSENED = [
    pytest.param({"nonces": None}, id="nonces off"),
    pytest.param({"nonces": NoncePolicy(grace=4)}, id="grace"),
    pytest.param({"nonces": None, "proof_policy": ProofPolicy()}, id="max_age"),
]


@pytest.mark.requirement("R-11.1-06")
@pytest.mark.parametrize("options", LOOSENED)
async def test_a_used_proof_stays_used_when_a_policy_is_loosened(clock, client, options):
    """Z12: a rolling change, on one store."""
    strict = Resource(clock, client, nonces=NoncePolicy(), proof_policy=ProofPolicy(max_age=60))
    headers = strict.headers(nonce=await strict.authenticator.challenge_nonce())
    await strict.accept(headers)
    loose = Resource(clock, client, store=strict.store, **options)
    await loose.authenticator.challenge_nonce()
    for _ in range(31):
        assert await loose.reason(headers) is not None
        clock.advance(10)


@pytest.mark.requirement("R-11.1-07")
@pytest.mark.parametrize("size", [1, 36, 256, 1000, 5000])
async def test_an_entry_has_one_size_whatever_the_jti(resource, size):
    await resource.accept(resource.headers(claims={"jti": "x" * size}))
    (call,) = resource.store.proofs
    assert call.key.startswith("dpop:jti:v1:")
    assert (len(call.key), len(call.value)) == (len("dpop:jti:v1:") + 16, 12)
    assert call.key.isascii()


@pytest.mark.requirement("R-11.1-07")
@pytest.mark.parametrize("jti", ["a:b", "a\nb", "a\0b", "naïve ☃", "\ud800", "{x}", "*", " a "], ids=ascii)
async def test_any_jti_is_used_once(resource, jti):
    headers = resource.headers(claims={"jti": jti})
    await resource.accept(headers)
    assert await resource.reason(headers) is Reason.PROOF_REPLAYED
    assert resource.store.proofs[0].key.isascii()


async def test_jtis_that_differ_a_little_are_different(resource):
    for jti in ("a", "A", "a ", " a", "a\0", "\0a", "a\n", "å", "a\u030a"):
        await resource.accept(resource.headers(claims={"jti": jti}))


async def test_a_full_store_rejects_and_forgets_nothing(clock, client):
    resource = Resource(clock, client, store=MemoryStore(max_entries=1, clock=clock))
    headers = resource.headers()
    await resource.accept(headers)
    with pytest.raises(StoreError):
        await resource.accept(resource.headers())
    assert await resource.reason(headers) is Reason.PROOF_REPLAYED


@pytest.mark.requirement("R-11.1-05")
async def test_workers_that_share_a_store_share_the_memory(clock, client):
    store = CountingStore(clock)
    one, two = Resource(clock, client, store=store), Resource(clock, client, store=store)
    headers = one.headers()
    await one.accept(headers)
    assert await two.reason(headers) is Reason.PROOF_REPLAYED
    elsewhere = Resource(clock, client, store=store, namespace="elsewhere")
    await elsewhere.accept(headers)


async def test_two_access_tokens_of_one_key_share_their_jtis(resource, client):
    resource.tokens["second"] = AccessToken(key_thumbprint=client.thumbprint)
    await resource.accept(resource.headers(claims={"jti": "one"}))
    assert await resource.reason(resource.headers("second", claims={"jti": "one"})) is Reason.PROOF_REPLAYED
