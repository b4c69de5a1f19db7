"""The issuer changes its keys, or talks nonsense: what callers of a real server see."""

import pytest

from tests.support.issuer_scene import assert_unavailable
from tests.support.website import Page, Website

FRESH = 300.0
LASTING = {"claims": {"exp": 4_000_000_000}}


async def test_the_issuer_rotates_its_keys(warm):
    before = warm.token()
    for _ in range(3):
        warm.issuer.rotate()
        assert await warm.passes(*warm.tokens(20), before)
        warm.clock.advance(10.0)
    assert warm.issuer.fetches == 4


async def test_the_issuer_rotates_its_keys_and_has_a_new_one_in_use_within_ten_seconds(warm):
    for _ in range(2):
        warm.issuer.rotate()
        answers = await warm.asks(warm.tokens(5))
    assert {answer.status for answer in answers} == {401}
    warm.clock.advance(10.0)
    assert await warm.passes(warm.token())


async def test_the_issuer_withdraws_a_key(warm):
    withdrawn = warm.token(**LASTING)
    assert await warm.passes(withdrawn)
    warm.issuer.rotate(keep_old=False)
    warm.clock.advance(FRESH)
    refused = await warm.refusal(withdrawn)
    assert refused.status == 401
    assert 'error="invalid_token"' in refused.headers["www-authenticate"]
    assert await warm.passes(warm.token())


async def test_the_issuer_withdraws_a_key_and_the_first_token_of_the_next_one_tells(warm):
    withdrawn = warm.token(**LASTING)
    assert await warm.passes(withdrawn)
    warm.issuer.rotate(keep_old=False)
    assert await warm.passes(warm.token())
    assert (await warm.ask(withdrawn)).status == 401


GARBAGE = [
    pytest.param(Page(b"<html>It works!</html>"), id="a-page"),
    pytest.param(Page(b"x" * 300_000), id="oversized"),
    pytest.param(Page({"keys": "none"}), id="no-key-set"),
    pytest.param(Page({}, 500), id="status-500"),
    pytest.param(Page(b"", 302, {"location": "/elsewhere"}), id="redirect"),
    pytest.param(Page(b"[" * 100_000), id="nested-deeply"),
]


@pytest.mark.parametrize("page", GARBAGE)
async def test_the_issuer_serves_garbage(scene, page):
    with Website() as website:
        scene.network.lead_to(website.port)
        website.pages["/.well-known/oauth-authorization-server"] = Page(scene.issuer.metadata)
        website.pages["/jwks"] = page
        assert_unavailable(await scene.ask(scene.token()))
        website.pages["/jwks"] = Page(scene.issuer.jwks)
        scene.clock.advance(1.0)
        known = scene.token(**LASTING)
        assert await scene.passes(known)
        website.pages["/jwks"] = page
        scene.clock.advance(FRESH)
        assert await scene.passes(known, scene.token())
        scene.clock.advance(FRESH)
        assert await scene.passes(known, scene.token())
