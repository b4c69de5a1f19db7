"""A verified token is remembered: once verified, and no longer than it is good."""

import asyncio

import pytest

from dpop_asgi import JWTVerifier, Reason
from dpop_asgi.core.bounded_cache import BoundedCache
from dpop_asgi.core.jwk import PublicKey
from dpop_asgi.tokens import signed_token


@pytest.fixture
def checks(monkeypatch):
    """The signatures that were checked; the checking is the real one."""
    checks = []
    verify = PublicKey.verify

    def counted(self, algorithm, message, signature):
        checks.append(message)
        return verify(self, algorithm, message, signature)

    monkeypatch.setattr(PublicKey, "verify", counted)
    return checks


def _verifier(issuer, clock, **options):
    return JWTVerifier(issuer=issuer.url, audience=issuer.audience, jwks=issuer.jwks, clock=clock, **options)


async def test_50_concurrent_first_requests_with_one_token_verify_it_once(remote, verify_remote, client, checks):
    token = remote.access_token(client)
    await asyncio.gather(*(verify_remote(token) for _ in range(50)))
    assert len(checks) == 1


@pytest.mark.parametrize(
    ("options", "passed", "verified"),
    [
        pytest.param({}, (0.0, 299.9, 0.1), 2, id="five-minutes"),
        pytest.param({"cache_seconds": 10.0}, (0.0, 9.9, 0.1), 2, id="as-set"),
        pytest.param({"cache_seconds": 0}, (0.0, 0.0, 0.0), 3, id="not-at-all"),
    ],
)
async def test_for_how_long_a_token_is_remembered(issuer, client, clock, checks, options, passed, verified):
    verify, token = _verifier(issuer, clock, **options), issuer.access_token(client)
    for seconds in passed:
        clock.advance(seconds)
        await verify(token)
    assert (len(checks), len(verify._cache)) == (verified, verified == 2)


@pytest.mark.requirement("R-9068-04")
async def test_a_remembered_token_expires_all_the_same(verify, issuer, client, clock, reason_of):
    token = issuer.access_token(client, claims={"exp": int(clock()) + 30})
    await verify(token)
    clock.advance(34.9)
    await verify(token)
    clock.advance(0.1)
    assert await reason_of(verify, token) == Reason.TOKEN_EXPIRED


async def test_a_token_with_another_signature_is_another_token(verify, issuer, client, other_client, reason_of):
    token = issuer.access_token(client)
    await verify(token)
    forged = token.rpartition(".")[0] + "." + issuer.access_token(client).rpartition(".")[2]
    assert await reason_of(verify, forged) == Reason.TOKEN_SIGNATURE


async def test_remembered_tokens_are_verified_again_when_the_key_set_changes(
    website, remote, verify_remote, client, clock, checks
):
    token = remote.access_token(client)
    await verify_remote(token)
    remote.rotate()
    website.publish(remote)
    clock.advance(60.0)
    await verify_remote(remote.access_token(client))
    checks.clear()
    await verify_remote(token)
    assert len(checks) == 1


async def test_remembered_tokens_outlive_a_refresh_that_changes_nothing(
    website, remote, verify_remote, client, clock, checks, reason_of
):
    token = remote.access_token(client)
    await verify_remote(token)
    clock.advance(60.0)
    await reason_of(verify_remote, remote.access_token(client, header={"kid": "invented"}))
    assert website.requests.count("/jwks") == 2
    await verify_remote(token)
    assert len(checks) == 1


async def test_the_number_of_remembered_tokens_is_bounded(issuer, client, clock, checks):
    verify = _verifier(issuer, clock, cached_tokens=2)
    tokens = [issuer.access_token(client) for _ in range(3)]
    for token in tokens:
        await verify(token)
    assert len(verify._cache) == 2
    await verify(tokens[2])
    assert len(checks) == 3
    await verify(tokens[0])
    assert len(checks) == 4


@pytest.fixture
def headers(monkeypatch):
    """The token headers that were read; none is remembered at first."""
    headers = []
    read = signed_token._header
    monkeypatch.setattr(signed_token, "_headers", BoundedCache(signed_token._CACHED_HEADERS))
    monkeypatch.setattr(signed_token, "_header", lambda protected: headers.append(protected) or read(protected))
    return headers


async def test_the_header_of_tokens_of_one_key_is_read_once(verify, issuer, client, headers):
    for _ in range(3):
        await verify(issuer.access_token(client))
    assert len(headers) == 1


async def test_headers_of_tokens_that_nobody_signed_push_no_header_out(verify, issuer, client, headers, reason_of):
    """Z09"""
    await verify(issuer.access_token(client))
    for number in range(2 * signed_token._CACHED_HEADERS):
        await reason_of(verify, issuer.access_token(client, header={"x": number}, signed_by=client.key))
    headers.clear()
    await verify(issuer.access_token(client))
    assert headers == []


@pytest.mark.parametrize(("size", "kept"), [(signed_token._CACHED_HEADER_BYTES, 1), (2048, 0)])
async def test_long_headers_are_not_remembered(verify, issuer, client, headers, size, kept):
    usual = len(issuer.access_token(client, header={"x": ""}).partition(".")[0])
    for _ in range(2):
        await verify(issuer.access_token(client, header={"x": "x" * ((size - usual) * 3 // 4)}))
    assert (len(signed_token._headers), len(headers)) == (kept, 2 - kept)


async def test_the_number_of_remembered_headers_is_bounded(verify, issuer, client, headers):
    for number in range(signed_token._CACHED_HEADERS + 10):
        await verify(issuer.access_token(client, header={"x": number}))
    assert len(signed_token._headers) == signed_token._CACHED_HEADERS
