"""The issuer changes its keys, and is asked again. How it can be down is in test_issuer_faults and test_stale_keys."""

import asyncio

import pytest

from dpop_asgi import IssuerUnavailable, JWTVerifier, Reason
from tests.support.processes import AUDIENCE
from tests.support.website import Page
from tests.tokens.shared import settled

METADATA = "/.well-known/oauth-authorization-server"


@pytest.fixture
async def warm(remote, verify_remote, client, website):
    """The verifier, with the keys of the issuer in memory and some minute on its clock since."""
    await verify_remote(remote.access_token(client))
    website.requests.clear()
    verify_remote._clock.advance(60.0)
    return verify_remote


async def test_50_concurrent_first_requests_fetch_once(website, remote, verify_remote, client):
    tokens = [remote.access_token(client) for _ in range(50)]
    assert len(await asyncio.gather(*map(verify_remote, tokens))) == 50
    assert website.requests == [METADATA, "/jwks"]


async def test_a_first_request_that_goes_away_does_not_take_the_others_keys_with_it(
    website, remote, verify_remote, client
):
    website.pages["/jwks"].pause = 0.1
    calls = [asyncio.create_task(verify_remote(remote.access_token(client))) for _ in range(3)]
    await asyncio.sleep(0.02)
    calls[0].cancel()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert [answer.subject for answer in answers[1:]] == ["alice"] * 2
    assert website.requests == [METADATA, "/jwks"]


async def test_a_new_key_is_found_when_its_first_token_comes(website, remote, warm, client):
    remote.rotate()
    website.publish(remote)
    assert await warm(remote.access_token(client))
    assert website.requests == [METADATA, "/jwks"]


async def test_a_new_key_is_found_for_a_token_without_kid_too(website, remote, warm, client):
    website.replace_keys(remote)
    assert await warm(remote.access_token(client, without={"kid"}))


async def test_50_concurrent_tokens_of_a_new_key_fetch_once(website, remote, warm, client):
    remote.rotate()
    website.publish(remote)
    await asyncio.gather(*(warm(remote.access_token(client)) for _ in range(50)))
    assert website.requests == [METADATA, "/jwks"]


async def test_a_bad_signature_with_a_known_kid_asks_nobody(website, remote, other_client, warm, client, reason_of):
    token = remote.access_token(client, signed_by=other_client.key)
    assert await reason_of(warm, token) == Reason.TOKEN_SIGNATURE
    assert website.requests == []


async def test_a_clock_that_jumps_back_does_not_hinder_the_search_for_a_new_key(website, remote, warm, client, clock):
    clock.advance(-3600.0)
    remote.rotate()
    website.publish(remote)
    assert await warm(remote.access_token(client))


@pytest.mark.parametrize(
    ("cache_control", "fresh_for"),
    [
        pytest.param(None, 300, id="none"),
        pytest.param("max-age=600", 600, id="ten-minutes"),
        pytest.param("public, Max-Age=600, must-revalidate", 600, id="among-others"),
        pytest.param("max-age=1", 60, id="below-the-bound"),
        pytest.param("max-age=0", 60, id="zero"),
        pytest.param("max-age=999999999", 86_400, id="above-the-bound"),
        pytest.param("s-maxage=600", 300, id="for-shared-caches"),
        pytest.param("max-age=soon", 300, id="malformed"),
        pytest.param("no-store", 300, id="no-store"),
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


async def test_an_issuer_that_has_recovered_is_said_so_once(website, remote, warm, client, clock, caplog):
    website.pages.clear()
    clock.advance(300.0)
    await warm(remote.access_token(client))
    await settled(warm)
    website.publish(remote)
    for _ in range(3):
        clock.advance(300.0)
        await warm(remote.access_token(client))
        await settled(warm)
    assert [message for message in caplog.messages if "again" in message] == [
        f"the keys of {remote.url} can be fetched again"
    ]


async def test_a_token_that_can_be_rejected_without_keys_is_rejected_while_the_issuer_is_down(
    website, remote, verify_remote, client, reason_of
):
    website.pages.clear()
    assert await reason_of(verify_remote, remote.access_token(client, without={"typ"})) == Reason.TOKEN_TYPE
    assert website.requests == []


async def test_a_token_with_an_unknown_kid_is_not_rejected_while_the_issuer_cannot_be_asked(
    website, remote, warm, client
):
    website.pages["/jwks"] = Page(b"", 503)
    for _ in range(2):
        with pytest.raises(IssuerUnavailable, match=f"the keys of {remote.url} cannot be fetched"):
            await warm(remote.access_token(client, header={"kid": "new"}))
    assert await warm(remote.access_token(client))
    assert website.requests == [METADATA, "/jwks"]


async def test_keys_from_jwks_uri_rotate_too(website, remote, client, clock):
    verify = JWTVerifier(issuer=remote.url, audience=AUDIENCE, jwks_uri=f"{website.url}/jwks", clock=clock)
    await verify(remote.access_token(client))
    website.replace_keys(remote)
    clock.advance(10.0)
    assert await verify(remote.access_token(client))
    assert website.requests == ["/jwks"] * 2
