"""`DPoPAuth` in both clients of httpx2: bodies, redirects, and where the token comes from."""

import asyncio
import gzip
import io
import logging
from contextlib import ExitStack, nullcontext
from tempfile import TemporaryFile

import httpx2
import pytest

from dpop_asgi.client import ClientCredentials, DPoPAuth, TokenError
from tests.client.peers import API, TOKEN, TOKEN_URL, Peer, Wire, challenge, issued

ORIGIN = "https://api.example.com"
OK = httpx2.Response(200)
INVALID_PROOF = challenge("n1", 'DPoP error="invalid_dpop_proof"')


async def test_a_request_has_the_token_and_a_proof_for_it(send, key):
    peer = Peer(OK)
    response = await send(peer, auth=DPoPAuth(TOKEN, key=key), url=f"{API}?a=b#c", headers={"Authorization": "Basic x"})
    assert response.status_code == 200
    [(_, _, headers)] = peer.requests
    assert headers["authorization"] == f"DPoP {TOKEN}"
    assert peer.proofs[0]["htu"] == API


async def test_userinfo_of_a_url_is_in_no_proof(send, key):
    peer = Peer(OK)
    await send(peer, auth=DPoPAuth(TOKEN, key=key), url="https://alice:hunter2@api.example.com/orders")
    assert peer.proofs[0]["htu"] == API


@pytest.mark.parametrize("source", [TOKEN, lambda: pytest.fail("asked for the token")], ids=["token", "function"])
async def test_no_token_is_sent_over_plain_http_to_another_machine(send, key, source):
    with pytest.raises(ValueError, match=r"^insecure_http_hosts: without api in it, no token is sent to http://api$"):
        await send(Peer(OK), auth=DPoPAuth(source, key=key), url="http://api:8000/orders")


@pytest.mark.parametrize(("host", "allowed"), [("api:8000", ["API"]), ("127.0.0.1:8000", []), ("[::1]", [])])
async def test_a_token_is_sent_over_plain_http_to_this_machine_and_to_hosts_that_are_named(send, key, host, allowed):
    peer = Peer(OK)
    await send(peer, auth=DPoPAuth(TOKEN, key=key, insecure_http_hosts=allowed), url=f"http://{host}/orders")
    assert peer.proofs[0]["htu"] == f"http://{host}/orders"


async def test_a_server_that_always_challenges_is_asked_twice_and_its_401_is_the_result(send, key):
    peer, auth = Peer(challenge("n1"), challenge("n2")), DPoPAuth(TOKEN, key=key)
    assert (await send(peer, auth=auth)).status_code == 401
    assert peer.nonces == [None, "n1"]
    await send(peer, auth=auth)
    assert peer.nonces[2:] == ["n2", "n2"]


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
PACKED = gzip.compress(gzip.compress(issued().content))


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


@pytest.mark.parametrize("coding", ["gzip, gzip", "br"])
async def test_a_token_in_codings_that_can_stand_for_any_length_is_refused(send, key, coding):
    def respond(_request, _body):
        return httpx2.Response(200, headers={"content-encoding": coding}, stream=httpx2.ByteStream(PACKED))

    with pytest.raises(TokenError):
        await send(respond, auth=DPoPAuth(CREDENTIALS, key=key))


# Bodies


def _file(stack):
    """One that is not read from its beginning."""
    file = stack.enter_context(TemporaryFile())  # noqa: SIM115 - the stack is one
    file.write(b"skipped" + b"x" * 100_000)
    file.seek(len(b"skipped"))
    return file


class _Pipe(io.RawIOBase):
    """A file that knows no way back."""

    def __init__(self):
        self._parts = [b"x" * 100_000]

    def readable(self):
        return True

    def read(self, _size=-1):
        return self._parts.pop() if self._parts else b""


BODIES = {
    "bytes": (lambda _: {"content": b"x" * 100_000}, True, "both"),
    "JSON": (lambda _: {"json": {"a": "x" * 100_000}}, True, "both"),
    "form": (lambda _: {"data": {"a": "x" * 100_000}}, True, "both"),
    "multipart of bytes": (lambda _: {"files": {"f": b"x" * 100_000}, "data": {"a": "b"}}, True, "both"),
    "multipart of a file": (lambda stack: {"files": {"f": _file(stack)}}, True, "both"),
    "multipart of a pipe": (lambda _: {"files": {"f": _Pipe()}}, False, "both"),
    "file": (lambda stack: {"content": _file(stack)}, True, "sync"),
    "pipe": (lambda _: {"content": _Pipe()}, False, "sync"),
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


# Redirects


def _with_credentials(peer):
    """Whether each request had a token, or a proof, or both."""
    return [bool({"authorization", "dpop"} & headers.keys()) for _, _, headers in peer.requests]


def _moved(to, status=307, nonce=None):
    return httpx2.Response(status, headers={"Location": to, **({"DPoP-Nonce": nonce} if nonce else {})})


REDIRECTS = [(301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")]
ELSEWHERE = ["https://evil.example/a", "https://api.example.com:8443/a"]


@pytest.mark.parametrize(("status", "method"), REDIRECTS)
async def test_a_redirect_gets_a_proof_for_its_own_uri_and_method(send, key, status, method):
    peer = Peer(_moved("/new", status, "n1"), OK)
    response = await send(peer, auth=DPoPAuth(TOKEN, key=key, follow_redirects=True), method="POST", content=b"x")
    assert (response.status_code, str(response.url)) == (200, "https://api.example.com/new")
    assert [(proof["htm"], proof["htu"]) for proof in peer.proofs] == [("POST", API), (method, f"{ORIGIN}/new")]
    assert peer.nonces == [None, "n1"]
    assert len({proof["jti"] for proof in peer.proofs}) == 2
    assert peer.bodies == [b"x", b"x" if method == "POST" else b""]


@pytest.mark.parametrize("other", ELSEWHERE)
async def test_another_origin_gets_neither_token_nor_proof(send, key, other):
    """Nor a second request, nor is its nonce taken for one of the first origin."""
    peer = Peer(_moved(other, nonce="n1"), challenge("evil"), OK)
    auth = DPoPAuth(TOKEN, key=key, follow_redirects=True)
    assert (await send(peer, auth=auth)).status_code == 401
    assert _with_credentials(peer) == [True, False]
    await send(peer, auth=auth)
    assert peer.nonces[-1] == "n1"


async def test_nor_does_the_first_one_when_another_one_redirects_back(send, key):
    peer = Peer(_moved("https://evil.example/a"), _moved("https://api.example.com/of-their-choice"), challenge("n1"))
    response = await send(peer, auth=DPoPAuth(TOKEN, key=key, follow_redirects=True))
    assert (response.status_code, _with_credentials(peer)) == (401, [True, False, False])


async def test_nor_when_redirects_are_followed_by_hand(key):
    peer = Peer(_moved("https://evil.example/a"), _moved("https://api.example.com/of-their-choice"), OK)
    async with httpx2.AsyncClient(transport=Wire(peer), auth=DPoPAuth(TOKEN, key=key)) as http:
        response = await http.get(API)
        for _ in range(2):
            response = await http.send(response.next_request)
    assert _with_credentials(peer) == [True, False, False]


async def test_a_host_that_changes_to_https_is_another_origin(send, key):
    """httpx2 would leave the token where it is."""
    peer = Peer(_moved("https://localhost/orders"), OK)
    await send(peer, auth=DPoPAuth(TOKEN, key=key, follow_redirects=True), url="http://localhost/orders")
    assert _with_credentials(peer) == [True, False]


@pytest.mark.parametrize(("status", "sent_to"), [(307, 1), (303, 2)])
async def test_a_body_that_was_consumed_is_not_taken_along(send, key, status, sent_to):
    peer = Peer(_moved("/new", status), OK)
    pipe = {"files": {"f": _Pipe()}}
    response = await send(peer, auth=DPoPAuth(TOKEN, key=key, follow_redirects=True), method="POST", **pipe)
    assert (response.has_redirect_location, len(peer.requests)) == (sent_to == 1, sent_to)


async def test_a_file_is_taken_along_whole(send, key):
    peer = Peer(_moved("/new"), challenge("n1"), OK)
    with ExitStack() as stack:
        auth, files = DPoPAuth(TOKEN, key=key, follow_redirects=True), {"f": _file(stack)}
        assert (await send(peer, auth=auth, method="POST", files=files)).status_code == 200
    assert peer.bodies == [peer.bodies[0]] * 3
    assert peer.bodies[0].count(b"x") >= 100_000


@pytest.mark.parametrize("by", ["auth", "httpx2"])
async def test_redirects_in_a_circle_end(send, key, by):
    peer = Peer(*[_moved("/a"), *[INVALID_PROOF] * (by == "httpx2")] * 50)
    auth = DPoPAuth(TOKEN, key=key, follow_redirects=by == "auth")
    with pytest.raises(httpx2.TooManyRedirects):
        await send(peer, auth=auth, follow_redirects=by == "httpx2")


# Redirects that httpx2 follows by itself


@pytest.mark.parametrize(("status", "method"), REDIRECTS)
async def test_a_redirect_that_httpx2_follows_gets_a_proof_after_its_challenge(send, key, status, method):
    peer = Peer(_moved("/new", status, "n0"), INVALID_PROOF, OK)
    response = await send(peer, auth=DPoPAuth(TOKEN, key=key), method="POST", content=b"x", follow_redirects=True)
    assert (response.status_code, str(response.url)) == (200, f"{ORIGIN}/new")
    proofs = [("POST", API), ("POST", API), (method, f"{ORIGIN}/new")]
    assert [(proof["htm"], proof["htu"]) for proof in peer.proofs] == proofs
    assert peer.proofs[2]["nonce"] == "n1"
    assert [body for body in peer.bodies if body] == [b"x"] * (3 if method == "POST" else 1)


async def test_after_a_redirect_a_nonce_challenge_is_met_once_as_well(send, key):
    peer = Peer(_moved("/new"), INVALID_PROOF, challenge("n2"), challenge("n3"))
    response = await send(peer, auth=DPoPAuth(TOKEN, key=key), follow_redirects=True)
    assert response.status_code == 401
    assert peer.nonces == [None, None, "n1", "n2"]


async def test_a_redirect_to_what_is_public_needs_no_further_request(send, key):
    peer = Peer(_moved("/public"), OK)
    assert (await send(peer, auth=DPoPAuth(TOKEN, key=key), follow_redirects=True)).status_code == 200
    assert len(peer.requests) == 2


@pytest.mark.parametrize("other", ELSEWHERE)
@pytest.mark.parametrize("line", ['DPoP error="use_dpop_nonce"', 'DPoP error="invalid_dpop_proof"'])
async def test_another_origin_that_httpx2_goes_to_gets_no_token(send, key, other, line):
    peer, auth = Peer(_moved(other, nonce="n1"), challenge("evil", line), OK), DPoPAuth(TOKEN, key=key)
    response = await send(peer, auth=auth, follow_redirects=True)
    assert response.status_code == 401
    assert ["authorization" in headers for _, _, headers in peer.requests] == [True, False]
    await send(peer, auth=auth)
    assert peer.nonces[-1] == "n1"


async def test_nor_does_the_first_one_when_httpx2_goes_there_and_back(send, key):
    back = "https://api.example.com/of-their-choice"
    peer, auth = Peer(_moved("https://evil.example/a"), _moved(back), challenge("n1"), OK), DPoPAuth(TOKEN, key=key)
    assert (await send(peer, auth=auth, follow_redirects=True)).status_code == 401
    assert ["authorization" in headers for _, _, headers in peer.requests] == [True, False, False]


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


async def test_no_secret_is_logged_or_shown(send, key, caplog):
    caplog.set_level(logging.DEBUG)
    auth = DPoPAuth("hunter2", key=key)
    response = await send(Peer(challenge("hunter3"), OK), auth=auth)
    proof = response.request.headers["dpop"]
    secret = ClientCredentials("https://id.example.com/token", "client", "hunter4")
    for text in (caplog.text, repr(auth), repr(DPoPAuth(secret, key=key)), repr(secret)):
        assert [word for word in ("hunter", proof) if word in text] == []
