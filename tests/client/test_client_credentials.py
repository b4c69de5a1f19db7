"""Tokens that are fetched: bound to the key, renewed in time, once for all who wait, and refused when they are not."""

from base64 import b64decode

import httpx2
import pytest

from dpop_asgi.client import ClientCredentials, DPoPAuth, TokenError
from tests.client.peers import API, TOKEN_URL, Issuing, Wire, challenge, endpoint_error, issued

CREDENTIALS = ClientCredentials(TOKEN_URL, "my client", "hunter2:/+", scope="a b", resource=API)
USE_NONCE = endpoint_error("use_dpop_nonce", nonce="as1")


@pytest.fixture
def auth(key, clock):
    return DPoPAuth(CREDENTIALS, key=key, clock=clock)


async def test_a_token_is_fetched_with_a_proof_and_used(send, auth):
    peer = Issuing(issued("t1"))
    for _ in range(3):
        assert (await send(peer, auth=auth)).status_code == 200
    assert peer.tokens == ["t1"] * 3
    [(method, url, headers)] = peer.endpoint.requests
    assert (method, url) == ("POST", TOKEN_URL)
    assert b64decode(headers["authorization"].removeprefix("Basic ")) == b"my+client:hunter2%3A%2F%2B"
    assert peer.forms == [{"grant_type": ["client_credentials"], "scope": ["a b"], "resource": [API]}]
    assert headers["accept-encoding"] == "identity"
    [proof] = peer.endpoint.proofs
    assert (proof["htm"], proof["htu"], "ath" in proof) == ("POST", TOKEN_URL, False)


async def test_what_is_not_asked_for_is_not_sent(send, key):
    peer = Issuing(issued())
    credentials = ClientCredentials(TOKEN_URL, "client", "secret", resource=["https://a.example", "https://b.example"])
    await send(peer, auth=DPoPAuth(credentials, key=key))
    assert peer.forms == [
        {"grant_type": ["client_credentials"], "resource": ["https://a.example", "https://b.example"]}
    ]


async def test_the_token_endpoints_nonce_is_used_from_then_on(send, auth, clock):
    peer = Issuing(USE_NONCE, issued("t1"), issued("t2"))
    await send(peer, auth=auth)
    clock.advance(3600)
    await send(peer, auth=auth)
    assert peer.endpoint.nonces == [None, "as1", "as1"]
    assert peer.tokens == ["t1", "t2"]


@pytest.mark.parametrize(("given", "read"), [(1.25, 1.25), (None, 30.0)])
async def test_the_token_request_has_the_timeouts_of_the_request_that_needs_it_if_there_are_any(key, given, read):
    seen = []

    def respond(request, _body):
        seen.append(request.extensions["timeout"]["read"])
        return issued()

    async with httpx2.AsyncClient(transport=Wire(respond), auth=DPoPAuth(CREDENTIALS, key=key)) as http:
        await http.get(API, timeout=given)
    assert seen == [read, given]


# How long a token is used

LIVES = {
    "an hour: a minute early": (3600, 3539.0, 3541.0),
    "a minute: a tenth early": (60, 53.0, 55.0),
    "nothing said": (None, 10.0**9, None),
    "a text": ("3600", 10.0**9, None),
    "true": (True, 10.0**9, None),
    "gone at once": (0, None, 0.0),
    "negative": (-5, None, 0.0),
}


@pytest.mark.parametrize(("life", "kept", "renewed"), [pytest.param(*row, id=name) for name, row in LIVES.items()])
async def test_a_token_is_renewed_before_it_expires(send, auth, clock, life, kept, renewed):
    peer, begin = Issuing(issued("t1", expires_in=life), issued("t2", expires_in=life)), clock.now
    await send(peer, auth=auth)
    for after, token in ((kept, "t1"), (renewed, "t2")):
        if after is not None:
            clock.now = begin + after
            await send(peer, auth=auth)
            assert peer.tokens[-1] == token


async def test_while_renewal_fails_a_valid_token_is_used_and_the_endpoint_left_in_peace(send, auth, clock):
    peer = Issuing(issued("t1"), endpoint_error("temporarily_unavailable", status=503), issued("t2"))
    await send(peer, auth=auth)
    clock.advance(3541)
    for _ in range(3):
        await send(peer, auth=auth)
    assert (peer.tokens, len(peer.endpoint.requests)) == (["t1"] * 4, 2)
    clock.advance(6)
    await send(peer, auth=auth)
    assert peer.tokens[-1] == "t2"


async def test_while_the_endpoint_does_not_respond_one_request_in_five_seconds_fails(send, auth, clock):
    """httpx2 has no way to go on with a request whose token request had no response."""

    class Unreachable(Issuing):
        def __call__(self, request, body):
            if str(request.url) == TOKEN_URL and self.tokens:
                raise httpx2.ConnectError("refused", request=request)
            return super().__call__(request, body)

    peer = Unreachable(issued("t1"))
    await send(peer, auth=auth)
    clock.advance(3541)
    for _ in range(3):
        with pytest.raises(httpx2.ConnectError):
            await send(peer, auth=auth)
        for _ in range(2):
            assert (await send(peer, auth=auth)).status_code == 200
        clock.advance(5)
    assert peer.tokens == ["t1"] * 7


async def test_an_expired_token_is_never_sent(send, auth, clock):
    peer = Issuing(issued("t1"), endpoint_error("temporarily_unavailable", status=503))
    await send(peer, auth=auth)
    clock.advance(3600)
    with pytest.raises(TokenError):
        await send(peer, auth=auth)
    assert peer.tokens == ["t1"]


@pytest.mark.parametrize(
    ("age", "line", "fetches"),
    [
        pytest.param(11, 'DPoP error="invalid_token"', 2, id="rejected"),
        pytest.param(1, 'DPoP error="invalid_token"', 1, id="rejected as soon as it was issued"),
        pytest.param(11, 'DPoP error="insufficient_user_authentication"', 1, id="another error"),
    ],
)
async def test_a_token_that_an_api_rejects_is_fetched_anew_for_the_next_request(send, auth, clock, age, line, fetches):
    class Rejecting(Issuing):
        def __call__(self, request, body):
            response = super().__call__(request, body)
            return response if str(request.url) == TOKEN_URL else challenge(None, line)

    peer = Rejecting(issued())
    await send(peer, auth=auth)
    clock.advance(age)
    assert (await send(peer, auth=auth)).status_code == 401
    await send(peer, auth=auth)
    assert len(peer.endpoint.requests) == fetches


# What is refused

REFUSED = {
    "invalid_client": (
        [endpoint_error("invalid_client", status=401, error_description="hunter2")],
        "invalid_client",
        401,
    ),
    "always a challenge": ([USE_NONCE, endpoint_error("use_dpop_nonce", nonce="as2")], "use_dpop_nonce", 400),
    "no JSON": ([httpx2.Response(502, content=b"hunter2")], None, 502),
    "an error that is none": ([endpoint_error('hunter2"\n')], None, 400),
    "an error of 1 KB": ([endpoint_error("hunter2" * 150)], None, 400),
    "an error of another type": ([endpoint_error(["hunter2"])], None, 400),
    "Bearer": ([issued("hunter2", token_type="Bearer")], None, 200),
    "no type": ([issued("hunter2", token_type=None)], None, 200),
    "a type of another type": ([issued("hunter2", token_type=["DPoP"])], None, 200),
    "no token": ([issued(None)], None, 200),
    "a token that splits headers": ([issued("hunter2\r\nX: y")], None, 200),
    "a huge token": ([issued("hunter2" * 5000)], None, 200),
    "a list": ([httpx2.Response(200, json=["hunter2"])], None, 200),
    "a huge response": ([issued("t", more="hunter2" * 20_000)], None, 200),
    "a name twice": (
        [httpx2.Response(200, content=b'{"token_type":"DPoP","access_token":"a","access_token":"hunter2"}')],
        None,
        200,
    ),
    "a redirect": ([httpx2.Response(307, headers={"Location": "/hunter2"})], None, 307),
    "created": ([httpx2.Response(201, json={"access_token": "hunter2", "token_type": "DPoP"})], None, 201),
}


@pytest.mark.parametrize(
    ("responses", "error", "status"), [pytest.param(*row, id=name) for name, row in REFUSED.items()]
)
async def test_anything_but_a_bound_token_is_an_error_without_secrets(send, auth, responses, error, status):
    peer = Issuing(*responses)
    with pytest.raises(TokenError) as caught:
        await send(peer, auth=auth)
    assert (caught.value.error, caught.value.status, peer.tokens) == (error, status, [])
    assert len(peer.endpoint.requests) == len(responses)
    assert "hunter2" not in repr(caught.value)
    assert error is None or error in str(caught.value)


@pytest.mark.parametrize("token_type", ["DPoP", "dpop", "DPOP"])
async def test_the_token_type_has_no_case(send, auth, token_type):
    assert (await send(Issuing(issued(token_type=token_type)), auth=auth)).status_code == 200


async def test_no_redirect_takes_a_token_request_elsewhere(send, auth):
    def respond(request, _body):
        return httpx2.Response(307, headers={"Location": "/other"}) if str(request.url) == TOKEN_URL else issued("t")

    with pytest.raises(TokenError, match="redirects"):
        await send(respond, auth=auth, follow_redirects=True)


@pytest.mark.parametrize(
    ("changes", "option"),
    [
        pytest.param({"token_url": "http://id.example.com/token"}, "token_url", id="not encrypted"),
        pytest.param({"token_url": "https://u:hunter2@id.example.com/token"}, "token_url", id="userinfo"),
        pytest.param({"token_url": "https://id.example.com/token#hunter2"}, "token_url", id="fragment"),
        pytest.param({"token_url": "/token"}, "token_url", id="relative"),
        pytest.param({"client_id": ""}, "client_id", id="no client"),
        pytest.param({"client_secret": ""}, "client_secret", id="no secret"),
        pytest.param({"scope": ["hunter2"]}, "scope", id="a list of scopes"),
    ],
)
def test_wrong_credentials_are_an_error_that_names_the_option(changes, option):
    with pytest.raises(ValueError, match=f"^{option}: ") as caught:
        ClientCredentials(**{"token_url": TOKEN_URL, "client_id": "c", "client_secret": "hunter2", **changes})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000/token", "http://[::1]:80/t", "http://localhost/t?tenant=1"])
def test_on_this_machine_http_will_do(url):
    assert "hunter2" not in repr(ClientCredentials(url, "c", "hunter2"))
