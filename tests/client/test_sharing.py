"""One token is fetched for all who wait for it: tasks, threads, and event loops."""

import asyncio
import threading

import httpx2
import pytest

from dpop_asgi.client import ClientCredentials, DPoPAuth, TokenError
from dpop_asgi.client.token_endpoint import IssuedToken
from dpop_asgi.testing import ManualClock
from tests.client.peers import API, TOKEN_URL, Issuing, Wire, endpoint_error, issued

CREDENTIALS = ClientCredentials(TOKEN_URL, "my client", "hunter2:/+")


@pytest.fixture
def auth(key, clock):
    return DPoPAuth(CREDENTIALS, key=key, clock=clock)


class Gate(Wire):
    """To an API, and to a token endpoint that responds when it is let."""

    def __init__(self, *responses):
        self.peer = Issuing(*responses)
        super().__init__(self.peer)
        self.reached, self.open = threading.Event(), threading.Event()

    def _is_closed(self, request):
        if str(request.url) == TOKEN_URL:
            self.reached.set()
        return str(request.url) == TOKEN_URL

    def handle_request(self, request):
        if self._is_closed(request):
            assert self.open.wait(10)
        return super().handle_request(request)

    async def handle_async_request(self, request):
        if self._is_closed(request):
            await _until(self.open.is_set)
        return await super().handle_async_request(request)


class Hanging(Gate):
    """Only the first token request has to wait."""

    def _is_closed(self, request):
        return not self.reached.is_set() and super()._is_closed(request)


async def _until(condition):
    async with asyncio.timeout(60.0):
        while not condition():  # noqa: ASYNC110 - what sets it may be a thread
            await asyncio.sleep(0)


async def _waiting(auth, count):
    """Until so many wait for a fetch."""
    await _until(lambda: auth._bound._flight is not None and len(auth._bound._flight._done_callbacks) >= count)


@pytest.mark.parametrize("first", ["thread", "task"])
@pytest.mark.parametrize(
    ("response", "outcome"),
    [
        pytest.param(issued("t1"), "t1", id="issued"),
        pytest.param(endpoint_error("invalid_client", status=401), "invalid_client", id="refused"),
    ],
)
async def test_tasks_and_threads_that_wait_share_one_fetch(auth, response, outcome, first):
    gate = Gate(response)

    def in_thread():
        with httpx2.Client(transport=gate, auth=auth) as http:
            return http.get(API)

    async with httpx2.AsyncClient(transport=gate, auth=auth) as http:
        tasks = [asyncio.create_task(asyncio.to_thread(in_thread) if first == "thread" else http.get(API))]
        await _until(gate.reached.is_set)
        # A thread that comes only after a refusal asks for itself.
        tasks += [asyncio.create_task(asyncio.to_thread(in_thread)) for _ in range(4 * (outcome == "t1"))]
        tasks += [asyncio.create_task(http.get(API)) for _ in range(20)]
        await _waiting(auth, 20)
        gate.open.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    found = {
        getattr(one, "error", None) or one.request.headers["authorization"].removeprefix("DPoP ") for one in results
    }
    assert found == {outcome}
    assert len(gate.peer.endpoint.requests) == 1


async def test_while_one_renews_the_others_use_the_token_that_is_still_valid(auth, clock):
    gate = Gate(issued("t1"), issued("t2"))
    gate.open.set()
    async with httpx2.AsyncClient(transport=gate, auth=auth) as http:
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


@pytest.mark.parametrize("cancelled", [0, 1], ids=["who fetches", "who waits"])
async def test_one_may_be_cancelled_and_the_others_get_their_token(auth, cancelled):
    gate = Gate(issued("t1"))
    async with httpx2.AsyncClient(transport=gate, auth=auth) as http:
        tasks = [asyncio.create_task(http.get(API))]
        await _until(gate.reached.is_set)
        tasks += [asyncio.create_task(http.get(API)) for _ in range(3)]
        await _waiting(auth, 3)
        tasks[cancelled].cancel()
        await asyncio.sleep(0)
        gate.open.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    found = [getattr(one, "status_code", type(one)) for one in results]
    assert found.pop(cancelled) is asyncio.CancelledError
    assert found == [200] * 3
    assert len(gate.peer.endpoint.requests) == 1


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
    monkeypatch.setattr("dpop_asgi.client.auth.LONGEST_WAIT_SECONDS", 0.01)
    gate = Gate(issued("t1"))
    async with httpx2.AsyncClient(transport=gate, auth=auth) as http:
        first = asyncio.create_task(http.get(API))
        await _until(gate.reached.is_set)
        with pytest.raises(TokenError, match="does not respond"):
            await http.get(API)
        # In the thread of the event loop it would have waited for itself, for ever.
        with httpx2.Client(transport=gate, auth=auth) as sync, pytest.raises(TokenError, match="not respond"):
            sync.get(API)
        gate.open.set()
        assert (await first).status_code == 200


@pytest.mark.parametrize("late", [issued("late"), endpoint_error("invalid_client")], ids=["issued", "refused"])
async def test_after_the_longest_wait_another_one_fetches_and_those_who_wait_get_that_token(auth, monkeypatch, late):
    """A token request that hangs doesn't block the others for ever, and what it ends with is its own."""
    monkeypatch.setattr("dpop_asgi.client.bound_tokens.monotonic", seconds := ManualClock())
    gate = Hanging(issued("t2"), late)
    async with httpx2.AsyncClient(transport=gate, auth=auth) as http:
        hanging = asyncio.create_task(http.get(API))
        await _until(gate.reached.is_set)
        waiting = asyncio.create_task(http.get(API))
        await _waiting(auth, 1)
        seconds.advance(31)
        assert (await http.get(API)).status_code == (await waiting).status_code == 200
        gate.open.set()
        await asyncio.gather(hanging, return_exceptions=True)
        await http.get(API)
    assert gate.peer.tokens.pop(2) == ("late" if late.status_code == 200 else "t2")
    assert gate.peer.tokens == ["t2"] * 3
    assert len(gate.peer.endpoint.requests) == 2


def test_a_token_that_arrives_after_the_longest_wait_is_used_unless_there_is_a_newer_one(auth, monkeypatch):
    monkeypatch.setattr("dpop_asgi.client.bound_tokens.monotonic", seconds := ManualClock())
    tokens, now = auth._bound, auth._clock()
    first, second, third = (IssuedToken(name, now + age, now + 90, now + 100) for age, name in enumerate("123"))
    flights = []
    for _ in range(3):
        flights.append(tokens._look()[0])
        seconds.advance(31)
    for flight, token, kept in zip(flights, (second, first, third), (second, second, third), strict=True):
        tokens._end(flight, token, None)
        assert tokens._token is kept


def test_an_auth_serves_one_event_loop_after_the_other(key):
    auth, peer = DPoPAuth(CREDENTIALS, key=key, clock=ManualClock()), Issuing(issued("t1"))

    async def main():
        async with httpx2.AsyncClient(transport=Wire(peer), auth=auth) as http:
            return (await http.get(API)).status_code

    assert [asyncio.run(main()) for _ in range(2)] == [200, 200]
    assert len(peer.endpoint.requests) == 1
