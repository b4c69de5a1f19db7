"""Start-up and shutdown reach the app; with the shutdown the store is closed."""

from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from dpop_asgi import MemoryStore
from tests.asgi.token_endpoint import TokenServer
from tests.support.api import PUBLIC_URL, App


class _Store(MemoryStore):
    """Counts how often it is closed."""

    closed = 0

    async def aclose(self):
        self.closed += 1


def _lifespan(outcome="complete"):
    async def app(scope, receive, send):
        assert (await receive())["type"] == "lifespan.startup"
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
        await send({"type": f"lifespan.shutdown.{outcome}"})

    return app


async def _run(app, store=None):
    """The messages that a server gets, each with how often the store was closed by then."""
    incoming = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent = []

    async def receive():
        return incoming.pop(0)

    async def send(message):
        sent.append((message["type"], store.closed))

    await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)
    return sent


@pytest.fixture
def store():
    return _Store()


@pytest.mark.parametrize("outcome", ["complete", "failed"])
@pytest.mark.parametrize("instances", [1, 2])
async def test_messages_pass_and_the_store_is_closed_before_the_server_hears_of_the_shutdown(
    make_api, store, outcome, instances
):
    """The same app may be started again in the same process, as tests do."""
    api = make_api(_lifespan(outcome), store=store)
    for _ in range(instances - 1):
        api.wrap(api.app, public_url=PUBLIC_URL)
    expected = [("lifespan.startup.complete", 0), (f"lifespan.shutdown.{outcome}", instances)]
    assert await _run(api.app, store) == expected
    api.wrap(App(), public_url=PUBLIC_URL)
    assert (await api.request()).status == 200


async def test_a_token_endpoint_closes_its_store_too(clock, client, store):
    server = TokenServer(clock, client, _lifespan(), store=store)
    assert await _run(server.app, store) == [("lifespan.startup.complete", 0), ("lifespan.shutdown.complete", 1)]


async def test_an_app_without_lifespan_says_so_to_the_server(make_api, store):
    async def inner(scope, receive, send):
        assert scope["type"] == "http"

    with pytest.raises(AssertionError):
        await _run(make_api(inner, store=store).app, store)
    assert store.closed == 0


@pytest.mark.parametrize("kind", ["webtransport", "http.server_push", "unknown"])
async def test_a_scope_of_another_type_does_not_reach_the_app(api, kind):
    """Z11: nothing could be checked in it, nor answered."""
    with pytest.raises(RuntimeError, match=f"cannot protect scopes of type '{kind}'"):
        await api.app({"type": kind}, None, None)
    assert api.inner.scopes == []


def _without_asyncio(coroutine):
    """Run to its end what waits for nothing, as another event loop would."""
    with pytest.raises(StopIteration):
        coroutine.send(None)


def test_under_another_event_loop_start_and_requests_fail_and_say_why(make_api):
    """Y08: `hypercorn -k trio`; a mounted app is told of no start."""
    api, sent = make_api(), []

    async def receive():
        return {"type": "lifespan.startup"}

    async def send(message):
        sent.append(message)

    with pytest.raises(RuntimeError, match="dpop_asgi runs on asyncio"):
        _without_asyncio(api.anonymous())
    _without_asyncio(api.app({"type": "lifespan"}, receive, send))
    [failed] = sent
    assert failed["type"] == "lifespan.startup.failed"
    assert failed["message"].startswith("dpop_asgi runs on asyncio")
    assert api.inner.scopes == []


async def test_the_lifespan_of_a_starlette_app_runs_once(make_api, store):
    """Its state reaches the routes, beside the caller."""
    events = []

    @asynccontextmanager
    async def lifespan(app):
        events.append("start")
        yield {"database": "there"}
        events.append("stop")

    async def state(request):
        return JSONResponse([request.state.database, request.state.dpop.subject])

    api = make_api(Starlette(routes=[Route("/state", state)], lifespan=lifespan), store=store)
    with TestClient(api.app, base_url=PUBLIC_URL) as http:
        assert events == ["start"]
        assert http.get("/state", headers=await api.fields(path="/state")).json() == ["there", "alice"]
    assert events == ["start", "stop"]
    assert store.closed == 1
