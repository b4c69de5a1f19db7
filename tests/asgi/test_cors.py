"""Scripts of other origins can read what they need, and preflights are no way in (behind a guard: test_preflight)."""

from functools import partial

import pytest
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from dpop_asgi.starlette import requires
from tests.support.api import App, call, http_scope

ORIGIN = ("origin", "https://app.example")
PREFLIGHT = [
    ORIGIN,
    ("access-control-request-method", "GET"),
    ("access-control-request-headers", "authorization, dpop"),
]
NEEDED = ["DPoP-Nonce", "WWW-Authenticate"]


def _exposed(answer):
    return [name.strip() for line in answer.all("access-control-expose-headers") for name in line.split(",")]


@pytest.mark.requirement("R-CORS-01")
@pytest.mark.parametrize(("also", "exposed"), [([ORIGIN], NEEDED), ([], [])], ids=["an-origin", "none"])
async def test_both_headers_are_exposed_to_scripts_of_other_origins(api, also, exposed):
    assert _exposed(await api.request(also=also)) == _exposed(await api.anonymous(also=also)) == exposed


@pytest.mark.requirement("R-CORS-03")
@pytest.mark.parametrize(
    ("said", "merged"),
    [
        pytest.param(["X-Total"], ["X-Total", *NEEDED], id="another"),
        pytest.param(["X-Total, etag", "X-Page"], ["X-Total", "etag", "X-Page", *NEEDED], id="several-lines"),
        pytest.param(["dpop-nonce, X-Total"], ["dpop-nonce", "X-Total", "WWW-Authenticate"], id="one-of-ours"),
        pytest.param(["DPoP-Nonce, WWW-Authenticate"], NEEDED, id="both-of-ours"),
        pytest.param([""], NEEDED, id="empty"),
    ],
)
async def test_what_the_app_exposes_stays_exposed(make_api, said, merged):
    inner = App(headers=[("Access-Control-Expose-Headers", value) for value in said])
    assert _exposed(await make_api(inner).request(also=[ORIGIN])) == merged


@pytest.mark.requirement("R-CORS-02")
@pytest.mark.parametrize(
    ("method", "also"),
    [
        pytest.param("OPTIONS", PREFLIGHT, id="Z01-preflight"),
        pytest.param("OPTIONS", [("origin", ""), ("access-control-request-method", "")], id="Z01-empty-values"),
        pytest.param("OPTIONS", [ORIGIN], id="options-with-an-origin"),
        pytest.param("OPTIONS", PREFLIGHT[1:], id="options-without-an-origin"),
        pytest.param("OPTIONS", [*PREFLIGHT, ("authorization", "Basic x")], id="options-with-credentials"),
        pytest.param("GET", PREFLIGHT, id="another-method"),
    ],
)
async def test_no_shape_of_a_request_stands_for_credentials(api, caplog, method, also):
    """Z01, N24: where preflights are answered says the log; as a warning once, since anyone can cause it."""
    caplog.set_level("INFO", "dpop_asgi")
    for _ in range(2):
        assert (await api.anonymous(method, also=also)).status == 401
    assert api.inner.scopes == []
    told = [record for record in caplog.records if "preflight" in record.message]
    names = {name for name, _ in also}
    is_preflight = method == "OPTIONS" and len(names) > 1 and "authorization" not in names and "origin" in names
    assert [record.levelname for record in told] == (["WARNING", "INFO"] if is_preflight else [])
    assert all("add it after DPoPMiddleware" in record.message for record in told)


async def test_a_preflight_to_an_open_path_is_a_request_to_an_open_path(make_api, caplog):
    api = make_api(public_paths=["/r"])
    assert (await api.anonymous("OPTIONS", also=PREFLIGHT)).body == b"ok"
    assert "preflight" not in caplog.text


CORS = {"allow_origins": [ORIGIN[1]], "allow_methods": ["GET"], "allow_headers": ["authorization", "dpop"]}


@requires()
async def _asks(request):
    return PlainTextResponse("ok")


def _outside(make_api, **options):
    """The order that works for browsers: CORS around everything."""
    api = make_api()
    api.app = CORSMiddleware(api.app, **CORS, **options)
    return api


def _inside(make_api):
    return make_api(CORSMiddleware(App(), **CORS, expose_headers=NEEDED), preflights="pass")


def _inside_where_routes_ask(make_api):
    return make_api(CORSMiddleware(Starlette(routes=[Route("/r", _asks)]), **CORS), protect="routes")


@pytest.mark.requirement("R-CORS-01", "R-CORS-02", "R-CORS-03", "H-08")
@pytest.mark.parametrize(
    "order",
    [
        pytest.param(_outside, id="outside"),
        pytest.param(partial(_outside, expose_headers=NEEDED), id="outside-and-exposing"),
        pytest.param(_inside, id="inside"),
        pytest.param(_inside_where_routes_ask, id="inside-where-routes-ask"),
    ],
)
async def test_in_each_order_preflights_are_answered_and_both_headers_exposed_once(make_api, order):
    api = order(make_api)
    asked = await call(api.app, http_scope("OPTIONS", headers=[("host", "rs.example"), *PREFLIGHT]))
    assert (asked.status, asked.one("access-control-allow-origin")) == (200, ORIGIN[1])
    assert asked.all("www-authenticate") == []
    accepted, challenged = await api.request(also=[ORIGIN]), await api.anonymous(also=[ORIGIN])
    assert (accepted.status, challenged.status) == (200, 401)
    assert sorted(_exposed(accepted)) == sorted(_exposed(challenged)) == NEEDED
    if order is not _inside:
        assert challenged.one("access-control-allow-origin") == ORIGIN[1]
