"""When the issuer is asked for keys, and asked again; when it is down: see test_issuer_faults and test_stale_keys."""

import asyncio

import pytest

from dpop_asgi import IssuerUnavailable, JWTVerifier, Reason, TrustedIssuer
from dpop_asgi.testing import Issuer
from dpop_asgi.tokens.issuer import http
from tests.support.distant_issuer import PATIENCE
from tests.support.fault_proxy import FaultProxy
from tests.support.processes import AUDIENCE, wait_until
from tests.tokens.shared import settled

METADATA = "/.well-known/oauth-authorization-server"


@pytest.fixture
async def warm(remote, verify_remote, client, website):
    """The verifier, with the keys of the issuer in memory and some minute on its clock since."""
    await verify_remote(remote.access_token(client))
    website.requests.clear()
    verify_remote._clock.advance(60.0)
    return verify_remote


async def test_a_first_request_that_goes_away_does_not_take_the_others_keys_with_it(
    website, remote, verify_remote, client
):
    website.gate.clear()
    calls = [asyncio.create_task(verify_remote(remote.access_token(client))) for _ in range(3)]
    await asyncio.to_thread(wait_until, lambda: website.requests, "the issuer is not asked")
    calls[0].cancel()
    website.gate.set()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert [answer.subject for answer in answers[1:]] == ["alice"] * 2
    assert website.requests == [METADATA, "/jwks"]


async def test_a_new_key_is_found_for_a_token_without_kid_too(website, remote, warm, client):
    website.replace_keys(remote)
    assert await warm(remote.access_token(client, without={"kid"}))


@pytest.mark.parametrize("seconds", [0.0, -3600.0], ids=["later", "the clock jumps back"])
async def test_50_concurrent_tokens_of_a_new_key_fetch_once(website, remote, warm, client, clock, seconds):
    clock.advance(seconds)
    remote.rotate()
    website.publish(remote)
    await asyncio.gather(*(warm(remote.access_token(client)) for _ in range(50)))
    assert website.requests == [METADATA, "/jwks"]


async def test_a_bad_signature_with_a_known_kid_asks_nobody(website, remote, other_client, warm, client, reason_of):
    token = remote.access_token(client, signed_by=other_client.key)
    assert await reason_of(warm, token) == Reason.TOKEN_SIGNATURE
    assert website.requests == []


@pytest.mark.parametrize(
    ("cache_control", "fresh_for"),
    [
        pytest.param(None, 300, id="none"),
        pytest.param("max-age=600", 600, id="ten-minutes"),
        pytest.param("public, Max-Age=600, must-revalidate", 600, id="among-others"),
        pytest.param("max-age=1", 60, id="below-the-bound"),
        pytest.param("max-age=999999999", 86_400, id="above-the-bound"),
        pytest.param("s-maxage=600", 300, id="for-shared-caches"),
        pytest.param("max-age=soon", 300, id="malformed"),
    ],
)
async def test_cache_control_is_respected_within_bounds(
    website, remote, verify_remote, client, clock, cache_control, fresh_for
):
    if cache_control is not None:
        website.pages["/jwks"].headers["cache-control"] = cache_control
    token = {"claims": {"exp": clock() + 1_000_000}}
    await verify_remote(remote.access_token(client, **token))
    clock.advance(fresh_for - 1)
    await verify_remote(remote.access_token(client, **token))
    await settled(verify_remote)
    assert website.requests.count("/jwks") == 1
    clock.advance(1)
    await verify_remote(remote.access_token(client, **token))
    await settled(verify_remote)
    assert website.requests.count("/jwks") == 2


async def test_a_token_that_can_be_rejected_without_keys_is_rejected_while_the_issuer_is_down(
    website, remote, verify_remote, client, reason_of
):
    website.pages.clear()
    assert await reason_of(verify_remote, remote.access_token(client, without={"typ"})) == Reason.TOKEN_TYPE
    assert website.requests == []


async def test_keys_from_jwks_uri_rotate_too(website, remote, client, clock):
    verify = JWTVerifier(issuer=remote.url, audience=AUDIENCE, jwks_uri=f"{website.url}/jwks", clock=clock)
    await verify(remote.access_token(client))
    website.replace_keys(remote)
    clock.advance(10.0)
    assert await verify(remote.access_token(client))
    assert website.requests == ["/jwks"] * 2


# Readiness: whether tokens could be verified now


async def test_keys_that_are_not_known_are_loaded_once(website, remote, verify_remote, client):
    for _ in range(5):
        await verify_remote.ready()
    assert website.requests == [METADATA, "/jwks"]
    assert await verify_remote(remote.access_token(client))
    assert website.requests == [METADATA, "/jwks"]


async def test_probes_and_requests_share_one_look_up(website, remote, verify_remote, client):
    requests = [verify_remote(remote.access_token(client)) for _ in range(50)]
    await asyncio.gather(*(verify_remote.ready() for _ in range(10)), *requests)
    assert website.requests == [METADATA, "/jwks"]


async def test_of_several_issuers_the_one_without_keys_is_named(website, remote, issuer, clock):
    away = Issuer(f"{website.url}/away", audience=AUDIENCE, clock=clock)
    trusted = [
        TrustedIssuer(issuer=issuer.url, audience=AUDIENCE, jwks=issuer.jwks),
        TrustedIssuer(issuer=remote.url, audience=AUDIENCE),
        TrustedIssuer(issuer=away.url, audience=AUDIENCE),
    ]
    with pytest.raises(IssuerUnavailable, match=f"^the keys of {away.url} cannot be fetched"):
        await JWTVerifier(issuers=trusted, clock=clock).ready()


async def test_several_issuers_are_asked_together(website, clock):
    async with FaultProxy(website.port) as first, FaultProxy(website.port) as second:
        first.silent = second.silent = True
        trusted = [
            TrustedIssuer(issuer=f"http://127.0.0.1:{proxy.port}", audience=AUDIENCE) for proxy in (first, second)
        ]
        verify = JWTVerifier(issuers=trusted, timeout=2 * PATIENCE, clock=clock)
        probe = asyncio.create_task(verify.ready())
        async with asyncio.timeout(PATIENCE):
            while (first.connections, second.connections) != (1, 1):  # noqa: ASYNC110 - proxies have no event for it
                await asyncio.sleep(0.01)
        probe.cancel()
        await verify.aclose()


async def test_no_request_waits_until_the_certificate_store_is_read(remote, client, clock):
    http.tls.cache_clear()
    verify = JWTVerifier(issuer=remote.url, audience=AUDIENCE, clock=clock)
    assert http.tls.cache_info().misses == 1
    await verify(remote.access_token(client))
    assert http.tls.cache_info().misses == 1


def test_a_certificate_store_that_cannot_be_read_is_told_at_start(monkeypatch, tmp_path):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    http.tls.cache_clear()
    with pytest.raises(ValueError, match="SSL_CERT_FILE"):
        JWTVerifier(issuer="https://id.example.com", audience=AUDIENCE)
