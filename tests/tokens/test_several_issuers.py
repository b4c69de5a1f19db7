"""Several issuers, each with its own keys, audience and algorithms."""

import pytest

from dpop_asgi import JWTVerifier, Reason, TrustedIssuer
from dpop_asgi.testing import Issuer


@pytest.fixture
def first(clock):
    return Issuer("https://one.example", audience="for-one", clock=clock)


@pytest.fixture
def second(clock):
    return Issuer("https://two.example", audience="for-two", algorithm="Ed25519", clock=clock)


@pytest.fixture
def verify_both(first, second, clock):
    trusted = [TrustedIssuer(issuer=one.url, audience=one.audience, jwks=one.jwks) for one in (first, second)]
    return JWTVerifier(issuers=trusted, clock=clock)


async def test_each_issuers_tokens_are_accepted(verify_both, first, second, client):
    for issuer in (first, second):
        assert (await verify_both(issuer.access_token(client))).claims["iss"] == issuer.url


async def test_a_token_of_a_third_issuer_is_rejected(verify_both, issuer, client, reason_of):
    assert await reason_of(verify_both, issuer.access_token(client)) == Reason.TOKEN_ISSUER


@pytest.mark.requirement("R-9068-02")
async def test_one_issuers_key_does_not_sign_for_the_other(verify_both, first, second, client, reason_of):
    forged = first.access_token(client, claims={"iss": second.url, "aud": second.audience})
    assert await reason_of(verify_both, forged) == Reason.TOKEN_KEY_UNKNOWN


@pytest.mark.requirement("R-9068-03")
async def test_one_issuers_audience_is_not_the_others(verify_both, first, second, client, reason_of):
    assert await reason_of(verify_both, first.access_token(client, claims={"aud": second.audience})) == (
        Reason.TOKEN_AUDIENCE
    )


async def test_each_issuer_has_its_own_algorithms(first, second, client, clock, reason_of):
    trusted = [
        TrustedIssuer(issuer=one.url, audience=one.audience, jwks=one.jwks, algorithms=("ES256",))
        for one in (first, second)
    ]
    verify = JWTVerifier(issuers=trusted, clock=clock)
    assert await verify(first.access_token(client))
    assert await reason_of(verify, second.access_token(client)) == Reason.TOKEN_ALGORITHM


async def test_one_issuer_that_is_down_does_not_concern_the_other(website, remote, first, client, clock):
    website.pages.clear()
    trusted = [
        TrustedIssuer(issuer=remote.url, audience=remote.audience),
        TrustedIssuer(issuer=first.url, audience=first.audience, jwks=first.jwks),
    ]
    assert await JWTVerifier(issuers=trusted, clock=clock)(first.access_token(client))
    assert website.requests == []
