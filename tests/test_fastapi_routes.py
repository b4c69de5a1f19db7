"""FastAPI routes that ask who is calling: `Security(DPoP(), scopes=[...])`."""

import asyncio
import json
from http import HTTPMethod
from typing import Annotated

import httpx2
import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Security, WebSocket
from fastapi.testclient import TestClient
from openapi_spec_validator import validate
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.testclient import WebSocketDenialResponse

from dpop_asgi import Caller, DPoPMiddleware
from dpop_asgi.fastapi import DPoP, DPoPCaller, authenticate, needs, scopes_of, unprotected_routes
from dpop_asgi.starlette import Protected, requires
from tests.support.api import PUBLIC_URL, Api, call, http_scope

Reader = Annotated[Caller, Security(DPoP(), scopes=["orders:read"])]
Writer = Annotated[Caller, Security(DPoP(), scopes=["orders:write"])]
Anybody = Annotated[Caller | None, Security(DPoP(auto_error=False))]


class Order(BaseModel):
    number: int


def _plain(caller: Reader):
    return caller.subject


async def _nested(subject: Annotated[str, Depends(_plain)], caller: DPoPCaller):
    return subject, caller.subject


router = APIRouter()


@router.get("/who")
async def who(caller: DPoPCaller):
    return caller.subject


@router.get("/plain")
def plain(caller: Reader):
    return caller.subject


@router.get("/nested")
async def nested(subjects: Annotated[tuple, Depends(_nested)], again: Reader):
    assert set(subjects) == {again.subject}
    return again.subject


@router.post("/orders")
async def create(order: Order, caller: Writer):
    return order.number


@router.post("/notes")
async def note(order: Order, caller: Reader):
    return order.number


@router.get("/both", dependencies=[Security(DPoP(), scopes=["a:b"])])
async def both(caller: Writer):
    return caller.subject


@router.get("/vault")
async def vault(caller: Annotated[Caller, Security(DPoP(acr_values="urn:loa:2", max_age=60))]):
    return caller.subject


@router.get("/anybody")
async def anybody(caller: Anybody):
    return caller and caller.subject


@router.get("/by-hand")
async def by_hand(request: Request):
    return (await authenticate(request, "orders:read")).subject


@router.get("/teapot")
async def teapot(caller: Reader):
    raise HTTPException(418, "alice")


@router.get("/open")
async def public():
    return "open"


@router.websocket("/chat")
async def chat(websocket: WebSocket, caller: Reader):
    await websocket.accept()
    await websocket.send_text(caller.subject)
    await websocket.close()


@router.websocket("/denied-chat")
async def denied_chat(websocket: WebSocket, caller: Writer):
    await websocket.accept()


def make_app(**options):
    app = FastAPI(responses=DPoP.responses, **options)
    app.include_router(router)
    app.include_router(router, prefix="/scoped", dependencies=[Security(DPoP(), scopes=["orders:read"])])
    sub = FastAPI()
    sub.include_router(router)
    app.mount("/sub", sub)
    return app


@pytest.fixture(params=["added", "wrapped"])
def make(request, issuer, client, clock, store):
    """The app behind a middleware that was added to it, or that is around it."""

    def make(app=None, **options):
        app = app or make_app()
        api = Api(app, issuer, client, clock, **{"protect": "routes", "store": store, **options})
        if request.param == "added":
            app.add_middleware(DPoPMiddleware, authenticator=api.authenticator, public_url=PUBLIC_URL, protect="routes")
            api.app = app
        return api

    return make


async def _send(api, path, method="GET", *, credentials=True, nonce=..., **request):
    changes = {} if nonce is ... else {"nonce": nonce}
    headers = await api.fields(method, path, **changes) if credentials else {}
    transport = httpx2.ASGITransport(api.app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url=PUBLIC_URL) as http:
        return await http.request(method, path, headers={**headers, **request.pop("headers", {})}, **request)


ASK = ["/who", "/plain", "/nested", "/by-hand"]
OPEN = ["/anybody", "/open"]
PASSES = [*ASK, "/anybody"]


@pytest.mark.parametrize("prefix", ["", "/scoped", "/sub"])
async def test_a_route_knows_who_is_calling_and_the_proof_is_used_once(make, store, prefix):
    api = make()
    for number, path in enumerate(PASSES, 1):
        answer = await _send(api, prefix + path)
        assert (path, answer.status_code, answer.text.strip('"')) == (path, 200, "alice")
        assert (path, len(store.proofs)) == (path, number)


@pytest.mark.parametrize("prefix", ["", "/scoped", "/sub"])
async def test_what_does_not_ask_is_open(make, prefix):
    api = make()
    answers = {path: await _send(api, prefix + path, credentials=False) for path in [*ASK, *OPEN, "/none"]}
    is_open = [200] * len(OPEN) if prefix != "/scoped" else [401] * len(OPEN)
    assert [answer.status_code for answer in answers.values()] == [401] * len(ASK) + is_open + [404]
    for path in ASK:
        assert answers[path].headers["www-authenticate"].startswith("DPoP algs=")
        assert answers[path].headers["dpop-nonce"]


@pytest.mark.requirement("R-6750-07", "R-9470-01", "R-9470-02")
@pytest.mark.parametrize(
    ("method", "path", "status", "told"),
    [
        ("GET", "/both", 403, 'scope="a:b orders:write"'),
        ("GET", "/scoped/both", 403, 'scope="orders:read a:b orders:write"'),
        ("POST", "/orders", 403, 'scope="orders:write"'),
        ("GET", "/vault", 401, 'acr_values="urn:loa:2", max_age="60"'),
        ("GET", "/sub/both", 403, 'scope="a:b orders:write"'),
    ],
    ids=str,
)
async def test_one_response_names_all_that_is_needed_and_no_proof_is_used_up(
    make, store, caplog, method, path, status, told
):
    answer = await _send(make(), path, method, json={"number": 1})
    assert (answer.status_code, told in answer.headers["www-authenticate"]) == (status, True)
    assert store.proofs == []
    assert [record for record in caplog.records if record.levelname in {"ERROR", "CRITICAL"}] == []


async def test_where_fastapi_keeps_it_elsewhere_each_dependency_asks_for_its_part(make, monkeypatch):
    monkeypatch.setattr("dpop_asgi.fastapi.security.needs_of", lambda _: None)
    api = make()
    assert (await _send(api, "/nested")).text == '"alice"'
    answer = await _send(api, "/both")
    assert (answer.status_code, 'scope="a:b"' in answer.headers["www-authenticate"]) == (403, True)


def test_what_a_route_needs_is_not_guessed():
    assert needs.needs_of({}) is needs.needs_of({"route": object()}) is needs.needs_of_dependant(object()) is None


@pytest.mark.requirement("R-8-06")
async def test_a_newer_nonce_goes_out_whatever_the_route_does(make, clock):
    api = make()
    older = await api.authenticator.challenge_nonce()
    clock.advance(60)
    newer = await api.authenticator.challenge_nonce()
    for path in ("/who", "/plain", "/teapot", "/vault", "/sub/who"):
        answer = await _send(api, path, nonce=older)
        seen = answer.headers.get_list("dpop-nonce"), answer.headers["cache-control"]
        assert (path, *seen) == (path, [newer], "no-store")


# Bodies


def _behind_base_http_middleware():
    app = make_app()
    app.add_middleware(BaseHTTPMiddleware, dispatch=_pass_on)
    return app


async def _pass_on(request, call_next):
    return await call_next(request)


@pytest.mark.requirement("R-6750-02")
@pytest.mark.parametrize("make_app", [make_app, _behind_base_http_middleware])
@pytest.mark.parametrize("path", ["/orders", "/scoped/orders", "/sub/orders"])
@pytest.mark.parametrize("status", [401, 403], ids=["nobody", "a-scope-is-lacking"])
async def test_no_byte_of_a_body_is_read_before_its_sender_is_known(make, make_app, path, status):
    api = make(make_app())
    sent = {**(await api.fields("POST", path) if status == 403 else {}), "content-type": "application/json"}
    assert (await call(api.app, http_scope("POST", path, sent.items()))).status == status


async def test_an_upload_may_outlive_its_nonce(make, clock):
    api = make()
    parts = [b'{"num', b'ber": 7}']

    async def receive():
        clock.advance(200)
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    sent = {**await api.fields("POST", "/notes"), "content-type": "application/json"}
    answer = await call(api.app, http_scope("POST", "/notes", sent.items()), receive)
    assert (answer.status, answer.body) == (200, b"7")
    assert (await _send(api, "/notes", "POST", json={"number": "x"})).status_code == 422


# FastAPI's own test patterns


def test_dependency_overrides_replace_all_equal_ones_without_a_middleware():
    app = make_app()
    mallory = Caller(subject="mallory", client_id=None, scopes=frozenset(), key_thumbprint=None, token_expires_at=None)
    app.dependency_overrides[DPoP()] = lambda: mallory
    http = TestClient(app)
    assert [http.get(path).json() for path in ("/who", "/nested", "/scoped/plain")] == ["mallory"] * 3
    assert http.post("/orders", json={"number": 1}).json() == 1


async def test_dependency_overrides_of_others_change_nothing(make, store):
    app = make_app()
    app.dependency_overrides[_plain] = lambda: "alice"
    api = make(app)
    assert (await _send(api, "/nested")).text == '"alice"'
    assert (await _send(api, "/both")).status_code == 403
    assert (await _send(api, "/orders", "POST", json={"number": 1})).status_code == 403


async def test_a_websocket_route_asks_before_it_is_accepted(make):
    api = make()
    http = TestClient(api.app, base_url=PUBLIC_URL)
    for path in ("/chat", "/scoped/chat", "/sub/chat"):
        with http.websocket_connect(path, headers=await api.fields(path=f"wss://rs.example{path}")) as websocket:
            assert websocket.receive_text() == "alice"
    headers = await api.fields(path="wss://rs.example/denied-chat")
    with pytest.raises(WebSocketDenialResponse) as denied, http.websocket_connect("/denied-chat", headers=headers):
        pass
    assert (denied.value.status_code, 'scope="orders:write"' in denied.value.headers["www-authenticate"]) == (403, True)


def test_without_the_middleware_a_route_is_an_error_and_not_open():
    with pytest.raises(RuntimeError, match="add_middleware"):
        TestClient(make_app()).get("/who")


# OpenAPI, and what is open


def test_openapi_has_the_scheme_and_the_scopes_and_is_valid():
    """N13, D11"""
    app = make_app()
    schema = app.openapi()
    validate(schema)
    schemes = schema["components"]["securitySchemes"]
    assert {name: (one["type"], one["scheme"]) for name, one in schemes.items()} == {"DPoP": ("http", "DPoP")}
    assert {path: schema["paths"][path]["get"].get("security") for path in ("/who", "/plain", "/both", "/open")} == {
        "/who": [{"DPoP": []}],
        "/plain": [{"DPoP": ["orders:read"]}],
        "/both": [{"DPoP": ["a:b", "orders:write"]}],
        "/open": None,
    }
    responses = schema["paths"]["/who"]["get"]["responses"]
    assert {status: sorted(responses[status]["headers"]) for status in ("401", "403")} == {
        "401": ["DPoP-Nonce", "WWW-Authenticate"],
        "403": ["WWW-Authenticate"],
    }
    assert json.dumps(responses).count("#/components/schemas/RejectedRequest") == 2


def test_what_is_open_is_listed(tmp_path):
    (tmp_path / "index.html").write_text("hello")
    app = FastAPI()
    app.include_router(router, prefix="/api")
    sub = FastAPI(openapi_url=None)
    sub.get("/open")(public)
    sub.get("/who")(who)
    app.mount("/sub", sub)
    app.mount("/static", StaticFiles(directory=tmp_path))
    app.mount("/files", Protected(StaticFiles(directory=tmp_path), "files:read"))
    app.router.routes.append(
        Mount("/v2", routes=[Route("/a", public), Route("/b", requires("b")(requires("c")(public)))])
    )
    inside = FastAPI(openapi_url=None)
    inside.get("/d", dependencies=[Security(DPoP(), scopes=["d"])])(requires("e")(public))
    app.mount("/v3", Protected(inside, "f"))
    app.frontend("/front", directory=tmp_path)
    assert unprotected_routes(app) == [
        "GET /openapi.json",
        "GET /docs",
        "GET /docs/oauth2-redirect",
        "GET /redoc",
        "GET /api/anybody",
        "GET /api/by-hand",
        "GET /api/open",
        "GET /sub/open",
        "MOUNT /static",
        "GET /v2/a",
        "GET /front",
    ]
    assert scopes_of(app) == ["a:b", "b", "c", "d", "e", "f", "files:read", "orders:read", "orders:write"]


def test_each_method_that_starlette_calls_is_listed():
    """QUERY and a HEAD of its own, too: one that is left out would count as protected."""
    each = type("Each", (HTTPEndpoint,), {name.lower(): public for name in (*HTTPMethod, "QUERY")})
    called = each({"type": "http"}, None, None)._allowed_methods
    listed = unprotected_routes(Starlette(routes=[Route("/a", each)]))
    assert {label.partition(" ")[0] for label in listed} == {*called}


def test_a_scope_that_is_none_is_found_before_the_first_request():
    app = FastAPI()
    app.get("/x", dependencies=[Security(DPoP(), scopes=["orders:read orders:write"])])(public)
    with pytest.raises(ValueError, match=r"^scopes: "):
        unprotected_routes(app)


@pytest.mark.parametrize("options", [{"max_age": 0}, {"acr_values": "a b"}, {"bearer": 1}], ids=repr)
def test_an_invalid_option_is_rejected_when_it_is_configured(options):
    with pytest.raises(ValueError, match=f"^{next(iter(options))}: "):
        DPoP(**options)


async def test_an_event_arrives_while_the_generator_goes_on_and_a_disconnect_ends_it(make):
    ended, sent, gone = asyncio.Event(), asyncio.Queue(), asyncio.Event()
    app = FastAPI()

    @app.get("/events")
    async def events(caller: Reader):
        async def generate():
            try:
                yield b"data: 0\n\n"
                await asyncio.Event().wait()
            finally:
                ended.set()

        return StreamingResponse(generate())

    async def receive():
        await gone.wait()
        return {"type": "http.disconnect"}

    api = make(app)
    scope = http_scope(path="/events", headers=(await api.fields(path="/events")).items())
    scope["asgi"]["spec_version"] = "2.3"  # what uvicorn says
    request = asyncio.create_task(api.app(scope, receive, sent.put))
    assert [(await sent.get())["type"], (await sent.get())["body"]] == ["http.response.start", b"data: 0\n\n"]
    assert not ended.is_set()
    gone.set()
    await request
    assert ended.is_set()
