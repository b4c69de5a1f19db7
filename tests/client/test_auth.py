"""`DPoPAuth` in both clients of httpx2: bodies, redirects, and where the token comes from."""

import asyncio
import gzip
import logging
from contextlib import ExitStack, nullcontext

import httpx2
import pytest

from dpop_asgi.client import ClientCredentials, DPoPAuth, TokenError
from tests.client.peers import API, TOKEN, TOKEN_URL, Peer, Pipe, Wire, challenge, file_of, issued

OK = httpx2.Response(200)


@pytest.mark.parametrize("url", [f"{API}?a=b#c", "https://alice:hunter2@api.example.com/orders"])
async def test_a_request_has_the_token_and_a_proof_for_it(send, key, url):
    peer = Peer(OK)
    response = await send(peer, auth=DPoPAuth(TOKEN, key=key), url=url, headers={"Authorization": "Basic x"})
    assert response.status_code == 200
    [(_, _, headers)] = peer.requests
    assert headers["authorization"] == f"DPoP {TOKEN}"
    assert peer.proofs[0]["htu"] == API


@pytest.mark.parametrize("scheme", ["http", "ws"])
@pytest.mark.parametrize("source", [TOKEN, lambda: pytest.fail("asked for the token")], ids=["token", "function"])
async def test_no_token_is_sent_unencrypted_to_another_machine(send, key, source, scheme):
    told = f"^insecure_http_hosts: without api in it, no token is sent to {scheme}://api$"
    with pytest.raises(ValueError, match=told):
        await send(Peer(OK), auth=DPoPAuth(source, key=key), url=f"{scheme}://api:8000/orders")


@pytest.mark.parametrize(("host", "allowed"), [("api:8000", ["API"]), ("127.0.0.1:8000", []), ("[::1]", [])])
async def test_a_token_is_sent_over_plain_http_to_this_machine_and_to_hosts_that_are_named(send, key, host, allowed):
    peer = Peer(OK)
    await send(peer, auth=DPoPAuth(TOKEN, key=key, insecure_http_hosts=allowed), url=f"http://{host}/orders")
    assert peer.proofs[0]["htu"] == f"http://{host}/orders"


async def test_a_request_costs_one_signature(send, monkeypatch, key):
    signed, sign = [], key._sign
    monkeypatch.setattr(key, "_sign", lambda message: signed.append(1) or sign(message))
    peer, auth = Peer(challenge("n1"), OK), DPoPAuth(TOKEN, key=key)
    for signatures in (2, 3, 4):
        await send(peer, auth=auth)
        assert len(signed) == signatures


class Endless(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A body without end, and how much of it was read."""

    read = 0

    def __iter__(self):
        while self.read < 10_000_000:
            self.read += 10_000
            yield b" " * 10_000

    async def __aiter__(self):
        for part in self:
            yield part


CREDENTIALS = ClientCredentials(TOKEN_URL, "client", "secret")
PACKED = gzip.compress(issued().content)


@pytest.mark.parametrize("token", [TOKEN, CREDENTIALS], ids=["challenge-of-an-api", "token-endpoint"])
async def test_of_a_response_without_end_only_the_beginning_is_read(send, key, token):
    """Before the second try httpx2 reads the challenge to its end, even if the caller streams responses."""
    endless, seen = Endless(), []

    def respond(request, _body):
        seen.append(request.url)
        if token is CREDENTIALS:
            return httpx2.Response(200, stream=endless)
        headers = challenge().headers
        return httpx2.Response(200) if len(seen) > 1 else httpx2.Response(401, headers=headers, stream=endless)

    with pytest.raises(TokenError) if token is CREDENTIALS else nullcontext():
        assert (await send(respond, auth=DPoPAuth(token, key=key))).status_code == 200
    assert 0 < endless.read < 200_000


@pytest.mark.parametrize(
    ("coding", "packed"),
    [("gzip", PACKED), ("gzip, gzip", gzip.compress(PACKED)), ("br", PACKED)],
    ids=["once", "twice", "another"],
)
async def test_a_token_in_a_coding_that_can_stand_for_any_length_is_refused(send, key, coding, packed):
    def respond(_request, _body):
        return httpx2.Response(200, headers={"content-encoding": coding}, stream=httpx2.ByteStream(packed))

    with pytest.raises(TokenError):
        await send(respond, auth=DPoPAuth(CREDENTIALS, key=key))


async def test_a_compressed_challenge_is_answered_and_stays_compressed(send, key):
    bomb, seen = gzip.compress(bytes(5_000_000)), []

    def respond(request, _body):
        seen.append(request)
        headers = {**challenge().headers, "content-encoding": "gzip"}
        packed = httpx2.Response(401, headers=headers, stream=httpx2.ByteStream(bomb))
        return httpx2.Response(200) if len(seen) > 1 else packed

    response = await send(respond, auth=DPoPAuth(TOKEN, key=key))
    assert (response.status_code, response.history[0].content) == (200, bomb)


# Bodies


BODIES = {
    "bytes": (lambda _: {"content": b"x" * 100_000}, True, "both"),
    "JSON": (lambda _: {"json": {"a": "x" * 100_000}}, True, "both"),
    "form": (lambda _: {"data": {"a": "x" * 100_000}}, True, "both"),
    "multipart of bytes": (lambda _: {"files": {"f": b"x" * 100_000}, "data": {"a": "b"}}, True, "both"),
    "multipart of a file": (lambda stack: {"files": {"f": file_of(stack)}}, True, "both"),
    "multipart of a pipe": (lambda _: {"files": {"f": Pipe()}}, False, "both"),
    "file": (lambda stack: {"content": file_of(stack)}, True, "sync"),
    "pipe": (lambda _: {"content": Pipe()}, False, "sync"),
    "generator": (lambda _: {"content": (b"x" * 50_000 for _ in range(2))}, False, "sync"),
    "iterator": (lambda _: {"content": iter([b"x" * 100_000])}, False, "sync"),
    "async generator": (lambda _: {"content": _parts()}, False, "async"),
}


async def _parts():
    yield b"x" * 50_000
    yield b"x" * 50_000


@pytest.mark.parametrize(("body", "again", "of"), [pytest.param(*row, id=name) for name, row in BODIES.items()])
async def test_a_body_is_sent_again_whole_or_not_at_all(send, key, request, body, again, of):
    if of not in {"both", request.node.callspec.params["send"]}:
        return
    peer, auth = Peer(challenge("n1"), OK), DPoPAuth(TOKEN, key=key)
    with ExitStack() as stack:
        response = await send(peer, auth=auth, method="POST", **body(stack))
    assert response.status_code == (200 if again else 401)
    assert len(peer.bodies) == (2 if again else 1)
    assert peer.bodies[0].count(b"x") >= 100_000
    assert peer.bodies[-1] == peer.bodies[0]
    # With the nonce that was learned it would have been accepted at once.
    assert (await send(peer, auth=auth, method="POST", content=b"")).status_code == 200


def test_an_upload_that_nobody_can_know_is_not_sent_again(key):
    class Custom(httpx2.SyncByteStream):
        def __iter__(self):
            yield b"x"

    peer = Peer(challenge("n1"), OK)
    with httpx2.Client(transport=Wire(peer), auth=DPoPAuth(TOKEN, key=key)) as http:
        response = http.send(httpx2.Request("POST", API, stream=Custom()))
    assert (response.status_code, len(peer.requests)) == (401, 1)


# Tokens


async def test_a_function_is_asked_for_the_token_of_each_request(send, key):
    tokens, peer = iter(["first", "second"]), Peer(OK)
    auth = DPoPAuth(lambda: next(tokens), key=key)
    for _ in range(2):
        await send(peer, auth=auth)
    assert [headers["authorization"] for _, _, headers in peer.requests] == ["DPoP first", "DPoP second"]
    assert peer.proofs[0]["ath"] != peer.proofs[1]["ath"]


async def _from_elsewhere():
    await asyncio.sleep(0)
    return TOKEN


async def test_a_function_may_be_async_for_the_async_client_only(send, key, request):
    peer, auth = Peer(OK), DPoPAuth(_from_elsewhere, key=key)
    if request.node.callspec.params["send"] == "async":
        assert (await send(peer, auth=auth)).status_code == 200
    else:
        with pytest.raises(ValueError, match=r"^token: must be a plain function"):
            await send(peer, auth=auth)
        assert peer.requests == []


@pytest.mark.parametrize("returned", [None, b"hunter2", "hunter2\r\nX: y", "", "hunter 2"])
async def test_what_a_function_returns_must_be_a_token(send, key, returned):
    with pytest.raises(ValueError, match=r"^token: must return an access token$"):
        await send(Peer(OK), auth=DPoPAuth(lambda: returned, key=key))


async def test_what_a_function_raises_is_raised(send, key):
    with pytest.raises(ZeroDivisionError):
        await send(Peer(OK), auth=DPoPAuth(lambda: 1 / 0, key=key))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        pytest.param({"token": ""}, "token", id="empty token"),
        pytest.param({"token": "hunter2\n"}, "token", id="line break"),
        pytest.param({"token": None}, "token", id="no token"),
        pytest.param({"token": "hunter2" * 10_000}, "token", id="huge token"),
        pytest.param({"key": "hunter2"}, "key", id="no key"),
        pytest.param({"follow_redirects": "hunter2"}, "follow_redirects", id="not a bool"),
    ],
)
def test_a_wrong_option_is_named_and_not_shown(key, options, named):
    with pytest.raises(ValueError, match=f"^{named}: ") as caught:
        DPoPAuth(**{"token": TOKEN, "key": key, **options})
    assert "hunter2" not in str(caught.value)


async def test_no_secret_is_logged(send, key, caplog):
    """Nor shown: see `redaction/test_printed`."""
    caplog.set_level(logging.DEBUG)
    response = await send(Peer(challenge("hunter3"), OK), auth=DPoPAuth("hunter2", key=key))
    assert [word for word in ("hunter", response.request.headers["dpop"]) if word in caplog.text] == []
