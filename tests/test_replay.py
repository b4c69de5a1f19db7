"""A proof is used once: within its context, for as long as it could be accepted, however many try at once."""

import asyncio

import pytest

from dpop_asgi import AccessToken, MemoryStore, NoncePolicy, ProofPolicy, Reason, Refusal, StoreError
from dpop_asgi.core.encoding import b64url_decode
from tests.support.decisions import Resource
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
async def test_the_same_jti_passes_from_another_key(resource, other_client):
    """And at another URI."""
    resource.tokens["theirs"] = AccessToken(key_thumbprint=other_client.thumbprint)
    await resource.accept(resource.headers(claims={"jti": "one"}))
    await resource.accept(other_client.headers("GET", URI, "theirs", claims={"jti": "one"}))
    await resource.accept(resource.headers(uri=OTHER_URI, claims={"jti": "one"}), target_uri=OTHER_URI)
    assert len({call.value for call in resource.store.proofs}) == 3


@pytest.mark.requirement("R-11.1-04", "R-11.1-05")
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="a-new-proof"),
        pytest.param({"claims": {"more": 1}}, id="another-claim"),
        pytest.param({"method": "POST"}, id="another-method"),
        pytest.param({"token": "second"}, id="another-token-of-the-key"),
        pytest.param({"uri": "HTTPS://API.EXAMPLE.COM/orders"}, id="case"),
        pytest.param({"uri": "https://api.example.com:443/orders"}, id="port"),
        pytest.param({"uri": "https://api.example.com/%6Frders"}, id="escape"),
        pytest.param({"uri": "https://api.example.com/orders?x=1#y"}, id="query"),
    ],
)
async def test_another_spelling_of_the_uri_is_the_same_context(resource, clock, client, changes):
    """And so is whatever else does not belong to the context."""
    resource.tokens["second"] = AccessToken(key_thumbprint=client.thumbprint)
    await resource.accept(resource.headers(claims={"jti": "one"}))
    clock.advance(5)
    headers = resource.headers(**{**changes, "claims": {"jti": "one", **changes.get("claims", {})}})
    request = {"method": changes.get("method", "GET"), "target_uri": changes.get("uri", URI)}
    assert await resource.reason(headers, **request) is Reason.PROOF_REPLAYED


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


NONCES = {"nonces": NoncePolicy()}
STRICT, LOOSE = {"proof_policy": ProofPolicy(max_age=30)}, {"proof_policy": ProofPolicy(max_age=3600)}


@pytest.mark.requirement("R-11.1-06")
@pytest.mark.parametrize(
    ("options", "claims", "seconds"),
    [
        pytest.param({}, {}, 300, id="now"),
        pytest.param({}, {"iat": 60}, 360, id="from-the-future"),
        pytest.param({}, {"iat": -100}, 200, id="older"),
        pytest.param({}, {"iat": -300}, 0, id="at-its-last-instant"),
        pytest.param({}, {"exp": 100}, 300, id="with-exp"),
        pytest.param(NONCES, {}, 300, id="with-nonces"),
        pytest.param({**NONCES, **STRICT}, {}, 300, id="Z12-stricter-than-the-default"),
        pytest.param({**NONCES, **LOOSE}, {}, 3600, id="Z12-looser-than-the-default"),
        pytest.param({**NONCES, **STRICT, "remember_for": 900}, {}, 900, id="Z12-before-a-loosening"),
        pytest.param({**NONCES, **STRICT, "remember_for": 0}, {}, 30, id="Z12-no-longer-than-needed"),
    ],
)
async def test_the_entry_lives_ten_seconds_longer_than_any_policy_could_accept_the_proof(
    clock, client, options, claims, seconds
):
    resource = Resource(clock, client, **options)
    claims = {name: clock.now + offset for name, offset in claims.items()}
    nonce = await resource.authenticator.challenge_nonce()
    await resource.accept(resource.headers(nonce=nonce, claims=claims))
    (call,) = resource.store.proofs
    assert call.ttl == pytest.approx(seconds + 10)


@pytest.mark.requirement("R-11.1-07")
@pytest.mark.parametrize("size", [1, 36, 256, 1000, 5000])
async def test_an_entry_has_one_size_whatever_the_jti(resource, size):
    await resource.accept(resource.headers(claims={"jti": "x" * size}))
    (call,) = resource.store.proofs
    assert call.key.startswith("dpop:jti:v1:")
    assert (len(call.key), len(call.value)) == (len("dpop:jti:v1:") + 16, 12)
    assert call.key.isascii()


@pytest.mark.requirement("R-11.1-07")
async def test_any_jti_is_used_once_and_those_that_differ_a_little_are_different(resource):
    for jti in ("a", "A", "a ", " a", "a\0", "\0a", "a\n", "å", "a\u030a", "a:b", "naïve ☃", "\ud800", "{x}", "*"):
        headers = resource.headers(claims={"jti": jti})
        await resource.accept(headers)
        assert await resource.reason(headers) is Reason.PROOF_REPLAYED
        assert resource.store.proofs[-1].key.isascii()


async def test_a_full_store_rejects_and_forgets_nothing(clock, client):
    resource = Resource(clock, client, store=MemoryStore(max_entries=1, clock=clock))
    headers = resource.headers()
    await resource.accept(headers)
    with pytest.raises(StoreError):
        await resource.accept(resource.headers())
    assert await resource.reason(headers) is Reason.PROOF_REPLAYED
