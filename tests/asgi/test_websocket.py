"""A WebSocket handshake is verified as a GET, before anything is accepted."""

import json
from contextlib import nullcontext

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse

from dpop_asgi import InsufficientScope, caller_from
from tests.support.api import Answer, connect, denial, handshake, http_scope
from tests.support.challenges import checked_challenges


async def _echo(scope, receive, send):
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept", "headers": [(b"x-app", b"1")]})
    await send({"type": "websocket.send", "text": (await receive())["text"]})
    await send({"type": "websocket.close", "code": 1000})


@pytest.fixture
def api(make_api):
    return make_api(_echo)


@pytest.mark.requirement("R-4.3-16")
@pytest.mark.parametrize("htu", ["wss://rs.example/ws", "https://rs.example/ws", "WSS://RS.example:443/ws"], ids=str)
async def test_a_handshake_with_a_good_proof_is_accepted(api, htu):
    sent = await connect(api.app, handshake((await api.fields(path=htu)).items()))
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.send", "websocket.close"]
    assert sent[1]["text"] == "hello"


@pytest.mark.requirement("R-4.3-16")
@pytest.mark.parametrize(
    ("method", "htu"),
    [
        pytest.param("POST", "wss://rs.example/ws", id="another-method"),
        pytest.param("CONNECT", "wss://rs.example/ws", id="connect"),
        pytest.param("GET", "wss://rs.example/other", id="another-path"),
        pytest.param("GET", "wss://evil.example/ws", id="another-host"),
        pytest.param("GET", "ws://rs.example/ws", id="without-tls"),
        pytest.param("GET", "http://rs.example/ws", id="http-without-tls"),
    ],
)
async def test_a_handshake_with_a_proof_for_something_else_is_rejected(api, method, htu):
    sent = await connect(api.app, handshake((await api.fields(method, htu)).items()))
    assert denial(sent).status == 401


@pytest.mark.requirement("R-4.3-16")
@pytest.mark.parametrize("htu", ["ws://localhost:8000/ws", "http://localhost:8000/ws"], ids=str)
async def test_on_this_machine_a_handshake_without_tls_is_accepted(make_api, htu):
    api = make_api(_echo, public_url=None)
    scope = handshake((await api.fields(path=htu)).items(), scheme="ws")
    scope["headers"][0] = (b"host", b"localhost:8000")
    assert (await connect(api.app, scope))[0]["type"] == "websocket.accept"


@pytest.mark.requirement("R-4.3-16")
async def test_a_websocket_uri_is_no_uri_of_an_http_request(api):
    sent = await api.fields(path="wss://rs.example/r")
    messages = await connect(api.app, http_scope(headers=sent.items()))
    assert messages[0]["status"] == 401


@pytest.mark.requirement("R-4.3-16", "R-9-02")
async def test_a_handshake_without_nonce_is_challenged_and_works_with_it(api):
    answer = denial(
        await connect(api.app, handshake((await api.fields(path="wss://rs.example/ws", nonce=None)).items()))
    )
    [challenge] = checked_challenges(answer.headers)
    assert (answer.status, challenge.parameters["error"]) == (401, "use_dpop_nonce")
    retry = await api.fields(path="wss://rs.example/ws", nonce=answer.one("dpop-nonce"))
    assert (await connect(api.app, handshake(retry.items())))[0]["type"] == "websocket.accept"


@pytest.mark.requirement("R-4.3-16")
async def test_a_denial_is_a_whole_answer(api):
    answer = denial(await connect(api.app, handshake()))
    assert answer.status == 401
    assert answer.one("cache-control") == "no-store"
    assert int(answer.one("content-length")) == len(answer.body)
    assert json.loads(answer.body)


@pytest.mark.requirement("R-4.3-16")
@pytest.mark.parametrize("extensions", [{}, {"tls": {}}], ids=repr)
async def test_where_the_server_knows_no_denial_the_handshake_is_closed(api, extensions):
    sent = await connect(api.app, handshake(extensions=extensions))
    assert sent == [{"type": "websocket.close", "code": 1008, "reason": ""}]


async def test_a_server_that_lists_no_extensions_is_no_hindrance(api):
    scope = handshake()
    del scope["extensions"]
    assert [message["type"] for message in await connect(api.app, scope)] == ["websocket.close"]


@pytest.mark.requirement("R-8-06")
async def test_an_older_nonce_is_answered_with_the_newer_one_at_accept(api, clock):
    older = await api.authenticator.challenge_nonce()
    clock.advance(60.0)
    accept, *_ = await connect(api.app, handshake((await api.fields(path="wss://rs.example/ws", nonce=older)).items()))
    newer = (await api.authenticator.challenge_nonce()).encode()
    assert [value for name, value in accept["headers"] if name == b"dpop-nonce"] == [newer]
    assert (b"x-app", b"1") in accept["headers"]


async def test_the_newest_nonce_is_answered_with_none_at_accept(api):
    accept, *_ = await connect(api.app, handshake((await api.fields(path="wss://rs.example/ws")).items()))
    assert accept["headers"] == [(b"x-app", b"1")]


@pytest.mark.requirement("R-4.3-16")
async def test_a_handshake_is_no_preflight(api):
    preflight = [("origin", "https://app.example"), ("access-control-request-method", "GET")]
    assert denial(await connect(api.app, handshake(preflight))).status == 401


async def test_a_handshake_on_an_open_path_needs_no_credentials(make_api):
    api = make_api(_echo, public_paths=["/ws"])
    assert (await connect(api.app, handshake()))[0]["type"] == "websocket.accept"


async def test_a_handshake_while_the_store_is_unavailable_is_denied_with_503(make_api, away):
    api = make_api(_echo, store=away)
    answer = denial(
        await connect(api.app, handshake((await api.fields(path="wss://rs.example/ws", nonce="x")).items()))
    )
    assert (answer.status, answer.all("www-authenticate"), answer.all("dpop-nonce")) == (503, [], [])


async def _refuse(websocket):
    raise InsufficientScope("chat:write")


async def _refuse_after_connect(websocket):
    assert (await websocket.receive())["type"] == "websocket.connect"
    raise InsufficientScope("chat:write")


async def _refuse_after_accept(websocket):
    await websocket.accept()
    raise InsufficientScope("chat:write")


async def _greet(websocket):
    await websocket.accept()
    await websocket.send_text(caller_from(websocket).subject)
    await websocket.close()


@pytest.fixture
def chat(make_api):
    """A Starlette app with the middleware around it, and the client of its tests."""
    routes = [
        WebSocketRoute("/greet", _greet),
        WebSocketRoute("/refuse", _refuse),
        WebSocketRoute("/refuse-connected", _refuse_after_connect),
        WebSocketRoute("/late", _refuse_after_accept),
    ]
    api = make_api(Starlette(routes=routes))
    return api, TestClient(api.app, base_url="https://rs.example")


async def _handshake(chat, path, **changes):
    api, http = chat
    return http.websocket_connect(path, headers=await api.fields(path=f"wss://rs.example{path}", **changes))


async def test_an_endpoint_knows_who_is_calling(chat):
    with await _handshake(chat, "/greet") as websocket:
        assert websocket.receive_text() == "alice"


@pytest.mark.parametrize("path", ["/refuse", "/refuse-connected"])
async def test_a_rejection_that_an_endpoint_raises_before_it_accepts_is_a_denial(chat, path):
    with pytest.raises(WebSocketDenialResponse) as denied, await _handshake(chat, path):
        pass
    assert denied.value.status_code == 403
    assert 'error="insufficient_scope"' in denied.value.headers["www-authenticate"]
    assert 'scope="chat:write"' in denied.value.headers["www-authenticate"]


async def test_a_rejection_that_an_endpoint_raises_after_it_accepted_is_not_hidden(chat):
    with pytest.raises(InsufficientScope), await _handshake(chat, "/late") as websocket:
        websocket.receive_text()


@pytest.mark.parametrize("beside", [[], [ZeroDivisionError()]], ids=["alone", "beside-another-error"])
async def test_a_rejection_in_a_task_group_is_a_denial(make_api, beside):
    """X12: errors beside it come out."""

    async def fail(websocket):
        raise ExceptionGroup("failed", [*beside, InsufficientScope("chat:write")])

    api = make_api(Starlette(routes=[WebSocketRoute("/ws", fail)]))
    sent = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    with pytest.raises(ExceptionGroup) if beside else nullcontext():
        await api.app(handshake((await api.fields(path="wss://rs.example/ws")).items()), receive, send)
    assert denial(sent).status == 403


async def test_a_denial_that_the_app_sends_itself_is_handed_on(make_api):
    async def deny(scope, receive, send):
        await receive()
        await send({"type": "websocket.http.response.start", "status": 404, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b"gone"})

    api = make_api(deny)
    sent = await connect(api.app, handshake((await api.fields(path="wss://rs.example/ws")).items()))
    assert denial(sent) == Answer(404, (), b"gone")
