"""Every bound on what is kept between requests, whoever sends them, in memory and in the store.

What is kept of tokens is in `tests/tokens`.
"""

import json
import tracemalloc

import pytest

from dpop_asgi import AccessToken, NoncePolicy, ProofPolicy, Reason, Refusal
from dpop_asgi.core import htu, proof
from dpop_asgi.core.encoding import b64url_encode, sha256_b64url
from dpop_asgi.core.private_key import PrivateKey
from dpop_asgi.core.proof import ProofReader
from dpop_asgi.testing import jwt
from tests.support.collection import over
from tests.support.decisions import Resource, incoming
from tests.support.proofs import TOKEN, URI

_NOT_BOUND = {Reason.TOKEN_REJECTED, Reason.BINDING_MISSING, Reason.BINDING_MISMATCH}
CLAIMS = {"jti": "j", "htm": "GET", "htu": URI, "iat": 1_700_000_000, "ath": "x"}


@pytest.fixture
def resource(clock, client):
    return Resource(clock, client)


def read_and_remember(reader, key, header):
    signed = jwt({"typ": "dpop+jwt", "alg": "ES256", "jwk": key.public_jwk, **header}, CLAIMS, key)
    reader.remember(reader.read(signed.encode()))
    return signed.encode()


def test_cached_headers():
    """Which of them goes first is in `core/test_proof_reader`."""
    reader = ProofReader(ProofPolicy(), cached=50)
    for _ in range(60):
        read_and_remember(reader, PrivateKey.generate(), {})
    assert len(reader._headers) == len(reader._segments) == 50
    assert ProofReader(ProofPolicy())._headers.size == proof.CACHED_HEADERS


async def test_who_has_no_token_takes_no_place(resource, other_client):
    """Z09: a proof of one's own, and no token, an unknown one, or that of another."""
    resource.tokens["unbound"] = AccessToken(subject="alice")
    await resource.accept()
    before = dict(resource.authenticator._reader._headers)
    for number in range(200):
        for token in ("unknown", "unbound", TOKEN):
            fields = other_client.headers("GET", URI, token, header={"kid": str(number)})
            assert await _reason(resource, fields) in _NOT_BOUND
    assert resource.authenticator._reader._headers == before


@pytest.mark.parametrize(("size", "kept"), [(proof._CACHED_HEADER_BYTES, 1), (proof._CACHED_HEADER_BYTES + 2, 0)])
def test_cached_header_bytes(client, size, kept):
    reader = ProofReader(ProofPolicy())
    usual = len(json.dumps({"typ": "dpop+jwt", "alg": "ES256", "jwk": client.key.public_jwk, "x": ""}))
    signed = read_and_remember(reader, client.key, {"x": "x" * (size * 3 // 4 - usual)})
    assert len(signed.partition(b".")[0]) == size
    assert len(reader._headers) == kept


def _misses(cached, ask):
    """How often the cache lacks what is asked for twice; `None` if it isn't even looked at."""
    cached.cache_clear()
    before = cached.cache_info()
    assert ask() == ask()
    after = cached.cache_info()
    return after.misses - before.misses if after != before else None


def test_cached_uris_and_hosts_and_their_length():
    for cached, most in (
        (htu._cached, htu.CACHED_URIS),
        (htu._cached_authority, htu.CACHED_HOSTS),
        (htu.is_loopback, htu.CACHED_HOSTS),
    ):
        assert cached.cache_info().maxsize == most
    for length, misses in ((htu.CACHED_LENGTH, 1), (htu.CACHED_LENGTH + 1, None)):
        uri = "https://rs.example/".ljust(length, "x")
        assert _misses(htu._cached, lambda uri=uri: htu.normalise(uri)) == misses
    for length, misses in ((htu._MAX_AUTHORITY, 1), (htu._MAX_AUTHORITY + 1, None)):
        host = "a" * length
        assert _misses(htu._cached_authority, lambda host=host: htu.normalise_authority(host, "https")) == misses
        assert (htu.normalise_authority(host, "https") is None) == (misses is None)


async def test_bad_proofs_leave_nothing_behind(resource):
    """Each has a header, a `jti` and a token of its own, and most a target. No signature is good: they cost nothing."""
    make = _unsigned(resource.client.key.public_jwk)
    reasons = {await _reason(resource, make(number)) for number in range(htu.CACHED_URIS + 100)}
    tracemalloc.start()
    try:
        for number in range(1000):
            await _reason(resource, make(10_000 + number))
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The cache of URIs has other entries now; if each request left its header, they would leave 1 MB.
    assert grown < 500_000
    assert reasons == {Reason.TARGET_MISMATCH, Reason.SIGNATURE_INVALID}
    assert resource.authenticator._reader._headers == {}
    assert htu._cached.cache_info().currsize <= htu.CACHED_URIS
    assert (resource.store.calls, resource.verified) == ([], 0)


@over(100)
async def test_keys_and_values_stay_within_what_a_store_is_promised(clock, client, store, size, over):
    """With the longest namespace."""
    options = {"store": store, "nonces": NoncePolicy(period=12.3456789), "namespace": "n" * size}
    if over:
        with pytest.raises(ValueError, match=r"^namespace: "):
            Resource(clock, client, **options)
        return
    resource = Resource(clock, client, **options)
    nonce = await resource.authenticator.challenge_nonce()
    await resource.accept(resource.headers(nonce=nonce, claims={"jti": "j" * 5000}))
    assert len(store.proofs) == 1
    assert all(len(call.key) <= 200 and call.key.isascii() for call in store.calls)
    assert all(len(call.value) <= 64 and call.value.isascii() for call in store.calls)


async def test_answers_are_kept_by_reason_and_not_by_request(api):
    for number in range(100):
        for changes in ({"claims": {"ath": str(number)}}, {"claimed": f"/{number}"}, {"token": str(number)}):
            await api.reason(**changes)
    assert len(api.app._renderer._challenger._rendered) == 3


async def test_the_window_holds_no_more_than_it_promises(clock, client):
    policy = NoncePolicy()
    resource = Resource(clock, client, nonces=policy)
    for _ in range(300):
        clock.advance(policy.period * 0.7)
        await resource.authenticator.challenge_nonce()
    held = policy.grace + 2 * policy.lookahead + 1
    (window,) = resource.authenticator._nonces._windows
    assert len(window._era._nonces) <= held
    assert len(window._era._slots) <= held


def _unsigned(jwk):
    """Makes the fields of request number so and so, all with one signature that fits none."""
    usual = {"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk}

    def make(number):
        header = b64url_encode(json.dumps({**usual, "kid": str(number)}).encode())
        token = f"token-{number}"
        # Every tenth gets as far as its signature.
        htu = f"https://rs.example/{number}" if number % 10 else URI
        claims = {**CLAIMS, "jti": str(number), "htu": htu, "ath": sha256_b64url(token)}
        payload = b64url_encode(json.dumps(claims).encode())
        return {"Authorization": f"DPoP {token}", "DPoP": f"{header}.{payload}.{'A' * 86}"}

    return make


async def _reason(resource, fields):
    try:
        await resource.authenticator.authenticate(incoming(fields))
    except Refusal as refusal:
        return refusal.reason
