"""Around and inside Starlette apps."""

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.authentication import requires
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from dpop_asgi import DPoPError, DPoPMiddleware, InsufficientScope, caller_from
from dpop_asgi.starlette import rejection_handler
from tests.support.api import PUBLIC_URL, Api, http_scope


async def _who(request):
    caller = caller_from(request)
    return JSONResponse({"sub": caller.subject, "user": request.user.display_name, "path": request.url.path})


async def _refuse(request):
    raise InsufficientScope("orders:write")


async def _break(request):
    raise ZeroDivisionError


@requires("orders:read")
async def _granted(request):
    return PlainTextResponse("granted")


@requires("orders:write")
async def _denied(request):
    return PlainTextResponse("granted")


@requires("authenticated")
async def _no_such_scope(request):
    return PlainTextResponse("granted")


async def _echo(request):
    return PlainTextResponse(await request.body())


ROUTES = [
    Route("/who", _who),
    Route("/refuse", _refuse),
    Route("/break", _break),
    Route("/granted", _granted),
    Route("/denied", _denied),
    Route("/authenticated", _no_such_scope),
    Route("/echo", _echo, methods=["POST"]),
    Mount("/v2", routes=[Route("/who", _who)]),
]


class _PassOn(BaseHTTPMiddleware):
    """Runs what is inside in a task group of its own."""

    async def dispatch(self, request, call_next):
        return await call_next(request)


def _added(app, authenticator):
    app.add_middleware(DPoPMiddleware, authenticator=authenticator, public_url=PUBLIC_URL)
    return app


def _listed(app, authenticator):
    ours = Middleware(DPoPMiddleware, authenticator=authenticator, public_url=PUBLIC_URL)
    return Starlette(routes=app.routes, middleware=[ours])


def _wrapped(app, authenticator):
    return DPoPMiddleware(app, authenticator=authenticator, public_url=PUBLIC_URL)


def _added_around_another(app, authenticator):
    app.add_middleware(_PassOn)
    return _added(app, authenticator)


def _added_inside_another(app, authenticator):
    _added(app, authenticator)
    app.add_middleware(_PassOn)
    return app


WAYS = [
    pytest.param(_added, id="added"),
    pytest.param(_listed, id="listed"),
    pytest.param(_wrapped, id="wrapped"),
    pytest.param(_added_around_another, id="around-a-base-http-middleware"),
    pytest.param(_added_inside_another, id="inside-a-base-http-middleware"),
]


@pytest.fixture
def api(issuer, client, clock):
    return Api(None, issuer, client, clock)


@pytest.fixture(params=WAYS)
def app(request, api):
    return request.param(Starlette(routes=ROUTES), api.authenticator)


@pytest.fixture
async def http(app):
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url=PUBLIC_URL) as http:
        yield http


@pytest.mark.parametrize("path", ["/who", "/v2/who"])
async def test_a_route_knows_who_is_calling(http, api, path):
    answer = await http.get(path, headers=await api.fields(path=path))
    assert answer.json() == {"sub": "alice", "user": "alice", "path": path}


@pytest.mark.parametrize("path", ["/who", "/v2/who", "/no-such-route"])
async def test_without_credentials_no_route_is_reached(http, path):
    answer = await http.get(path)
    assert (answer.status_code, answer.headers["www-authenticate"].split()[0]) == (401, "DPoP")


async def test_a_rejection_that_a_route_raises_is_answered_with_a_challenge(http, api):
    answer = await http.get("/refuse", headers=await api.fields(path="/refuse"))
    assert answer.status_code == 403
    [challenge] = answer.headers.get_list("www-authenticate")
    assert challenge.startswith('DPoP error="insufficient_scope", ')
    assert 'scope="orders:write"' in challenge
    assert answer.json()["error"] == "insufficient_scope"


async def test_an_error_of_a_route_is_a_500(http, api):
    answer = await http.get("/break", headers=await api.fields(path="/break"))
    assert (answer.status_code, answer.text) == (500, "Internal Server Error")


async def test_starlettes_own_requires_reads_the_scopes(http, api):
    statuses = [
        (await http.get(path, headers=await api.fields(path=path))).status_code for path in ("/granted", "/denied")
    ]
    assert statuses == [200, 403]


async def test_a_route_reads_the_body(http, api):
    answer = await http.post("/echo", content=b"hello", headers=await api.fields("POST", "/echo"))
    assert answer.text == "hello"


async def test_an_unknown_route_is_a_404_with_the_newer_nonce(http, api, clock):
    older = await api.authenticator.challenge_nonce()
    clock.advance(60.0)
    answer = await http.get("/none", headers=await api.fields(path="/none", nonce=older))
    assert answer.status_code == 404
    assert answer.headers.get_list("dpop-nonce") == [await api.authenticator.challenge_nonce()]


async def test_the_error_of_a_route_comes_out_as_it_went_in(api, app):
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url=PUBLIC_URL) as http:
        with pytest.raises(ZeroDivisionError):
            await http.get("/break", headers=await api.fields(path="/break"))


async def test_without_the_middleware_a_rejection_is_an_error():
    app = Starlette(routes=ROUTES, exception_handlers={DPoPError: rejection_handler})
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=PUBLIC_URL) as http:
        with pytest.raises(InsufficientScope):
            await http.get("/refuse")


async def test_a_rejection_while_debugging_is_answered_with_a_challenge_too(api):
    app = Starlette(routes=ROUTES, debug=True)
    transport = httpx2.ASGITransport(_wrapped(app, api.authenticator))
    async with httpx2.AsyncClient(transport=transport, base_url=PUBLIC_URL) as http:
        answer = await http.get("/refuse", headers=await api.fields(path="/refuse"))
    assert answer.status_code == 403


def test_starlettes_test_client_works(api, app):
    with TestClient(app, base_url=PUBLIC_URL) as http:
        challenged = http.get("/who")
        nonce = challenged.headers["dpop-nonce"]
        headers = api.client.headers("GET", f"{PUBLIC_URL}/who", api.token, nonce=nonce)
        assert http.get("/who", headers=headers).json()["sub"] == "alice"
        assert http.get("/who", headers=headers).status_code == 401


@pytest.mark.parametrize(
    "scope",
    [http_scope(), http_scope(user="mallory"), http_scope(**{"dpop_asgi.caller": {"subject": "mallory"}})],
    ids=["nothing", "a-user-of-somebody-else", "something-else-in-its-place"],
)
def test_without_the_middleware_there_is_no_caller(scope):
    with pytest.raises(LookupError, match="DPoPMiddleware"):
        caller_from(Request(scope))
