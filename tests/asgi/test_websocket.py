"""A WebSocket handshake is verified as a GET, before anything is accepted."""

from contextlib import nullcontext

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient

from dpop_asgi import InsufficientScope, caller_from
from tests.support.api import Answer, connect, denial, handshake, http_scope
from tests.support.challenges import checked_challenges

WSS = "wss://rs.example/ws"
pytestmark = pytest.mark.requirement("R-4.3-16")


async def _echo(scope, receive, send):
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept", "headers": [(b"x-app", b"1")]})
    await send({"type": "websocket.send", "text": (await receive())["text"]})
    await send({"type": "websocket.close", "code": 1000})


@pytest.fixture
def api(make_api):
    return make_api(_echo)


async def _connected(api, method="GET", htu=WSS, scheme="wss", host="rs.example", **changes):
    """What is sent in response to a handshake with a correct proof, but for the changes."""
    scope = handshake((await api.fields(method, htu, **changes)).items(), scheme=scheme)
    scope["headers"][0] = (b"host", host.encode())
    return await connect(api.app, scope)


@pytest.mark.parametrize("htu", [WSS, "https://rs.example/ws", "WSS://RS.example:443/ws"], ids=str)
async def test_a_handshake_with_a_good_proof_is_accepted(api, htu):
    sent = await _connected(api, htu=htu)
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.send", "websocket.close"]
    assert sent[0]["headers"] == [(b"x-app", b"1")], "the client has the newest nonce"
    assert sent[1]["text"] == "hello"


@pytest.mark.parametrize(
    ("method", "htu"),
    [
        pytest.param("POST", WSS, id="another-method"),
        pytest.param("GET", "wss://rs.example/other", id="another-path"),
        pytest.param("GET", "ws://rs.example/ws", id="without-tls"),
        pytest.param("GET", "http://rs.example/ws", id="http-without-tls"),
    ],
)
async def test_a_handshake_with_a_proof_for_something_else_is_rejected(api, method, htu):
    assert denial(await _connected(api, method, htu)).status == 401


@pytest.mark.parametrize("htu", ["ws://localhost:8000/ws", "http://localhost:8000/ws"], ids=str)
async def test_on_this_machine_a_handshake_without_tls_is_accepted(make_api, htu):
    sent = await _connected(make_api(_echo, public_url=None), htu=htu, scheme="ws", host="localhost:8000")
    assert sent[0]["type"] == "websocket.accept"


async def test_a_websocket_uri_is_no_uri_of_an_http_request(api):
    sent = await api.fields(path="wss://rs.example/r")
    messages = await connect(api.app, http_scope(headers=sent.items()))
    assert messages[0]["status"] == 401


@pytest.mark.requirement("R-9-02")
async def test_a_handshake_without_nonce_is_challenged_and_works_with_it(api):
    answer = denial(await _connected(api, nonce=None))
    [challenge] = checked_challenges(answer.headers)
    assert (answer.status, challenge.parameters["error"]) == (401, "use_dpop_nonce")
    assert answer.one("cache-control") == "no-store"
    assert int(answer.one("content-length")) == len(answer.body) > 0
    assert (await _connected(api, nonce=answer.one("dpop-nonce")))[0]["type"] == "websocket.accept"


@pytest.mark.parametrize("extensions", [{}, {"tls": {}}, None], ids=repr)
async def test_where_the_server_knows_no_denial_the_handshake_is_closed(api, extensions):
    scope = handshake(extensions=extensions)
    if extensions is None:
        del scope["extensions"]
    assert await connect(api.app, scope) == [{"type": "websocket.close", "code": 1008, "reason": ""}]


@pytest.mark.requirement("R-8-06")
async def test_an_older_nonce_is_answered_with_the_newer_one_at_accept(api, clock):
    older = await api.authenticator.challenge_nonce()
    clock.advance(60.0)
    accept, *_ = await _connected(api, nonce=older)
    newer = (await api.authenticator.challenge_nonce()).encode()
    assert [value for name, value in accept["headers"] if name == b"dpop-nonce"] == [newer]
    assert (b"x-app", b"1") in accept["headers"]


async def test_a_handshake_on_an_open_path_needs_no_credentials(make_api):
    api = make_api(_echo, public_paths=["/ws"])
    assert (await connect(api.app, handshake()))[0]["type"] == "websocket.accept"


async def test_a_handshake_while_the_store_is_unavailable_is_denied_with_503(make_api, away):
    answer = denial(await _connected(make_api(_echo, store=away), nonce="x"))
    assert (answer.status, answer.all("www-authenticate"), answer.all("dpop-nonce")) == (503, [], [])


# What an endpoint raises


def _api_of(make_api, endpoint):
    return make_api(Starlette(routes=[WebSocketRoute("/ws", endpoint)]))


def _raising(*errors, after=()):
    async def endpoint(websocket):
        if "connect" in after:
            assert (await websocket.receive())["type"] == "websocket.connect"

        raise ExceptionGroup("failed", errors) if "group" in after else errors[0]

    return endpoint


async def test_an_endpoint_knows_who_is_calling_and_what_it_raises_once_open_is_not_hidden(make_api):
    seen = []

    async def endpoint(websocket):
        await websocket.accept()
        seen.append(caller_from(websocket).subject)
        raise InsufficientScope("chat:write")

    api = _api_of(make_api, endpoint)
    http, headers = TestClient(api.app, base_url="https://rs.example"), await api.fields(path=WSS)
    with pytest.raises(InsufficientScope), http.websocket_connect("/ws", headers=headers) as websocket:
        websocket.receive_text()
    assert seen == ["alice"]


@pytest.mark.parametrize(
    ("beside", "after"), [([], ()), ([], ("connect",)), ([], ("group",)), ([ZeroDivisionError()], ("group",))], ids=str
)
async def test_a_rejection_that_an_endpoint_raises_before_it_accepts_is_a_denial(make_api, beside, after):
    """X12: in a task group, errors beside it come out."""
    api, sent = _api_of(make_api, _raising(*beside, InsufficientScope("chat:write"), after=after)), []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    with pytest.raises(ExceptionGroup) if beside else nullcontext():
        await api.app(handshake((await api.fields(path=WSS)).items()), receive, send)
    answer = denial(sent)
    [challenge] = checked_challenges(answer.headers)
    assert (answer.status, challenge.parameters["scope"]) == (403, "chat:write")


async def test_a_denial_that_the_app_sends_itself_is_handed_on(make_api):
    async def deny(scope, receive, send):
        await receive()
        await send({"type": "websocket.http.response.start", "status": 404, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b"gone"})

    assert denial(await _connected(make_api(deny))) == Answer(404, (), b"gone")
