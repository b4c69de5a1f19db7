"""What a route asks for, and what becomes of the rejection."""

import asyncio
from contextlib import suppress
from contextvars import ContextVar

import pytest
from starlette.requests import HTTPConnection

from dpop_asgi import InsufficientScope
from dpop_asgi.starlette import authenticate, caller_from, token_from
from tests.support.api import App, call, connect, denial, handshake, http_scope, whole_answer
from tests.support.challenges import checked_challenges

number = ContextVar("number")


def _asking(*scopes, then=None, **options):
    """An app that asks for these scopes, and then responds, or is `then`."""

    async def app(scope, receive, send):
        await authenticate(HTTPConnection(scope), scopes, **options)
        await (then or App())(scope, receive, send)

    return app


@pytest.fixture(params=["everything", "routes"])
def make(request, make_api, store):
    return lambda inner, **options: make_api(inner, **{"protect": request.param, "store": store, **options})


@pytest.fixture
def make_routes(make_api, store):
    return lambda inner, **options: make_api(inner, **{"protect": "routes", "store": store, **options})


async def test_who_asked_for_a_caller_is_shown_one(make_routes):
    seen = []

    async def inner(scope, receive, send):
        connection = HTTPConnection(scope)
        with pytest.raises(LookupError, match="no caller"):
            caller_from(connection)
        state = connection.state  # made before the caller is known
        caller = await authenticate(connection)
        seen.append((caller, caller_from(connection), connection.user, state.dpop, connection.auth.scopes))
        seen.append(token_from(connection))
        await App()(scope, receive, send)

    api = make_routes(inner)
    scope = http_scope(headers=(await api.fields()).items(), state={"database": 1})
    assert (await call(api.app, scope)).status == 200
    (caller, *others, scopes), token = seen
    assert others == [caller] * 3
    assert (caller.subject, scopes, token) == ("alice", ["orders:read"], api.token)
    assert scope["user"] is caller, "for an access log outside"
    assert scope["state"] == {"database": 1}, "X01: servers share it"


async def test_a_copy_of_the_scope_asks_the_same_gate(make_routes, store):
    async def inner(scope, receive, send):
        callers = [await authenticate(HTTPConnection(dict(scope, state=state))) for state in ({}, {"a": 1}, None)]
        assert callers == [caller_from(HTTPConnection(scope))] * 3
        await App()(scope, receive, send)

    assert (await make_routes(inner).request()).status == 200
    assert len(store.proofs) == 1


@pytest.mark.parametrize(("strictest", "status"), [("orders:read", 200), ("orders:write", 403)], ids=str)
async def test_of_several_that_ask_at_once_the_strictest_decides_and_the_proof_is_used_once(
    make, store, strictest, status
):
    async def inner(scope, receive, send):
        asks = [authenticate(HTTPConnection(scope), scopes) for scopes in ((), strictest, [], (), "orders:read")]
        await asyncio.gather(*asks, return_exceptions=True)
        await App()(scope, receive, send)

    assert (await make(inner).request()).status == status
    assert len(store.proofs) == 1


@pytest.mark.parametrize("first", ["orders:write", "orders:read"])
async def test_the_last_of_several_asks_decides(make, first):
    async def inner(scope, receive, send):
        for scopes in (first, "orders:read"):
            with suppress(Exception):
                await authenticate(HTTPConnection(scope), scopes)
        await App()(scope, receive, send)

    assert (await make(inner).request()).status == 200


@pytest.mark.requirement("R-6750-07", "R-9470-01", "R-9470-02", "R-11.1-08")
@pytest.mark.parametrize(
    ("options", "status", "code", "told"),
    [
        pytest.param({}, 403, "insufficient_scope", {"scope": "orders:write"}, id="scope"),
        pytest.param(
            {"acr_values": "urn:loa:2", "max_age": 60},
            401,
            "insufficient_user_authentication",
            {"scope": "orders:write", "acr_values": "urn:loa:2", "max_age": "60"},
            id="step-up",
        ),
    ],
)
async def test_a_token_that_is_not_enough_uses_up_no_proof(make_routes, store, options, status, code, told):
    api = make_routes(_asking("orders:write", **options))
    answer = await api.request()
    [challenge] = checked_challenges(answer.headers)
    assert (answer.status, challenge.scheme, challenge.parameters["error"]) == (status, "DPoP", code)
    assert {name: challenge.parameters[name] for name in told} == told
    assert len(answer.all("dpop-nonce")) == (status == 401)
    assert store.proofs == []


@pytest.mark.requirement("R-9470-04")
@pytest.mark.parametrize("changes", [{"without": ["DPoP"]}, {"nonce": None}, {"without": ["Authorization", "DPoP"]}])
async def test_without_a_valid_token_nothing_is_said_about_what_is_needed(make, changes):
    answer = await make(_asking("orders:write", acr_values="urn:loa:2", max_age=60)).request(**changes)
    [challenge] = checked_challenges(answer.headers)
    assert answer.status == 401
    assert not challenge.parameters.keys() & {"scope", "acr_values", "max_age"}


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        pytest.param({"without": ["Authorization"]}, 200, id="none"),
        pytest.param(
            {"without": ["Authorization", "DPoP"], "also": [("authorization", "Basic eA==")]}, 200, id="basic"
        ),
        pytest.param({}, 200, id="good"),
        pytest.param({"without": ["DPoP"]}, 401, id="no-proof"),
        pytest.param({"also": [("authorization", "Basic eA==")]}, 400, id="two"),
    ],
)
async def test_optional_credentials_are_none_or_good(make_routes, changes, status):
    seen = []

    async def inner(scope, receive, send):
        seen.append(await authenticate(HTTPConnection(scope), optional=True))
        await App()(scope, receive, send)

    assert (await make_routes(inner).request(**changes)).status == status
    assert (seen[:1] == [None]) == ("Authorization" in changes.get("without", ()))


async def test_one_that_does_not_accept_bearer_responds_as_where_dpop_is_required(make, issuer):
    api = make(_asking(bearer=False), mode="mixed")
    answer = await api.anonymous(also=[("authorization", f"Bearer {issuer.access_token()}")])
    [challenge] = checked_challenges(answer.headers)
    assert (answer.status, challenge.scheme, challenge.parameters["error"]) == (401, "DPoP", "invalid_token")
    assert (await api.request()).status == 200


async def _swallow(scope, receive, send):
    with suppress(Exception):
        await authenticate(HTTPConnection(scope), "orders:write")


async def test_a_rejection_that_the_app_swallows_decides_the_response(make):
    headers = [("x-request-id", "7"), ("set-cookie", "a=b"), ("vary", "origin"), ("content-type", "text/html")]
    gone = [("content-encoding", "br"), ("etag", '"x"'), ("www-authenticate", "Tea"), ("cache-control", "public")]

    async def inner(scope, receive, send):
        await _swallow(scope, receive, send)
        await App(200, [*headers, *gone], (b"secret", b"s"))(scope, receive, send)

    answer = await make(inner).request()
    assert (answer.status, b"secret" in answer.body) == (403, False)
    assert [answer.all(name) for name, _ in headers] == [["7"], ["a=b"], ["origin"], ["application/json"]]
    assert answer.all("content-encoding") == answer.all("etag") == []
    assert answer.all("cache-control") == ["no-store"]
    assert answer.one("www-authenticate").startswith('DPoP error="insufficient_scope"')
    assert int(answer.one("content-length")) == len(answer.body)


@pytest.mark.parametrize("breaks", [True, False], ids=["breaks", "says-nothing"])
async def test_an_app_that_swallows_a_rejection_and_does_not_answer_is_answered_for(make, sent_by, breaks):
    async def inner(scope, receive, send):
        await _swallow(scope, receive, send)
        if breaks:
            raise ZeroDivisionError

    messages, error = await sent_by(make(inner))
    assert (whole_answer(messages).status, type(error)) == (403, ZeroDivisionError if breaks else type(None))


async def test_a_public_path_may_ask(make_api):
    api = make_api(_asking(), public_paths=["/r"])
    assert [(await api.anonymous()).status, (await api.request()).status] == [401, 200]


async def test_asked_after_the_response_began_the_rejection_breaks_it_off(make, sent_by):
    async def inner(scope, receive, send):
        await App(chunks=(b"a", b"b"))(scope, receive, send)
        await authenticate(HTTPConnection(scope), "orders:write")

    _, error = await sent_by(make(inner))
    assert isinstance(error.__cause__, InsufficientScope)


@pytest.mark.parametrize("begun", [[b"a"], [b"a", b"b"]], ids=["one-part", "two-parts"])
async def test_a_rejection_that_a_stream_swallows_breaks_it_off(make, sent_by, begun):
    async def inner(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for part in begun:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await _swallow(scope, receive, send)
        await send({"type": "http.response.body", "body": b"secret", "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    messages, _ = await sent_by(make(inner))
    assert [(each.get("body"), each.get("more_body")) for each in messages[1:]] == [(part, True) for part in begun]


# WebSockets


async def _connected(api):
    return await connect(api.app, handshake((await api.fields(path="wss://rs.example/ws")).items()))


async def _accept(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})


@pytest.mark.parametrize("then", [_accept, None], ids=["accepts", "says-nothing"])
async def test_a_handshake_is_denied_whatever_the_app_makes_of_it(make, then):
    async def inner(scope, receive, send):
        await _swallow(scope, receive, send)
        if then is not None:
            await then(scope, receive, send)

    assert denial(await _connected(make(inner))).status == 403


@pytest.mark.parametrize(("down", "code", "reason"), [(False, 1008, "insufficient_scope"), (True, 1013, "")], ids=str)
async def test_an_open_websocket_is_closed(make_routes, store, down, code, reason):
    async def inner(scope, receive, send):
        await _accept(scope, receive, send)
        store.down = down
        await authenticate(HTTPConnection(scope), () if down else "orders:write")

    assert (await _connected(make_routes(inner)))[1:] == [{"type": "websocket.close", "code": code, "reason": reason}]


# Many at once


async def test_two_hundred_requests_at_once_do_not_mix_up_callers_or_contexts(make_routes, issuer):
    async def inner(scope, receive, send):
        number.set(int(scope["path"].removeprefix("/")))
        await asyncio.sleep(0)
        caller = await authenticate(HTTPConnection(scope))
        await asyncio.sleep(0)
        body = f"{number.get()} {caller.subject} {caller_from(HTTPConnection(scope)).subject}".encode()
        await App(chunks=(body,))(scope, receive, send)

    api = make_routes(inner)
    tokens = [issuer.access_token(api.client, claims={"sub": f"user-{user}"}) for user in range(20)]
    answers = await asyncio.gather(*(api.request(path=f"/{n}", token=tokens[n % 20]) for n in range(200)))
    assert [answer.body.decode() for answer in answers] == [f"{n} user-{n % 20} user-{n % 20}" for n in range(200)]
