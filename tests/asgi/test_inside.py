"""What the app sees, and when its response is sent."""

import asyncio
from contextvars import ContextVar

import pytest

from dpop_asgi import Caller
from tests.support.api import App, call, http_scope

tenant = ContextVar("tenant")


@pytest.mark.requirement("R-6750-01")
@pytest.mark.parametrize("kind", [tuple, list])
async def test_the_app_finds_the_caller_in_the_scope(api, client, kind):
    outside = http_scope(headers=(await api.fields()).items(), query_string=b"access_token=zzz", state={"database": 1})
    headers = outside["headers"] = kind(outside["headers"])
    assert (await call(api.app, outside)).status == 200
    [scope] = api.inner.scopes
    assert (scope["headers"], scope["state"]["database"]) == (list(headers), 1)
    caller = scope["user"]
    assert isinstance(caller, Caller)
    assert (caller.subject, caller.client_id, caller.key_thumbprint) == ("alice", "demo-client", client.thumbprint)
    assert scope["state"]["dpop"] is caller
    assert scope["auth"].scopes == ["orders:read"]
    assert scope["query_string"] == b"access_token=zzz"


@pytest.mark.parametrize("state", [5, None, [], "state"], ids=repr)
async def test_state_that_is_not_a_mapping_is_left_alone(api, state):
    assert (await api.request(scope={"state": state})).status == 200
    assert api.inner.scopes[0]["state"] == state
    assert api.inner.scopes[0]["user"].subject == "alice"


async def test_state_that_requests_of_one_connection_share_is_not_written_to(api):
    """X01: hypercorn makes one for each connection. Alice's handler must not read who asked after her."""
    shared = {"database": 1}
    assert (await api.request(scope={"state": shared})).status == 200
    assert api.inner.scopes[0]["state"]["dpop"].subject == "alice"
    assert shared == {"database": 1}


@pytest.mark.parametrize("path", ["/r", "/elsewhere"])
async def test_after_a_rejection_the_scope_has_no_caller(api, path):
    """X01, Z07: what is outside sends a scope again."""
    scope = http_scope(headers=(await api.fields()).items())
    assert (await call(api.app, scope)).status == 200
    scope |= {"path": path, "raw_path": path.encode()}
    assert (await call(api.app, scope)).status == 401
    assert not scope.keys() & {"user", "auth"}
    assert "dpop" not in scope["state"]


@pytest.mark.parametrize(
    ("path", "sent", "inside"),
    [
        pytest.param("/r", "DPoP {}", "Bearer {}", id="shown"),
        pytest.param("/r", "dPoP   {}", "Bearer {}", id="any-case-and-number-of-spaces"),
        pytest.param("/open", "DPoP unverified", "DPoP unverified", id="nothing-is-invented-on-an-open-path"),
    ],
)
async def test_present_as_bearer_shows_the_token_as_a_bearer_token(make_api, path, sent, inside):
    api = make_api(present_as="bearer", public_paths=["/open"])
    proof, shown = (await api.fields())["DPoP"], sent.format(api.token)
    scope = http_scope(path=path, headers=[("x-one", "1"), ("authorization", shown), ("dpop", proof)])
    await call(api.app, scope)
    headers = dict(api.inner.scopes[0]["headers"])
    assert headers == {**dict(scope["headers"]), b"authorization": inside.format(api.token).encode()}
    assert dict(scope["headers"])[b"authorization"] == shown.encode()


async def test_messages_that_are_not_part_of_a_response_pass(make_api, sent_by):
    """Early hints, trailers, files handed to the server by path."""

    async def inner(scope, receive, send):
        await send({"type": "http.response.debug", "info": {}})
        await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": True})
        await send({"type": "http.response.pathsend", "path": "/etc/motd"})
        await send({"type": "http.response.trailers", "headers": []})

    sent, _ = await sent_by(make_api(inner))
    kinds = [message["type"].removeprefix("http.response.") for message in sent]
    assert kinds == ["debug", "start", "pathsend", "trailers"]


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


async def test_an_app_that_is_not_starlettes_is_left_alone(make_api):
    """One that makes up attributes as they are asked for, without end."""

    class Endless(App):
        def __getattr__(self, name):
            return Endless()

    assert (await make_api(Endless()).request()).status == 200


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
