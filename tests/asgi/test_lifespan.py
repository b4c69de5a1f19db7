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


async def test_the_store_is_closed_before_the_server_is_told(make_api, store):
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


@pytest.mark.parametrize("kind", ["pubsub", "http.server_push", "unknown"])
async def test_a_scope_of_another_type_reaches_the_app_untouched(api, kind):
    scope, receive, send = {"type": kind}, object(), object()
    seen = []

    async def inner(*arguments):
        seen.append(arguments)

    await api.wrap(inner, public_url="https://rs.example")(scope, receive, send)
    [(scope_inside, receive_inside, send_inside)] = seen
    assert scope_inside is scope
    assert receive_inside is receive
    assert send_inside is send


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
