"""Answers of an issuer's web server that no key set can be read from: 503 for the client, never 500, never a key."""

import gzip
import json
import logging

import pytest

from dpop_asgi import IssuerUnavailable, JWTVerifier
from tests.support.processes import AUDIENCE, free_port
from tests.support.website import Page

METADATA = "/.well-known/oauth-authorization-server"
BAD_ANSWERS = [
    pytest.param(Page(b"x" * 300_000), id="oversized"),
    pytest.param(Page(gzip.compress(b" " * 10_000_000), headers={"content-encoding": "gzip"}), id="zip-bomb"),
    pytest.param(Page(b"junk", headers={"content-encoding": "gzip"}), id="not-gzip"),
    pytest.param(Page(b"<html>", headers={"content-type": "text/html"}), id="html"),
    pytest.param(Page(b""), id="empty"),
    pytest.param(Page([]), id="list"),
    pytest.param(Page(None), id="null"),
    pytest.param(Page(b'{"keys": NaN}'), id="nan"),
    pytest.param(Page(b'{"keys": [], "keys": []}'), id="a-name-twice"),
    pytest.param(Page(b"\xff\xfe{}"), id="not-utf-8"),
    pytest.param(Page(b"[" * 200_000), id="nested-deeply"),
    pytest.param(Page(b'{"keys":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), id="keys-nested-deeply"),
    pytest.param(Page({}), id="no-keys"),
    pytest.param(Page({"keys": {}}), id="keys-is-an-object"),
    pytest.param(Page({"keys": [{"kty": "EC"}] * 101}), id="101-keys"),
    pytest.param(Page({"keys": []}, status=500), id="status-500"),
    pytest.param(Page({"keys": []}, status=204), id="status-204"),
    pytest.param(Page({"keys": []}, status=404), id="status-404"),
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


async def test_an_issuer_where_nobody_listens_is_unavailable(issuer, client, clock):
    url = f"http://127.0.0.1:{free_port()}"
    verify = JWTVerifier(issuer=url, audience=AUDIENCE, clock=clock)
    with pytest.raises(IssuerUnavailable):
        await verify(issuer.access_token(client, claims={"iss": url}))


@pytest.mark.parametrize("coding", ["gzip", "GZIP"])
async def test_a_compressed_key_set_is_read(website, remote, verify_remote, client, coding):
    body = gzip.compress(json.dumps(remote.jwks).encode())
    website.pages["/jwks"] = Page(body, headers={"content-encoding": coding})
    assert await verify_remote(remote.access_token(client))


async def test_a_content_type_that_is_wrong_does_not_matter(website, remote, verify_remote, client):
    website.pages["/jwks"] = Page(remote.jwks, headers={"content-type": "text/plain"})
    assert await verify_remote(remote.access_token(client))


async def test_what_the_issuer_says_is_not_written_to_the_log(website, remote, verify_remote, client, caplog):
    website.pages["/jwks"] = Page(b'{"keys": "hunter2"')
    with caplog.at_level(logging.DEBUG, "dpop_asgi"), pytest.raises(IssuerUnavailable) as failed:
        await verify_remote(remote.access_token(client))
    assert "hunter2" not in str(failed.value) + caplog.text
