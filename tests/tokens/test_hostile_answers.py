"""Hostile responses: the issuer is unavailable, never a 500 or a key; nothing hangs, fills the memory or is logged."""

import asyncio
import contextlib
import gzip
import json
import logging
import tracemalloc
import zlib

import pytest

from dpop_asgi import IssuerUnavailable, JWTVerifier
from dpop_asgi.testing import Issuer
from dpop_asgi.tokens.issuer import http
from tests.support.certificates import write_certificate
from tests.support.fault_proxy import Cut, FaultProxy
from tests.support.processes import AUDIENCE
from tests.support.website import Page, Website

SECRET = b"hunter2"
OK = b"HTTP/1.1 200 OK\r\n"
TIMEOUT = 0.5


def _body(content, *fields):
    return b"\r\n".join([OK + b"content-length: %d" % len(content), *fields, b"", content])


BOMB = gzip.compress(b" " * 40_000_000)


# An answer, and what follows it again and again for as long as somebody reads.
ANSWERS = [
    pytest.param(b"", b"", id="nothing"),
    pytest.param(SECRET * 1000 + b"\r\n\r\n", b"", id="no-http"),
    pytest.param(b"\x16\x03\x01\x02\x00" * 100, b"", id="tls"),
    pytest.param(b"HTTP/1.1 abc " + SECRET + b"\r\n\r\n", b"", id="status-is-no-number"),
    pytest.param(b"HTTP/9.9 200 OK\r\n\r\n[]", b"", id="unknown-version"),
    pytest.param(OK + b"x" * 20, b"x" * 1000, id="endless-field-name"),
    pytest.param(OK, b"x: " + b"y" * 1000 + b"\r\n", id="endless-fields"),
    pytest.param(OK + b"no colon " + SECRET + b"\r\n\r\n", b"", id="malformed-field"),
    pytest.param(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n", b"x" * 1000, id="another-protocol"),
    pytest.param(OK + b'content-length: 99\r\n\r\n{"keys": []}', b"", id="shorter-than-it-says"),
    pytest.param(OK + b"content-length: -1\r\n\r\n{}", b"", id="negative-length"),
    pytest.param(OK + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}", b"", id="two-lengths"),
    pytest.param(OK + b"content-length: 999999999999\r\n\r\n{", b" " * 1000, id="huge-length"),
    pytest.param(OK + b"transfer-encoding: chunked\r\n\r\nzz" + SECRET + b"\r\n", b"", id="malformed-chunk"),
    pytest.param(OK + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n", b"", id="chunks-without-end"),
    pytest.param(OK + b"transfer-encoding: chunked\r\n\r\n", b"1\r\n \r\n" * 1000, id="endless-chunks"),
    pytest.param(OK + b"\r\n", b" " * 1000, id="endless-body"),
    pytest.param(_body(BOMB, b"content-encoding: gzip"), b"", id="zip-bomb"),
    pytest.param(_body(gzip.compress(BOMB), b"content-encoding: gzip, gzip"), b"", id="zip-bomb-in-a-zip-bomb"),
    pytest.param(_body(gzip.compress(SECRET)[:-9], b"content-encoding: gzip"), b"", id="half-a-gzip"),
    pytest.param(_body(SECRET, b"content-encoding: x-unknown"), b"", id="unknown-coding"),
]


@pytest.fixture
async def answering():
    """An issuer's address where these bytes are the answer to everything."""
    async with contextlib.AsyncExitStack() as servers:

        async def answering(answer, more):
            async def answer_with(reader, writer):
                with contextlib.suppress(ConnectionError):
                    await reader.readuntil(b"\r\n\r\n")
                    writer.write(answer)
                    while more:
                        writer.write(more)
                        await writer.drain()
                writer.close()

            server = await asyncio.start_server(answer_with, "127.0.0.1", 0)
            servers.callback(server.close)
            return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

        yield answering


async def _fails(url, issuer, client, clock, **options):
    verify = JWTVerifier(issuer=url, audience=AUDIENCE, clock=clock, **options)
    with pytest.raises(IssuerUnavailable) as failed:
        await verify(issuer.access_token(client, claims={"iss": url}))
    return str(failed.value)


@pytest.mark.parametrize(("answer", "more"), ANSWERS)
@pytest.mark.parametrize("where", ["metadata", "keys"])
async def test_what_is_no_answer_makes_the_issuer_unavailable(
    answering, issuer, client, clock, caplog, where, answer, more
):
    url = await answering(answer, more)
    addressed = {"jwks_uri": f"{url}/jwks"} if where == "keys" else {}
    with caplog.at_level(logging.DEBUG, "dpop_asgi"):
        message = await _fails(url, issuer, client, clock, timeout=20.0, **addressed)
    # Refused for what it is, not given up because it took so long; and nothing of it is repeated.
    assert "in time" not in message
    assert SECRET.decode() not in message + caplog.text
    assert len(message) < 300


@pytest.mark.requirement("R-7662-03")
@pytest.mark.parametrize(("answer", "more"), ANSWERS)
async def test_what_is_no_answer_about_a_token_makes_the_issuer_unavailable(
    answering, make_opaque, caplog, answer, more
):
    verify = make_opaque(endpoint=await answering(answer, more), timeout=20.0)
    with caplog.at_level(logging.DEBUG, "dpop_asgi"), pytest.raises(IssuerUnavailable) as failed:
        await verify("opaque")
    assert "in time" not in str(failed.value)
    assert SECRET.decode() not in str(failed.value) + caplog.text
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("interim", [b"100 Continue", b"103 Early Hints\r\nx: y"])
async def test_interim_answers_without_end_are_given_up(answering, issuer, client, clock, interim):
    url = await answering(b"", b"HTTP/1.1 " + interim + b"\r\n\r\n")
    assert "in time" in await _fails(url, issuer, client, clock, timeout=TIMEOUT)


async def test_a_zip_bomb_takes_no_memory(answering, issuer, client, clock):
    url = await answering(_body(BOMB, b"content-encoding: gzip"), b"")
    await _fails(url, issuer, client, clock)
    tracemalloc.start()
    try:
        await _fails(url, issuer, client, clock)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8_000_000


@pytest.fixture
def trusted_website(tmp_path, monkeypatch):
    """An issuer's website over TLS, with a certificate that is believed here."""
    certificate, key = write_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    http.tls.cache_clear()
    with Website((certificate, key)) as website:
        yield website
    http.tls.cache_clear()


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"silent": True}, id="black-hole"),
        pytest.param({"cut": Cut(100, "hang")}, id="hangs-in-the-handshake"),
        pytest.param({"cut": Cut(100)}, id="reset-in-the-handshake"),
        pytest.param({"cut": Cut(1500, "hang")}, id="hangs-in-the-answer"),
        pytest.param({"cut": Cut(1500)}, id="reset-in-the-answer"),
        pytest.param({"cut": Cut(1500, "close")}, id="closed-in-the-answer"),
    ],
)
async def test_faults_under_tls(trusted_website, client, clock, fault):
    async with FaultProxy(trusted_website.port) as proxy:
        trusted_website.url = f"https://127.0.0.1:{proxy.port}"
        issuer = Issuer(trusted_website.url, audience=AUDIENCE, clock=clock)
        trusted_website.publish(issuer)
        verify = JWTVerifier(issuer=issuer.url, audience=AUDIENCE, timeout=TIMEOUT, clock=clock)
        for name, value in fault.items():
            setattr(proxy.replies, name, value)
        with pytest.raises(IssuerUnavailable):
            await verify(issuer.access_token(client))
        await proxy.emptied()
        proxy.heal()
        verify._sources[issuer.url]._timeout = 30.0
        clock.advance(1.0)
        assert await verify(issuer.access_token(client))


async def test_a_document_in_a_thousand_pieces_is_not_read(answering, issuer, client, clock):
    document = json.dumps({"padding": "x" * 1000, **issuer.jwks}).encode()
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in document)
    url = await answering(OK + b"transfer-encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n", b"")
    assert "chunks" in await _fails(url, issuer, client, clock, jwks_uri=url)


@pytest.mark.parametrize(
    ("coding", "code"),
    [
        pytest.param(b"gzip, gzip", lambda document: gzip.compress(gzip.compress(document)), id="twice"),
        pytest.param(b"deflate", zlib.compress, id="deflate"),
        pytest.param(b"br", lambda document: document, id="brotli"),
    ],
)
async def test_a_content_coding_that_was_not_asked_for_is_not_undone(answering, issuer, client, clock, coding, code):
    document = json.dumps(issuer.jwks).encode()
    url = await answering(_body(code(document), b"content-encoding: " + coding), b"")
    assert "content coding" in await _fails(url, issuer, client, clock, jwks_uri=url)


# Whole responses that no key set can be read from


METADATA = "/.well-known/oauth-authorization-server"
BAD_ANSWERS = [
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
    for path in (METADATA, "/jwks"):
        website.publish(remote)
        website.pages[path] = page
        with pytest.raises(IssuerUnavailable):
            await verify_remote(remote.access_token(client))
        clock.advance(60.0)
    website.publish(remote)
    assert await verify_remote(remote.access_token(client))
    known = remote.access_token(client)
    remote.rotate()
    website.pages["/jwks"] = page
    clock.advance(60.0)
    with pytest.raises(IssuerUnavailable):
        await verify_remote(remote.access_token(client))
    assert await verify_remote(known)


@pytest.mark.parametrize("status", [301, 308])
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
