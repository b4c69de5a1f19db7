"""Tokens that are fetched: bound to the key, renewed in time, once for all who wait, and refused when they are not."""

import asyncio
import threading
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from dpop_asgi.client import ClientCredentials, DPoPAuth, TokenError
from dpop_asgi.testing import ManualClock
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


async def test_the_token_request_has_the_timeouts_of_the_request_that_needs_it(key):
    seen = []

    def respond(request, _body):
        seen.append(request.extensions["timeout"]["read"])
        return issued()

    async with httpx2.AsyncClient(transport=Wire(respond), auth=DPoPAuth(CREDENTIALS, key=key)) as http:
        await http.get(API, timeout=1.25)
    assert seen == [1.25, 1.25]


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


# Once for all who wait


class Gate:
    """A token endpoint that responds when it is let."""

    def __init__(self, *responses):
        self.peer = Issuing(*responses)
        self.reached, self.open = threading.Event(), threading.Event()

    def __call__(self, request, body):
        return self.peer(request, body)

    def at(self, request):
        return str(request.url) == TOKEN_URL


async def _until(condition):
    while not condition():  # noqa: ASYNC110 - what sets it may be a thread
        await asyncio.sleep(0)


class SyncWire(httpx2.BaseTransport):
    def __init__(self, gate):
        self._gate = gate

    def handle_request(self, request):
        if self._gate.at(request):
            self._gate.reached.set()
            assert self._gate.open.wait(10)
        return self._gate(request, b"".join(request.stream))


class AsyncWire(httpx2.AsyncBaseTransport):
    def __init__(self, gate):
        self._gate = gate

    async def handle_async_request(self, request):
        if self._gate.at(request):
            self._gate.reached.set()
            await _until(self._gate.open.is_set)
        return self._gate(request, b"".join([part async for part in request.stream]))


async def _waiting(auth, count):
    """Until so many wait for a fetch."""
    await _until(lambda: auth._bound._flight is not None and len(auth._bound._flight._done_callbacks) >= count)


OUTCOMES = [
    pytest.param([issued("t1")], {"t1"}, id="issued"),
    pytest.param([endpoint_error("invalid_client", status=401)], {"invalid_client"}, id="refused"),
]


@pytest.mark.parametrize(("responses", "outcome"), OUTCOMES)
def test_threads_that_wait_share_one_fetch(auth, responses, outcome):
    gate = Gate(*responses)

    def ask(_):
        with httpx2.Client(transport=SyncWire(gate), auth=auth) as http:
            try:
                return http.get(API).request.headers["authorization"].removeprefix("DPoP ")
            except TokenError as error:
                return error.error

    with ThreadPoolExecutor(8) as threads:
        asked = threads.map(ask, range(8))
        assert gate.reached.wait(10)
        gate.open.set()
        assert set(asked) == outcome
    # One that came only after a refusal has asked for itself.
    assert outcome != {"t1"} or len(gate.peer.endpoint.requests) == 1


@pytest.mark.parametrize(("responses", "outcome"), OUTCOMES)
async def test_tasks_that_wait_share_one_fetch(auth, responses, outcome):
    gate = Gate(*responses)
    async with httpx2.AsyncClient(transport=AsyncWire(gate), auth=auth) as http:
        tasks = [asyncio.create_task(http.get(API)) for _ in range(20)]
        await _waiting(auth, 19)
        gate.open.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    found = {
        getattr(one, "error", None) or one.request.headers["authorization"].removeprefix("DPoP ") for one in results
    }
    assert found == outcome
    assert len(gate.peer.endpoint.requests) == 1


async def test_tasks_and_threads_share_one_fetch(auth):
    gate = Gate(issued("t1"))

    def in_thread():
        with httpx2.Client(transport=SyncWire(gate), auth=auth) as http:
            return http.get(API).status_code

    async with httpx2.AsyncClient(transport=AsyncWire(gate), auth=auth) as http:
        first = asyncio.create_task(http.get(API))
        await _until(gate.reached.is_set)
        second = asyncio.create_task(asyncio.to_thread(in_thread))
        third = asyncio.create_task(http.get(API))
        await _waiting(auth, 1)
        gate.open.set()
        await asyncio.gather(first, second, third)
    assert len(gate.peer.endpoint.requests) == 1


async def test_while_one_renews_the_others_use_the_token_that_is_still_valid(auth, clock):
    gate = Gate(issued("t1"), issued("t2"))
    gate.open.set()
    async with httpx2.AsyncClient(transport=AsyncWire(gate), auth=auth) as http:
        await http.get(API)
        gate.open.clear()
        gate.reached.clear()
        clock.advance(3541)
        renewing = asyncio.create_task(http.get(API))
        await _until(gate.reached.is_set)
        await http.get(API)
        assert gate.peer.tokens == ["t1", "t1"]
        gate.open.set()
        await renewing
        await http.get(API)
    assert gate.peer.tokens[2:] == ["t2", "t2"]


async def test_who_fetches_may_be_cancelled_and_another_one_takes_over(auth):
    gate = Gate(issued("t1"))
    async with httpx2.AsyncClient(transport=AsyncWire(gate), auth=auth) as http:
        first = asyncio.create_task(http.get(API))
        await _until(gate.reached.is_set)
        others = [asyncio.create_task(http.get(API)) for _ in range(3)]
        await _waiting(auth, 3)
        first.cancel()
        gate.open.set()
        assert [response.status_code for response in await asyncio.gather(*others)] == [200] * 3
        with pytest.raises(asyncio.CancelledError):
            await first
    assert len(gate.peer.endpoint.requests) == 1


async def test_who_waits_may_be_cancelled_and_the_others_get_their_token(auth):
    gate = Gate(issued("t1"))
    async with httpx2.AsyncClient(transport=AsyncWire(gate), auth=auth) as http:
        tasks = [asyncio.create_task(http.get(API)) for _ in range(3)]
        await _waiting(auth, 2)
        tasks[1].cancel()
        await asyncio.sleep(0)
        gate.open.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [getattr(one, "status_code", type(one)) for one in results] == [200, asyncio.CancelledError, 200]


async def test_an_endpoint_that_does_not_respond_fails_each_of_those_who_wait_in_time(auth):
    """Each try may be a timeout: nobody waits for more than three."""
    tries = []

    class Dead(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request):
            tries.append(request)
            for _ in range(20):
                await asyncio.sleep(0)
            raise httpx2.ConnectTimeout("late", request=request)

    async with httpx2.AsyncClient(transport=Dead(), auth=auth) as http:
        results = await asyncio.gather(*(http.get(API) for _ in range(20)), return_exceptions=True)
    assert {type(one) for one in results} == {httpx2.ConnectTimeout, TokenError}
    assert len(tries) == 3


async def test_who_waits_too_long_is_told(auth, monkeypatch):
    monkeypatch.setattr("dpop_asgi.client.auth._LONGEST_WAIT_SECONDS", 0.01)
    gate = Gate(issued("t1"))
    async with httpx2.AsyncClient(transport=AsyncWire(gate), auth=auth) as http:
        first = asyncio.create_task(http.get(API))
        await _until(gate.reached.is_set)
        with pytest.raises(TokenError, match="does not respond"):
            await http.get(API)
        # In the thread of the event loop it would have waited for itself, for ever.
        with httpx2.Client(transport=SyncWire(gate), auth=auth) as sync, pytest.raises(TokenError, match="not respond"):
            sync.get(API)
        gate.open.set()
        assert (await first).status_code == 200


def test_an_auth_serves_one_event_loop_after_the_other(key):
    auth, peer = DPoPAuth(CREDENTIALS, key=key, clock=ManualClock()), Issuing(issued("t1"))

    async def main():
        async with httpx2.AsyncClient(transport=Wire(peer), auth=auth) as http:
            return (await http.get(API)).status_code

    assert [asyncio.run(main()) for _ in range(2)] == [200, 200]
    assert len(peer.endpoint.requests) == 1
