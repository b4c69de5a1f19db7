"""Around and inside Starlette apps, and routes that ask who is calling, in both modes."""

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.authentication import requires as starlettes_requires
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.testclient import TestClient, WebSocketDenialResponse

from dpop_asgi import DPoPError, DPoPMiddleware, InsufficientScope
from dpop_asgi.starlette import DPoPBackend, Protected, authenticate, caller_from, rejection_handler, requires
from tests.support.api import PUBLIC_URL, call, http_scope


@requires("orders:read")
async def _read(request):
    return PlainTextResponse(caller_from(request).subject)


@requires("orders:read", "orders:write")
async def _write(request):
    return PlainTextResponse("written")


@requires("orders:read")
@requires("orders:write", "b")
async def _stacked(request):
    return PlainTextResponse("written")


@requires(acr_values="urn:loa:2", max_age=60)
async def _vault(request):
    return PlainTextResponse("open")


class _Orders(HTTPEndpoint):
    @requires("orders:read")
    def get(self, request):
        return PlainTextResponse(caller_from(request).subject)

    @requires("orders:write")
    async def post(self, request):
        return PlainTextResponse(request.method)


async def _anybody(request):
    caller = await authenticate(request, optional=True)
    return PlainTextResponse("anybody" if caller is None else caller.subject)


@requires()
async def _then_starlettes(request):
    return await starlettes_requires("orders:write")(_read)(request)


@starlettes_requires("orders:read")
async def _starlettes(request):
    return PlainTextResponse("granted")


@requires("orders:read")
async def _chat(websocket):
    await websocket.accept()
    await websocket.send_text(caller_from(websocket).subject)
    await websocket.close()


@requires("orders:write")
async def _denied_chat(websocket):
    await websocket.accept()


async def _open(request):
    return JSONResponse({"user": request.scope.get("user") is not None})


def _routes(folder):
    return [
        Route("/read", _read),
        Route("/write", _write),
        Route("/stacked", _stacked),
        Route("/vault", _vault),
        Route("/orders", _Orders),
        Route("/anybody", _anybody),
        Route("/starlettes", _starlettes),
        Route("/then-starlettes", _then_starlettes),
        Route("/open", _open),
        Mount("/files", Protected(StaticFiles(directory=folder), "orders:read")),
        Mount("/secrets", Protected(StaticFiles(directory=folder), "secrets")),
        Mount("/v2", routes=[Route("/read", _read)]),
        WebSocketRoute("/chat", _chat),
        WebSocketRoute("/denied-chat", _denied_chat),
    ]


async def _pass_on(request, call_next):
    return await call_next(request)


@pytest.fixture(params=["everything", "routes"])
def serve(request, make_api, tmp_path):
    (tmp_path / "a.txt").write_text("file")

    def serve(middleware=(), *, protect=request.param):
        return make_api(Starlette(routes=_routes(tmp_path), middleware=middleware), protect=protect)

    return serve


async def _who(request):
    return JSONResponse([caller_from(request).subject, request.user.display_name, request.url.path])


async def _reject(request):
    raise InsufficientScope("orders:write")


async def _break(request):
    raise ZeroDivisionError


PLAIN = [
    Route("/who", _who),
    Route("/reject", _reject),
    Route("/break", _break),
    Mount("/v2", routes=[Route("/who", _who)]),
]
WAYS = {"added": "m", "around-another": "bm", "inside-another": "mb", "listed": "", "while-debugging": "d"}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_wherever_the_middleware_stands_routes_know_who_is_calling(api, clock, way):
    options = {"authenticator": api.authenticator, "public_url": PUBLIC_URL}
    listed = [] if way else [Middleware(DPoPMiddleware, **options)]
    api.app = app = Starlette(routes=PLAIN, middleware=listed, debug=way == "d")
    for added in way.replace("d", "m"):
        kind, of_kind = (DPoPMiddleware, options) if added == "m" else (BaseHTTPMiddleware, {"dispatch": _pass_on})
        app.add_middleware(kind, **of_kind)
    for path in ("/who", "/v2/who"):
        assert (await _send(api, path)).json() == ["alice", "alice", path]
    for path in ("/who", "/v2/who", "/none"):
        assert (await call(app, http_scope(path=path))).status == 401
    rejected = await _send(api, "/reject")
    assert (rejected.status_code, rejected.json()["error"]) == (403, "insufficient_scope")
    assert rejected.headers["www-authenticate"].startswith('DPoP error="insufficient_scope", ')
    assert (await _send(api, "/break", raises=False)).status_code == 500
    with pytest.raises(ZeroDivisionError):
        await _send(api, "/break")
    older = await api.authenticator.challenge_nonce()
    clock.advance(60)
    unknown = await _send(api, "/none", headers=await api.fields(path="/none", nonce=older))
    assert unknown.status_code == 404
    assert unknown.headers.get_list("dpop-nonce") == [await api.authenticator.challenge_nonce()]


async def test_without_the_middleware_a_rejection_is_an_error():
    app = Starlette(routes=PLAIN, exception_handlers={DPoPError: rejection_handler})
    with pytest.raises(InsufficientScope):
        await call(app, http_scope(path="/reject"))


@pytest.mark.parametrize("changes", [{}, {"user": "mallory"}, {"dpop_asgi.caller": {"subject": "mallory"}}], ids=repr)
def test_without_the_middleware_there_is_no_caller(changes):
    with pytest.raises(LookupError, match="DPoPMiddleware"):
        caller_from(Request(http_scope(**changes)))


async def _send(api, path, method="GET", **changes):
    headers = {**await api.fields(method, path), **changes.pop("headers", {})}
    transport = httpx2.ASGITransport(api.app, raise_app_exceptions=changes.pop("raises", True))
    async with httpx2.AsyncClient(transport=transport, base_url=PUBLIC_URL) as http:
        return await http.request(method, path, headers=headers, **changes)


@pytest.mark.requirement("R-6750-07", "R-9470-01")
@pytest.mark.parametrize(
    ("method", "path", "status", "told"),
    [
        ("GET", "/read", 200, "alice"),
        ("GET", "/v2/read", 200, "alice"),
        ("GET", "/orders", 200, "alice"),
        ("GET", "/anybody", 200, "alice"),
        ("GET", "/files/a.txt", 200, "file"),
        ("GET", "/write", 403, 'scope="orders:read orders:write"'),
        ("GET", "/stacked", 403, 'scope="orders:read orders:write b"'),
        ("POST", "/orders", 403, 'scope="orders:write"'),
        ("GET", "/secrets/a.txt", 403, 'scope="secrets"'),
        ("GET", "/vault", 401, 'acr_values="urn:loa:2", max_age="60"'),
    ],
    ids=lambda value: str(value).strip("/"),
)
async def test_a_route_gets_what_it_asks_for(serve, method, path, status, told):
    answer = await _send(serve(), path, method)
    assert answer.status_code == status
    assert told in (answer.text if status == 200 else answer.headers["www-authenticate"])


IN_ANOTHER_TASK = [Middleware(BaseHTTPMiddleware, dispatch=_pass_on)]
BACKEND = Middleware(AuthenticationMiddleware, backend=DPoPBackend())


@pytest.mark.parametrize(
    ("middleware", "protect", "path", "status"),
    [
        pytest.param([], "routes", "/then-starlettes", 403, id="below-ours"),
        pytest.param([BACKEND], "routes", "/starlettes", 200, id="behind-our-backend"),
        pytest.param([], "everything", "/starlettes", 200, id="alone"),
        pytest.param(IN_ANOTHER_TASK, "routes", "/read", 200, id="ours-in-another-task"),
        pytest.param([], "routes", "/starlettes", 500, id="alone-where-routes-ask-it-is-an-error-of-the-app"),
    ],
)
async def test_starlettes_own_decorator_sees_the_caller(serve, middleware, protect, path, status):
    assert (await _send(serve(middleware, protect=protect), path, raises=False)).status_code == status


async def test_a_backend_lets_nobody_pass_as_nobody_and_rejects_bad_credentials(serve):
    api = serve([BACKEND], protect="routes")
    assert (await call(api.app, http_scope(path="/open"))).status == 200
    assert (await call(api.app, http_scope(path="/starlettes"))).status == 403
    answer = await api.request(path="/open", nonce=None)
    assert (answer.status, 'error="use_dpop_nonce"' in answer.one("www-authenticate")) == (401, True)


async def test_a_websocket_asks_before_it_is_accepted(serve):
    api = serve()
    http = TestClient(api.app, base_url=PUBLIC_URL)
    with http.websocket_connect("/chat", headers=await api.fields(path="wss://rs.example/chat")) as websocket:
        assert websocket.receive_text() == "alice"
    headers = await api.fields(path="wss://rs.example/denied-chat")
    with pytest.raises(WebSocketDenialResponse) as denied, http.websocket_connect("/denied-chat", headers=headers):
        pass
    assert (denied.value.status_code, 'scope="orders:write"' in denied.value.headers["www-authenticate"]) == (403, True)


async def test_an_endpoint_without_a_connection_cannot_ask():
    @requires("orders:read")
    async def endpoint():
        """It can't know who is calling."""

    with pytest.raises(TypeError, match="requires"):
        await endpoint()
