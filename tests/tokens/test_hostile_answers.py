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
async def test_an_answer_that_is_no_key_set_makes_the_issuer_unavailable(website, remote, verify_remote, client, page):
    website.pages["/jwks"] = page
    with pytest.raises(IssuerUnavailable):
        await verify_remote(remote.access_token(client))
    assert website.requests == [METADATA, "/jwks"]


@pytest.mark.parametrize("page", BAD_ANSWERS)
async def test_an_answer_that_is_no_metadata_makes_the_issuer_unavailable(website, remote, verify_remote, client, page):
    website.pages[METADATA] = page
    with pytest.raises(IssuerUnavailable):
        await verify_remote(remote.access_token(client))
    assert "/jwks" not in website.requests


@pytest.mark.parametrize("page", BAD_ANSWERS)
async def test_keys_that_are_known_survive_an_answer_that_is_no_key_set(
    website, remote, verify_remote, client, clock, page
):
    await verify_remote(remote.access_token(client))
    website.pages["/jwks"] = page
    clock.advance(60.0)
    remote.rotate()
    old = remote.access_token(
        client, header={"kid": next(iter(remote.keys))}, signed_by=next(iter(remote.keys.values()))
    )
    with pytest.raises(IssuerUnavailable):
        await verify_remote(remote.access_token(client))
    assert await verify_remote(old)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(website, remote, verify_remote, client, status):
    website.pages["/elsewhere"] = website.pages["/jwks"]
    website.pages["/jwks"] = Page(b"", status, {"location": f"{website.url}/elsewhere"})
    with pytest.raises(IssuerUnavailable, match=f"responded with {status}"):
        await verify_remote(remote.access_token(client))
    assert "/elsewhere" not in website.requests


@pytest.mark.parametrize("coding", ["gzip", "GZIP"])
async def test_a_compressed_key_set_is_read(website, remote, verify_remote, client, coding):
    body = gzip.compress(json.dumps(remote.jwks).encode())
    website.pages["/jwks"] = Page(body, headers={"content-encoding": coding})
    assert await verify_remote(remote.access_token(client))


async def test_a_content_type_that_is_wrong_does_not_matter(website, remote, verify_remote, client):
    website.pages["/jwks"] = Page(remote.jwks, headers={"content-type": "text/plain"})
    assert await verify_remote(remote.access_token(client))
