"""Whether tokens could be verified now, for readiness probes."""

import asyncio

import pytest

from dpop_asgi import Authenticator, IssuerUnavailable, JWTVerifier, MemoryStore, TrustedIssuer
from dpop_asgi.testing import Issuer
from dpop_asgi.tokens.issuer import http
from tests.support.busy import Stopwatch
from tests.support.fault_proxy import FaultProxy
from tests.support.processes import AUDIENCE

METADATA = "/.well-known/oauth-authorization-server"
TIMEOUT = 1.5


async def test_keys_that_are_not_known_are_loaded(website, remote, verify_remote, client):
    await verify_remote.ready()
    assert website.requests == [METADATA, "/jwks"]
    assert await verify_remote(remote.access_token(client))
    assert website.requests == [METADATA, "/jwks"]


async def test_keys_that_are_known_are_not_asked_for(website, verify_remote):
    for _ in range(5):
        await verify_remote.ready()
    assert website.requests == [METADATA, "/jwks"]


async def test_probes_and_requests_share_one_look_up(website, remote, verify_remote, client):
    requests = [verify_remote(remote.access_token(client)) for _ in range(10)]
    await asyncio.gather(*(verify_remote.ready() for _ in range(10)), *requests)
    assert website.requests == [METADATA, "/jwks"]


async def test_without_keys_it_raises_and_names_the_issuer(website, remote, verify_remote):
    website.pages.clear()
    with pytest.raises(IssuerUnavailable, match=f"^the keys of {remote.url} cannot be fetched: "):
        await verify_remote.ready()


async def test_it_stays_ready_while_the_issuer_is_unavailable_until_its_keys_are_too_old(website, remote, clock):
    verify = JWTVerifier(issuer=remote.url, audience=AUDIENCE, max_stale_seconds=1000.0, clock=clock)
    await verify.ready()
    website.pages.clear()
    clock.advance(300.0 + 999.0)
    await verify.ready()
    clock.advance(1.0)
    with pytest.raises(IssuerUnavailable):
        await verify.ready()


async def test_of_several_issuers_the_one_without_keys_is_named(website, remote, issuer, clock):
    away = Issuer(f"{website.url}/away", audience=AUDIENCE, clock=clock)
    trusted = [
        TrustedIssuer(issuer=issuer.url, audience=AUDIENCE, jwks=issuer.jwks),
        TrustedIssuer(issuer=remote.url, audience=AUDIENCE),
        TrustedIssuer(issuer=away.url, audience=AUDIENCE),
    ]
    with pytest.raises(IssuerUnavailable, match=f"^the keys of {away.url} cannot be fetched"):
        await JWTVerifier(issuers=trusted, clock=clock).ready()


async def test_several_issuers_that_hang_are_waited_for_together(website, clock):
    async with FaultProxy(website.port) as first, FaultProxy(website.port) as second:
        first.silent = second.silent = True
        trusted = [
            TrustedIssuer(issuer=f"http://127.0.0.1:{proxy.port}", audience=AUDIENCE) for proxy in (first, second)
        ]
        verify = JWTVerifier(issuers=trusted, timeout=TIMEOUT, clock=clock)
        with Stopwatch() as stopwatch, pytest.raises(IssuerUnavailable, match="no response in time"):
            await verify.ready()
        assert stopwatch.within(2 * TIMEOUT)
        assert (first.connections, second.connections) == (1, 1)


async def test_verifier_and_decision_are_ready_as_soon_as_the_issuer_is(website, remote, verify_remote, clock):
    authenticator = Authenticator(verify_token=verify_remote, store=MemoryStore(clock=clock), clock=clock)
    website.pages.clear()
    for ready in (verify_remote.ready, authenticator.ready):
        with pytest.raises(IssuerUnavailable):
            await ready()
    website.publish(remote)
    clock.advance(1.0)
    await authenticator.ready()


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
