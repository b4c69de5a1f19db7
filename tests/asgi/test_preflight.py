"""Z01: with `preflights="pass"` the app runs for real preflights only; neither sees nor says more than CORS needs."""

import pytest
from starlette.middleware.cors import CORSMiddleware

from dpop_asgi import InsufficientScope
from tests.support.api import App, call, fields, http_scope

ORIGIN, METHOD, NAMES = "origin", "access-control-request-method", "access-control-request-headers"
ASKED = [(ORIGIN, "https://app.example"), (METHOD, "GET")]
ALLOWED = [("Access-Control-Allow-Origin", "https://app.example"), ("Vary", "Origin")]


def _with(name, *values):
    return [*(pair for pair in ASKED if pair[0] != name), *((name, value) for value in values)]


PREFLIGHTS = [
    pytest.param(ASKED, id="least"),
    *(
        pytest.param(_with(ORIGIN, origin), id=origin)
        for origin in ["null", "http://localhost:5173", "https://[2001:db8::1]:8443", "https://xn--caf-dma.example",
                       "chrome-extension://abcdefghijklmnop", "capacitor://localhost"]
    ),
    pytest.param(_with(METHOD, "PROPFIND"), id="another-method"),
    pytest.param([*ASKED, (NAMES, "authorization,dpop")], id="names"),
    pytest.param([*ASKED, (NAMES, "authorization, dpop ,x-total")], id="names-with-spaces"),
    pytest.param([*ASKED, ("content-length", "0"), ("user-agent", "x"), ("sec-fetch-mode", "cors")], id="browser"),
]  # fmt: skip

NO_PREFLIGHTS = [
    *(
        pytest.param(_with(ORIGIN, *origins), id=f"origin-{origins}"[:40])
        for origins in [[], [""], ["*"], ["app.example"], ["https://"], ["https://app.example/"], ["https://a@b"],
                        ["https://APP.example"], ["https://a b"], ["https://a.example:"], ["https://a.example:123456"],
                        ["https://a.example https://b.example"], ["https://a.example", "https://b.example"],
                        ["https://a.example\n"], ["file://"], ["undefined"]]
    ),
    pytest.param(_with(ORIGIN, f"https://{'a' * 254}"), id="origin-too-long"),
    *(
        pytest.param(_with(METHOD, *methods), id=f"method-{methods}"[:40])
        for methods in [[], [""], ["GET, POST"], ["G T"], ["GET", "GET"], ["GET\n"], ["G\xe9T"], ["M" * 65]]
    ),
    *(
        pytest.param([*ASKED, *((NAMES, value) for value in names)], id=f"names-{names}"[:40])
        for names in [[""], [","], ["a,"], [",a"], ["a b"], ["a:b"], ["a", "b"], ["a\n"], ["a" * 4097]]
    ),
    *(
        pytest.param([*ASKED, pair], id=f"{pair[0]}-{pair[1]}")
        for pair in [("authorization", "Basic x"), ("authorization", ""), ("proxy-authorization", "Basic x"),
                     ("dpop", "x"), ("cookie", "session=1"), ("content-length", "1"), ("content-length", "00"),
                     ("transfer-encoding", "chunked"), ("host", "other.example")]
    ),
    pytest.param([*ASKED, ("content-length", "5"), ("content-length", "0")], id="two-lengths"),
]  # fmt: skip


@pytest.mark.requirement("R-CORS-02")
@pytest.mark.parametrize("also", PREFLIGHTS)
async def test_a_preflight_reaches_the_app(make_api, also):
    api = make_api(App(headers=ALLOWED, chunks=(b"",)), preflights="pass")
    answer = await api.anonymous("OPTIONS", also=also)
    assert answer.status == 200
    assert answer.headers == (*fields(ALLOWED), (b"content-length", b"0"))
    assert len(api.inner.scopes) == 1


@pytest.mark.requirement("R-CORS-02")
async def test_a_preflight_passes_what_is_required_before_routes_ask(make_api):
    require = {"/admin": "required"}
    api = make_api(App(headers=ALLOWED), protect="routes", require=require, preflights="pass")
    assert [(await api.anonymous("OPTIONS", path="/admin", also=also)).status for also in (ASKED, [])] == [200, 401]


@pytest.mark.requirement("R-CORS-02")
@pytest.mark.parametrize("also", NO_PREFLIGHTS)
async def test_what_is_no_preflight_needs_credentials(make_api, also):
    api = make_api(preflights="pass")
    assert (await api.anonymous("OPTIONS", also=also)).status in {400, 401}
    assert api.inner.scopes == []


@pytest.mark.parametrize(
    ("method", "members"),
    [
        pytest.param("GET", {}, id="another-method"),
        pytest.param("options", {}, id="lower-case-method"),
        pytest.param("OPTIONS", {"type": "websocket"}, id="handshake"),
        pytest.param("OPTIONS", {"type": "http.other"}, id="another-type"),
    ],
)
def test_no_other_kind_of_request_is_a_preflight(make_api, method, members):
    guard = make_api(preflights="pass").app._preflights.guard
    assert guard(App(), http_scope("OPTIONS", headers=ASKED)) is not None
    assert guard(App(), http_scope(method, headers=ASKED, **members)) is None


async def test_a_request_with_credentials_is_judged_and_not_guarded(make_api):
    api = make_api(preflights="pass")
    answer = await api.request("OPTIONS", also=ASKED)
    assert (answer.status, answer.body) == (200, b"ok")


async def test_the_app_sees_no_more_than_a_cors_policy_depends_on(make_api):
    """Neither a query, which may carry a token, nor a header that some frameworks take for another method."""
    also = [*ASKED, ("x-http-method-override", "DELETE"), ("x-api-key", "x"), ("x-forwarded-proto", "https")]
    api = make_api(App(), preflights="pass")
    await api.anonymous("OPTIONS", also=also, raw_path=b"/r?_method=DELETE", query_string=b"_method=DELETE")
    [scope] = api.inner.scopes
    assert scope["headers"] == fields([("host", "rs.example"), *ASKED, ("x-forwarded-proto", "https")])
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == ("/r", b"/r", b"")
    assert not scope.keys() & {"user", "auth", "dpop_asgi.caller"}


async def test_the_app_is_handed_no_body(make_api):
    """HTTP/2 announces none; what comes is read until the client has gone."""
    sent = iter([{"type": "http.request", "body": b"x", "more_body": True}, {"type": "http.request", "body": b"y"}])
    read = []

    async def inner(scope, receive, send):
        read.extend([await receive(), await receive()])
        await App()(scope, receive, send)

    async def receive():
        return next(sent, {"type": "http.disconnect"})

    app = make_api(inner, preflights="pass").app
    await call(app, http_scope("OPTIONS", headers=ASKED), receive)
    assert read == [{"type": "http.request", "body": b"", "more_body": False}, {"type": "http.disconnect"}]


@pytest.mark.parametrize(
    ("status", "answered", "length"),
    [(200, 200, ["0"]), (204, 204, []), (299, 299, ["0"]), *((said, 403, ["0"]) for said in (302, 400, 404, 405, 500))],
)
async def test_only_success_and_headers_of_cors_get_out(make_api, status, answered, length):
    said = [*ALLOWED, ("set-cookie", "a=b"), ("location", "/secret"), ("content-length", "6"), ("x-total", "5")]
    answer = await make_api(App(status, said, (b"sec", b"ret")), preflights="pass").anonymous("OPTIONS", also=ASKED)
    assert (answer.status, answer.body, answer.all("content-length")) == (answered, b"", length)
    others = [pair for pair in answer.headers if pair[0] != b"content-length"]
    assert others == (fields(ALLOWED) if answered == status else [])


async def _says_much(scope, receive, send):
    await send({"type": "http.response.early_hint", "links": [b"</secret>"]})
    await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": True})
    await send({"type": "http.response.pathsend", "path": "/etc/motd"})
    await send({"type": "http.response.start", "status": 200, "headers": [(b"vary", b"again")]})
    await send({"type": "http.response.trailers", "headers": [(b"x", b"secret")]})


async def _rejects(scope, receive, send):
    raise InsufficientScope("admin")


async def _fails(scope, receive, send):
    raise RuntimeError("secret")


@pytest.mark.parametrize(
    ("inner", "status"),
    [
        pytest.param(_says_much, 200, id="messages-besides-the-response"),
        pytest.param(_rejects, 403, id="a-rejection-by-the-app"),
        pytest.param(CORSMiddleware(App(), allow_origins=["https://other.example"]), 403, id="an-unknown-origin"),
    ],
)
async def test_nothing_else_gets_out(make_api, inner, status):
    answer = await make_api(inner, preflights="pass").anonymous("OPTIONS", also=ASKED)
    assert (answer.status, answer.headers, answer.body) == (status, ((b"content-length", b"0"),), b"")


async def test_an_error_of_the_app_is_the_servers(make_api):
    with pytest.raises(RuntimeError):
        await make_api(_fails, preflights="pass").anonymous("OPTIONS", also=ASKED)


async def test_what_looks_like_a_preflight_but_is_malformed_is_logged(make_api, caplog):
    await make_api(preflights="pass").anonymous("OPTIONS", also=_with(ORIGIN, "*"))
    assert "malformed, or has credentials or a body" in caplog.text
