"""Start-up and shutdown reach the app; with the shutdown the store is closed."""

from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from dpop_asgi import MemoryStore
from tests.support.api import App


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


async def _run(app):
    """The messages that a server gets."""
    incoming = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent = []

    async def receive():
        return incoming.pop(0)

    async def send(message):
        sent.append(message["type"])

    await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)
    return sent


@pytest.fixture
def store():
    return _Store()


@pytest.mark.parametrize("outcome", ["complete", "failed"])
async def test_messages_pass_and_the_store_is_closed_at_shutdown(make_api, store, outcome):
    api = make_api(_lifespan(outcome), store=store)
    assert await _run(api.app) == ["lifespan.startup.complete", f"lifespan.shutdown.{outcome}"]
    assert store.closed == 1


async def test_the_store_is_closed_before_the_server_is_reported(make_api, store):
    order = []

    async def send(message):
        order.append((message["type"], store.closed))

    async def inner(scope, receive, send):
        await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})

    await make_api(inner, store=store).app({"type": "lifespan"}, None, send)
    assert order == [("lifespan.startup.complete", 0), ("lifespan.shutdown.complete", 1)]


async def test_an_app_without_lifespan_says_so_to_the_server(make_api, store):
    async def inner(scope, receive, send):
        assert scope["type"] == "http"

    with pytest.raises(AssertionError):
        await _run(make_api(inner, store=store).app)
    assert store.closed == 0


async def test_two_instances_around_one_app_may_both_close(make_api, store):
    api = make_api(_lifespan(), store=store)
    api.wrap(api.app, public_url="https://rs.example")
    assert await _run(api.app) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert store.closed == 2


async def test_requests_after_a_shutdown_are_answered(make_api):
    """The same app may be started again in the same process, as tests do."""
    api = make_api()
    await api.authenticator.aclose()
    assert (await api.request()).status == 200


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


def test_under_another_event_loop_the_start_fails_and_says_why(api):
    """Y08: `hypercorn -k trio`."""
    sent = []

    async def receive():
        return {"type": "lifespan.startup"}

    async def send(message):
        sent.append(message)

    _without_asyncio(api.app({"type": "lifespan"}, receive, send))
    [failed] = sent
    assert failed["type"] == "lifespan.startup.failed"
    assert failed["message"].startswith("dpop_asgi runs on asyncio")
    assert api.inner.scopes == []


def test_under_another_event_loop_requests_fail_and_say_why(api):
    """Y08: a mounted app is told of no start."""
    with pytest.raises(RuntimeError, match="dpop_asgi runs on asyncio"):
        _without_asyncio(api.anonymous())
    assert api.inner.scopes == []


def test_the_lifespan_of_a_starlette_app_runs_once(make_api, store):
    events = []

    @asynccontextmanager
    async def lifespan(app):
        events.append("start")
        yield {"database": 1}
        events.append("stop")

    api = make_api(Starlette(lifespan=lifespan), store=store)
    with TestClient(api.app):
        assert events == ["start"]
    assert events == ["start", "stop"]
    assert store.closed == 1


async def test_without_any_lifespan_everything_works(make_api):
    """A mounted app is told of none."""
    api = make_api(App(204, chunks=(b"",)))
    assert (await api.request()).status == 204
