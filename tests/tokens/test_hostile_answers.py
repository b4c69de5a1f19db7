"""Answers of an issuer's web server that no key set can be read from: 503 for the client, never 500, never a key."""

import gzip
import json

import pytest

from dpop_asgi import IssuerUnavailable
from tests.support.website import Page

METADATA = "/.well-known/oauth-authorization-server"
BAD_ANSWERS = [
    pytest.param(Page(b"x" * 300_000), id="oversized"),
    pytest.param(Page(b"<html>", headers={"content-type": "text/html"}), id="html"),
    pytest.param(Page([]), id="list"),
    pytest.param(Page(b'{"keys": [], "keys": []}'), id="a-name-twice"),
    pytest.param(Page(b"[" * 200_000), id="nested-deeply"),
    pytest.param(Page({}), id="no-keys"),
    pytest.param(Page({"keys": {}}), id="keys-is-an-object"),
    pytest.param(Page({"keys": []}, status=500), id="status-500"),
    pytest.param(Page({"keys": []}, status=204), id="status-204"),
]


@pytest.mark.parametrize("page", BAD_ANSWERS)
async def test_an_answer_that_is_no_document_makes_the_issuer_unavailable_but_for_keys_that_are_known(
    website, remote, verify_remote, client, clock, page
):
    async def unavailable():
        with pytest.raises(IssuerUnavailable):
            await verify_remote(remote.access_token(client))
        clock.advance(60.0)

    website.pages[METADATA] = page
    await unavailable()
    assert "/jwks" not in website.requests
    website.publish(remote)
    website.pages["/jwks"] = page
    await unavailable()
    website.publish(remote)
    assert await verify_remote(remote.access_token(client))
    another = remote.access_token(client)
    remote.rotate()
    website.pages["/jwks"] = page
    clock.advance(60.0)
    await unavailable()
    assert await verify_remote(another)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(website, remote, verify_remote, client, status):
    website.pages["/elsewhere"] = website.pages["/jwks"]
    website.pages["/jwks"] = Page(b"", status, {"location": f"{website.url}/elsewhere"})
    with pytest.raises(IssuerUnavailable, match=f"responded with {status}"):
        await verify_remote(remote.access_token(client))
    assert "/elsewhere" not in website.requests


@pytest.mark.parametrize(
    "headers", [{"content-encoding": "gzip"}, {"content-encoding": "GZIP"}, {"content-type": "x/y"}]
)
async def test_a_key_set_may_be_compressed_and_named_in_any_way(website, remote, verify_remote, client, headers):
    body = json.dumps(remote.jwks).encode()
    website.pages["/jwks"] = Page(gzip.compress(body) if "content-encoding" in headers else body, headers=headers)
    assert await verify_remote(remote.access_token(client))
