"""Where a redirect leads, it gets a proof of its own, and another origin gets nothing."""

from contextlib import ExitStack

import httpx2
import pytest

from dpop_asgi.client import DPoPAuth
from tests.client.peers import API, TOKEN, Peer, Pipe, Wire, challenge, file_of

ORIGIN = "https://api.example.com"
OK = httpx2.Response(200)
INVALID_PROOF = challenge("n1", 'DPoP error="invalid_dpop_proof"')


def _sent(peer, name):
    """Whether each request had this header."""
    return [name in headers for _, _, headers in peer.requests]


def _followed(by, key):
    """The options of a request whose redirects are followed by our side or by httpx2."""
    return {"auth": DPoPAuth(TOKEN, key=key, follow_redirects=by == "auth"), "follow_redirects": by == "httpx2"}


def _moved(to, status=307, nonce=None):
    return httpx2.Response(status, headers={"Location": to, **({"DPoP-Nonce": nonce} if nonce else {})})


REDIRECTS = [(301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")]
BACK = "https://api.example.com/of-their-choice"
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
@pytest.mark.parametrize(
    ("by", "error"), [("auth", "use_dpop_nonce"), ("httpx2", "use_dpop_nonce"), ("httpx2", "invalid_dpop_proof")]
)
async def test_another_origin_gets_no_token(send, key, other, by, error):
    """Nor a proof, which httpx2 would take along, nor a second request, nor is its nonce taken for one of the first."""
    peer, options = Peer(_moved(other, nonce="n1"), challenge("evil", f'DPoP error="{error}"'), OK), _followed(by, key)
    assert (await send(peer, **options)).status_code == 401
    assert _sent(peer, "authorization") == [True, False]
    assert _sent(peer, "dpop") == [True, by == "httpx2"]
    await send(peer, **options)
    assert peer.nonces[-1] == "n1"


@pytest.mark.parametrize("by", ["auth", "httpx2"])
async def test_nor_does_the_first_one_when_another_one_redirects_back(send, key, by):
    peer = Peer(_moved("https://evil.example/a"), _moved(BACK), challenge("n1"), OK)
    assert (await send(peer, **_followed(by, key))).status_code == 401
    assert _sent(peer, "authorization") == [True, False, False]
    assert _sent(peer, "dpop") == [True, *[by == "httpx2"] * 2]


async def test_nor_when_redirects_are_followed_by_hand(key):
    peer = Peer(_moved("https://evil.example/a"), _moved(BACK), OK)
    async with httpx2.AsyncClient(transport=Wire(peer), auth=DPoPAuth(TOKEN, key=key)) as http:
        response = await http.get(API)
        for _ in range(2):
            response = await http.send(response.next_request)
    assert _sent(peer, "authorization") == _sent(peer, "dpop") == [True, False, False]


async def test_a_host_that_changes_to_https_is_another_origin(send, key):
    """httpx2 would leave the token where it is."""
    peer = Peer(_moved("https://localhost/orders"), OK)
    await send(peer, auth=DPoPAuth(TOKEN, key=key, follow_redirects=True), url="http://localhost/orders")
    assert _sent(peer, "authorization") == _sent(peer, "dpop") == [True, False]


@pytest.mark.parametrize(("status", "sent_to"), [(307, 1), (303, 2)])
async def test_a_body_that_was_consumed_is_not_taken_along(send, key, status, sent_to):
    peer = Peer(_moved("/new", status), OK)
    pipe = {"files": {"f": Pipe()}}
    response = await send(peer, auth=DPoPAuth(TOKEN, key=key, follow_redirects=True), method="POST", **pipe)
    assert (response.has_redirect_location, len(peer.requests)) == (sent_to == 1, sent_to)


async def test_a_file_is_taken_along_whole(send, key):
    peer = Peer(_moved("/new"), challenge("n1"), OK)
    with ExitStack() as stack:
        auth, files = DPoPAuth(TOKEN, key=key, follow_redirects=True), {"f": file_of(stack)}
        assert (await send(peer, auth=auth, method="POST", files=files)).status_code == 200
    assert peer.bodies == [peer.bodies[0]] * 3
    assert peer.bodies[0].count(b"x") >= 100_000


@pytest.mark.parametrize("by", ["auth", "httpx2"])
async def test_redirects_in_a_circle_end(send, key, by):
    peer = Peer(*[_moved("/a"), *[INVALID_PROOF] * (by == "httpx2")] * 50)
    with pytest.raises(httpx2.TooManyRedirects):
        await send(peer, **_followed(by, key))


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
