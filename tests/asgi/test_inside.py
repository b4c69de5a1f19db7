"""What the app sees, and when its response is sent."""

import asyncio
from contextvars import ContextVar

import pytest

from dpop_asgi import Caller, DPoPMiddleware
from tests.support.api import App, call, http_scope, whole_answer

tenant = ContextVar("tenant")


@pytest.mark.requirement("R-6750-01")
async def test_the_app_finds_the_caller_in_the_scope(api, client):
    await api.request(scope={"query_string": b"access_token=zzz"})
    [scope] = api.inner.scopes
    caller = scope["user"]
    assert isinstance(caller, Caller)
    assert (caller.subject, caller.client_id, caller.key_thumbprint) == ("alice", "demo-client", client.thumbprint)
    assert scope["state"]["dpop"] is caller
    assert scope["auth"].scopes == ["orders:read"]
    assert scope["query_string"] == b"access_token=zzz"


async def test_state_that_others_keep_there_is_left_alone(api):
    await api.request(scope={"state": {"database": 1}})
    assert api.inner.scopes[0]["state"]["database"] == 1


@pytest.mark.parametrize("state", [5, None, [], "state"], ids=repr)
async def test_state_that_is_not_a_mapping_is_left_alone(api, state):
    assert (await api.request(scope={"state": state})).status == 200
    assert api.inner.scopes[0]["state"] == state
    assert api.inner.scopes[0]["user"].subject == "alice"


async def test_state_that_requests_of_one_connection_share_is_not_written_to(make_api, other_client):
    """X01: hypercorn makes one for each connection. Alice's handler must not read who asked after her."""
    seen, waiting = [], asyncio.Event()

    async def inner(scope, receive, send):
        if not waiting.is_set():
            waiting.set()
            await go_on.wait()
        seen.append(scope["state"]["dpop"].key_thumbprint)
        await App()(scope, receive, send)

    go_on, shared = asyncio.Event(), {"database": 1}
    api = make_api(inner)
    first = asyncio.create_task(api.request(scope={"state": shared}))
    await waiting.wait()
    token = api.issuer.access_token(other_client)
    assert (await api.request(client=other_client, token=token, scope={"state": shared})).status == 200
    go_on.set()
    await first
    assert seen == [other_client.thumbprint, api.client.thumbprint]
    assert shared == {"database": 1}


@pytest.mark.parametrize("path", ["/r", "/elsewhere"])
async def test_after_a_rejection_the_scope_has_no_caller(api, path):
    """X01: what is outside sends a scope again."""
    scope = http_scope(headers=(await api.fields()).items())
    assert (await call(api.app, scope)).status == 200
    scope |= {"path": path, "raw_path": path.encode()}
    assert (await call(api.app, scope)).status == 401
    assert not scope.keys() & {"user", "auth"}
    assert "dpop" not in scope["state"]


async def test_the_headers_reach_the_app_as_they_were_sent(api):
    sent = await api.fields()
    scope = http_scope(headers=sent.items())
    headers = list(scope["headers"])
    await call(api.app, scope)
    assert api.inner.scopes[0]["headers"] == headers


@pytest.mark.parametrize("kind", [tuple, list])
async def test_headers_come_in_any_kind_of_sequence(api, kind):
    scope = http_scope(headers=(await api.fields()).items())
    scope["headers"] = kind(scope["headers"])
    assert (await call(api.app, scope)).status == 200


async def test_present_as_bearer_shows_the_token_as_a_bearer_token(make_api):
    api = make_api(present_as="bearer")
    sent = await api.fields()
    scope = http_scope(headers=[("x-one", "1"), *sent.items()])
    await call(api.app, scope)
    inside = dict(api.inner.scopes[0]["headers"])
    assert inside[b"authorization"] == f"Bearer {api.token}".encode()
    assert inside[b"x-one"] == b"1"
    assert dict(scope["headers"])[b"authorization"] == f"DPoP {api.token}".encode()


async def test_present_as_bearer_takes_any_case_and_number_of_spaces(make_api):
    api = make_api(present_as="bearer")
    sent = await api.fields()
    await call(api.app, http_scope(headers=[("authorization", f"dPoP   {api.token}"), ("dpop", sent["DPoP"])]))
    assert dict(api.inner.scopes[0]["headers"])[b"authorization"] == f"Bearer {api.token}".encode()


async def test_present_as_bearer_invents_nothing_on_an_open_path(make_api):
    api = make_api(present_as="bearer", public_paths=["/r"])
    await api.anonymous(also=[("authorization", "DPoP unverified")])
    assert dict(api.inner.scopes[0]["headers"])[b"authorization"] == b"DPoP unverified"


@pytest.mark.parametrize("value", ["dpop", "", "Bearer", True], ids=repr)
def test_present_as_something_else_is_rejected_when_it_is_configured(make_api, value):
    with pytest.raises(ValueError, match=r"^present_as: "):
        make_api(present_as=value)


@pytest.mark.parametrize("value", [None, "authenticator", DPoPMiddleware], ids=repr)
def test_anything_but_an_authenticator_is_rejected_at_construction_time(value):
    with pytest.raises(ValueError, match=r"^authenticator: "):
        DPoPMiddleware(App(), authenticator=value)


@pytest.mark.requirement("R-FAPI-02")
async def test_a_token_that_a_verifier_of_ones_own_knows_as_revoked_is_rejected(make_api, revocable):
    verify, revoke = revocable
    api = make_api(verify_token=verify)
    assert (await api.request()).status == 200
    revoke()
    answer = await api.request()
    assert (answer.status, 'error="invalid_token"' in answer.one("www-authenticate")) == (401, True)


@pytest.mark.requirement("R-9068-03", "R-9068-05", "R-7.1-08", "R-7.1-13")
@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"aud": "https://other.example"}, id="audience"),
        pytest.param({"iss": "https://other.example"}, id="issuer"),
        pytest.param({"exp": 1}, id="expired"),
        pytest.param({"nbf": 9e9}, id="not-yet"),
        pytest.param({"cnf": {}}, id="binding"),
    ],
)
async def test_a_bad_token_with_a_good_proof_is_challenged_with_dpop(api, client, claims):
    answer = await api.request(token=api.issuer.access_token(client, claims=claims))
    assert answer.status == 401
    assert answer.one("www-authenticate").startswith('DPoP error="invalid_token"')
    assert "algs=" in answer.one("www-authenticate")


async def test_events_arrive_while_the_stream_goes_on(make_api):
    go_on = asyncio.Event()

    async def stream(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": b"data: 0\n\n", "more_body": True})
        await go_on.wait()
        await send({"type": "http.response.body", "body": b"data: 1\n\n"})

    api = make_api(stream)
    sent = asyncio.Queue()
    request = asyncio.create_task(api.app(http_scope(headers=(await api.fields()).items()), None, sent.put))
    messages = [await sent.get(), await sent.get()]
    assert messages[1]["body"] == b"data: 0\n\n"
    assert not request.done()
    go_on.set()
    await request
    messages.append(await sent.get())
    assert whole_answer(messages).body == b"data: 0\n\ndata: 1\n\n"


async def test_messages_that_are_not_part_of_a_response_pass(make_api):
    """Early hints, trailers, files handed to the server by path."""

    async def inner(scope, receive, send):
        await send({"type": "http.response.debug", "info": {}})
        await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": True})
        await send({"type": "http.response.pathsend", "path": "/etc/motd"})
        await send({"type": "http.response.trailers", "headers": []})

    api = make_api(inner)
    sent = []

    async def send(message):
        sent.append(message["type"])

    await api.app(http_scope(headers=(await api.fields()).items()), None, send)
    assert sent == ["http.response.debug", "http.response.start", "http.response.pathsend", "http.response.trailers"]


async def test_the_app_runs_in_the_context_of_the_request(make_api):
    seen = []

    async def inner(scope, receive, send):
        seen.append(tenant.get())
        tenant.set("of-the-app")
        await App()(scope, receive, send)

    api = make_api(inner)
    tenant.set("of-the-server")
    assert (await api.request()).status == 200
    assert (seen, tenant.get()) == (["of-the-server"], "of-the-app")


async def test_a_request_that_is_cancelled_ends_the_app(make_api):
    started, ended = asyncio.Event(), asyncio.Event()

    async def inner(scope, receive, send):
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    api = make_api(inner)
    request = asyncio.create_task(api.request())
    await started.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert ended.is_set()


async def test_an_app_that_is_not_starlettes_is_left_alone(make_api):
    """One that makes up attributes as they are asked for, without end."""

    class Endless(App):
        def __getattr__(self, name):
            return Endless()

    assert (await make_api(Endless()).request()).status == 200
