"""A stream or a WebSocket ends when its token does."""

import asyncio
from contextlib import suppress

import pytest
from starlette.requests import HTTPConnection

from dpop_asgi import AccessToken
from dpop_asgi.starlette import authenticate
from tests.support.api import PUBLIC_URL, App, connect, handshake, http_scope, whole_answer


def _streaming(*headers, before=0.0, chunks=(b"a",), ends=False, after=None):
    """Sends the headers after a while, then chunks; it never ends by itself, unless told so, and may go on after it."""

    async def app(scope, receive, send):
        await asyncio.sleep(before)
        await send({"type": "http.response.start", "status": 200, "headers": list(headers)})
        for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        if not ends:
            await asyncio.Event().wait()
        await send({"type": "http.response.body", "body": b""})
        if after is not None:
            await asyncio.sleep(0.05)
            after.append(True)

    return app


@pytest.fixture
def send(make_api, clock):
    """The messages to a client whose token expires a moment after the request came in."""

    async def send(inner, *, left=0.02, **options):
        api = make_api(inner, **{"max_stream": "token", **options})
        token = api.issuer.access_token(api.client, claims={"exp": clock.now + left})
        messages = []

        async def sending(message):
            messages.append(message)

        await api.app(http_scope(headers=(await api.fields(token=token)).items()), None, sending)
        return messages

    return send


@pytest.mark.parametrize(
    ("inner", "left", "body"),
    [
        pytest.param(_streaming(), 0.02, b"a", id="a-stream-ends-cleanly"),
        pytest.param(_streaming(), -2.0, b"a", id="at-once-within-the-leeway"),
        pytest.param(_streaming((b"content-length", b"1")), 0.02, b"a", id="all-that-was-promised-was-sent"),
        pytest.param(App(chunks=(b"a", b"b")), -2.0, b"ab", id="sent-at-once"),
    ],
)
async def test_what_is_sent_until_then_is_whole(send, inner, left, body):
    assert whole_answer(await send(inner, left=left)).body == body


@pytest.mark.parametrize("options", [{"public_paths": ["/r"]}, {}], ids=["no-caller", "a-token-that-does-not-expire"])
async def test_without_an_end_of_a_token_nothing_ends(make_api, client, options):
    async def verify(_):
        return AccessToken(key_thumbprint=client.thumbprint)

    api = make_api(_streaming(ends=True), max_stream="token", verify_token=verify, **options)
    assert (await api.request()).body == b"a"


async def test_a_body_of_which_a_part_is_missing_is_broken_off(send):
    *_, last = await send(_streaming((b"content-length", b"5")))
    assert last["more_body"] is True


async def test_a_slow_handler_and_a_background_task_go_on(send):
    after = []
    assert whole_answer(await send(_streaming(before=0.05, ends=True, after=after))).body == b"a"
    assert after == [True]


async def test_an_error_of_the_app_is_its_own(send):
    async def app(scope, receive, send):
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await send(app)


@pytest.mark.parametrize("protect", ["everything", "routes"])
async def test_a_websocket_is_closed(make_api, clock, protect):
    """Although a route may ask after it is open."""

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await authenticate(HTTPConnection(scope))
        await asyncio.sleep(1.0)
        await send({"type": "websocket.send", "text": "late"})

    api = make_api(app, max_stream="token", protect=protect)
    token = api.issuer.access_token(api.client, claims={"exp": clock.now + 0.02})
    sent = await connect(api.app, handshake((await api.fields(path="wss://rs.example/ws", token=token)).items()))
    assert sent[1:] == [{"type": "websocket.close", "code": 1008, "reason": "token_expired"}]


async def test_an_app_that_goes_on_although_it_is_cancelled_sends_nothing_more(send):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await send({"type": "http.response.body", "body": b"late", "more_body": True})
        await send({"type": "http.response.body", "body": b"later"})

    assert whole_answer(await send(app)).body == b"a"


@pytest.mark.parametrize("protect", ["everything", "routes"])
async def test_it_ends_inside_another_instance_too(make_api, clock, protect):
    api = make_api(_streaming(chunks=(b"a",), ends=False))
    inner = api.wrap(api.inner, public_url=PUBLIC_URL, max_stream="token", protect=protect)
    api.wrap(inner, public_url=PUBLIC_URL)
    token = api.issuer.access_token(api.client, claims={"exp": clock.now + 0.02})
    assert (await asyncio.wait_for(api.request(token=token), 5.0)).body == b"a"
