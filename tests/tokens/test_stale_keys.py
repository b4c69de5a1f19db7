"""For how long the issuer's keys are believed when they cannot be, or were not, fetched anew."""

import asyncio
import logging
from functools import partial

import pytest

from dpop_asgi import IssuerUnavailable, JWTVerifier, Reason
from tests.support.distant_issuer import PATIENCE
from tests.support.processes import AUDIENCE
from tests.support.website import Page
from tests.tokens.shared import settled

FRESH = 300.0
DAY = 86_400.0
YEAR = 365 * DAY
LASTING = {"claims": {"exp": 4_000_000_000}}


@pytest.fixture
def make_verify(remote, clock):
    """Remembers tokens for ever, so that what ends is the trust in keys."""
    return lambda **options: JWTVerifier(
        issuer=remote.url, audience=AUDIENCE, timeout=PATIENCE, cache_seconds=YEAR, clock=clock, **options
    )


@pytest.fixture
async def warm(remote, make_verify, client):
    verify = make_verify()
    await verify(remote.access_token(client))
    return verify


async def test_while_stale_keys_are_refreshed_once_all_requests_go_on_with_them(website, remote, warm, client, clock):
    website.gate.clear()
    clock.advance(FRESH)
    tokens = [remote.access_token(client) for _ in range(50)]
    await asyncio.gather(*map(warm, tokens))
    assert website.requests.count("/jwks") == 1
    website.gate.set()
    await settled(warm)
    assert website.requests.count("/jwks") == 2


@pytest.mark.parametrize("seconds", [FRESH, -1.0, -3600.0, -YEAR])
async def test_a_remembered_token_has_old_keys_refreshed_too(website, remote, warm, client, clock, reason_of, seconds):
    token = remote.access_token(client, claims={"exp": 4_000_000_000, "iat": 0})
    await warm(token)
    website.pages["/jwks"] = Page({"keys": []})
    clock.advance(seconds)
    assert await warm(token)
    await settled(warm)
    assert await reason_of(warm, token) == Reason.TOKEN_KEY_UNKNOWN


async def _go_on(verify, token, clock, *, seconds, step):
    """Ask every `step` seconds, as the requests of a busy server do."""
    until = clock() + seconds
    while clock() + step < until:
        clock.advance(step)
        await verify(token)
        await settled(verify)
    clock.now = until


async def test_keys_are_used_for_a_day_while_the_issuer_is_unavailable_and_no_longer(
    website, remote, warm, client, clock, caplog
):
    token = remote.access_token(client, **LASTING)
    await warm(token)
    website.pages.clear()
    await _go_on(warm, token, clock, seconds=FRESH + DAY - 1, step=2500.0)
    assert await warm(remote.access_token(client))
    await settled(warm)
    await warm.ready()
    clock.advance(1.0)
    for attempt in (partial(warm, token), partial(warm, remote.access_token(client)), warm.ready):
        with pytest.raises(IssuerUnavailable, match=f"the keys of {remote.url} cannot be fetched"):
            await attempt()
    away, given_up = caplog.messages
    assert away.endswith("; the known keys remain in use")
    assert given_up.endswith("; the known keys are too old, so requests with its tokens get a 503")


async def test_after_the_limit_the_issuer_is_asked_once_a_second_and_believed_again(
    website, remote, make_verify, client, clock, caplog
):
    verify = make_verify(max_stale_seconds=100.0)
    token = remote.access_token(client, **LASTING)
    await verify(token)
    website.pages.clear()
    clock.advance(FRESH + 100.0)
    asked = len(website.requests)
    for _ in range(50):
        with pytest.raises(IssuerUnavailable):
            await verify(token)
        clock.advance(0.1)
    # Each time at both addresses that metadata can have.
    assert len(website.requests) - asked == 5 * 2
    website.publish(remote)
    for _ in range(3):
        clock.advance(FRESH)
        assert await verify(token)
        await settled(verify)
    assert caplog.messages[1:] == [f"the keys of {remote.url} can be fetched again"]


async def test_with_no_time_to_be_stale_requests_wait_for_the_refresh(
    website, remote, make_verify, client, clock, reason_of
):
    verify = make_verify(max_stale_seconds=0)
    token = remote.access_token(client, **LASTING)
    await verify(token)
    website.replace_keys(remote)
    clock.advance(FRESH - 1)
    assert await verify(token)
    clock.advance(1.0)
    assert await reason_of(verify, token) == Reason.TOKEN_KEY_UNKNOWN


async def test_the_limit_counts_from_when_the_issuer_was_last_heard(website, remote, make_verify, client, clock):
    verify = make_verify(max_stale_seconds=100.0)
    token = remote.access_token(client, **LASTING)
    for _ in range(5):
        await verify(token)
        await settled(verify)
        clock.advance(FRESH + 99.0)
    assert await verify(token)


async def test_an_idle_process_waits_once_and_no_more_while_the_issuer_is_unavailable(
    website, remote, warm, client, clock, caplog
):
    website.pages.clear()
    clock.advance(FRESH + 600.0)
    with caplog.at_level(logging.WARNING, "dpop_asgi"):
        assert await warm(remote.access_token(client))
    # The issuer was asked, and has failed, before the request was answered.
    assert len(caplog.messages) == 1
    asked = len(website.requests)
    for _ in range(9):
        clock.advance(1.0)
        assert await warm(remote.access_token(client))
    assert len(website.requests) == asked


async def test_a_process_that_was_idle_during_an_outage_asks_before_it_believes(
    website, remote, warm, client, clock, reason_of
):
    token = remote.access_token(client, **LASTING)
    await warm(token)
    pages = dict(website.pages)
    website.pages.clear()
    clock.advance(FRESH)
    await warm(token)
    await settled(warm)
    website.pages.update(pages)
    website.replace_keys(remote)
    clock.advance(600.0)
    assert await reason_of(warm, token) == Reason.TOKEN_KEY_UNKNOWN
