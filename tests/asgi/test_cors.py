"""Scripts of other origins can read what they need, and preflights are no way in (behind a guard: test_preflight)."""

import pytest
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware

from tests.support.api import App, call, http_scope

ORIGIN = ("origin", "https://app.example")
PREFLIGHT = [
    ORIGIN,
    ("access-control-request-method", "GET"),
    ("access-control-request-headers", "authorization, dpop"),
]
NEEDED = {"DPoP-Nonce", "WWW-Authenticate"}


def _exposed(answer):
    return [name.strip() for name in answer.one("access-control-expose-headers").split(",")]


@pytest.mark.requirement("R-CORS-01")
async def test_an_accepted_request_exposes_nonce_and_challenge(api):
    assert set(_exposed(await api.request(also=[ORIGIN]))) == NEEDED


@pytest.mark.requirement("R-CORS-01")
async def test_a_challenge_exposes_nonce_and_challenge(api):
    assert set(_exposed(await api.anonymous(also=[ORIGIN]))) == NEEDED


@pytest.mark.requirement("R-CORS-01")
async def test_a_request_of_no_origin_gets_no_cors_header(api):
    assert (await api.request()).all("access-control-expose-headers") == []
    assert (await api.anonymous()).all("access-control-expose-headers") == []


@pytest.mark.requirement("R-CORS-03")
@pytest.mark.parametrize(
    ("said", "merged"),
    [
        pytest.param(["X-Total"], ["X-Total", "DPoP-Nonce", "WWW-Authenticate"], id="another"),
        pytest.param(["X-Total, etag", "X-Page"], ["X-Total", "etag", "X-Page", *sorted(NEEDED)], id="several-lines"),
        pytest.param(["dpop-nonce, X-Total"], ["dpop-nonce", "X-Total", "WWW-Authenticate"], id="one-of-ours"),
        pytest.param(["DPoP-Nonce, WWW-Authenticate"], ["DPoP-Nonce", "WWW-Authenticate"], id="both-of-ours"),
        pytest.param([""], ["DPoP-Nonce", "WWW-Authenticate"], id="empty"),
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
        pytest.param("OPTIONS", [], id="plain-options"),
        pytest.param("OPTIONS", [ORIGIN], id="options-with-an-origin"),
        pytest.param("OPTIONS", PREFLIGHT[1:], id="options-without-an-origin"),
        pytest.param("GET", PREFLIGHT, id="another-method"),
        pytest.param("options", PREFLIGHT, id="lower-case-method"),
    ],
)
async def test_no_shape_of_a_request_stands_for_credentials(api, method, also):
    assert (await api.anonymous(method, also=also)).status == 401
    assert api.inner.scopes == []


async def test_the_log_says_where_preflights_are_answered(api, caplog):
    """Z01, N24: as a warning once, since anyone can cause it."""
    caplog.set_level("INFO", "dpop_asgi")
    for _ in range(2):
        await api.anonymous("OPTIONS", also=PREFLIGHT)
    told = [record for record in caplog.records if "preflight" in record.message]
    assert [record.levelname for record in told] == ["WARNING", "INFO"]
    assert "add it after DPoPMiddleware" in told[0].message


@pytest.mark.parametrize(
    ("method", "also"),
    [
        pytest.param("GET", PREFLIGHT, id="another-method"),
        pytest.param("OPTIONS", [ORIGIN], id="no-method-asked-for"),
        pytest.param("OPTIONS", [*PREFLIGHT, ("authorization", "DPoP x")], id="credentials"),
    ],
)
async def test_of_other_requests_the_log_says_nothing_about_preflights(api, caplog, method, also):
    caplog.set_level("INFO", "dpop_asgi")
    await api.anonymous(method, also=also)
    assert "preflight" not in caplog.text


async def test_a_preflight_to_an_open_path_is_a_request_to_an_open_path(make_api, caplog):
    api = make_api(public_paths=["/r"])
    assert (await api.anonymous("OPTIONS", also=PREFLIGHT)).body == b"ok"
    assert "preflight" not in caplog.text


def test_what_to_do_with_preflights_must_be_known_when_it_is_configured(make_api):
    with pytest.raises(ValueError, match=r"^preflights: "):
        make_api(preflights="maybe")


CORS = {
    "allow_origins": ["https://app.example"],
    "allow_methods": ["GET"],
    "allow_headers": ["authorization", "dpop"],
    "expose_headers": ["DPoP-Nonce", "WWW-Authenticate"],
}


def _outside(make_api, **cors):
    """The order that works for browsers: CORS around everything."""
    api = make_api()
    return api, CORSMiddleware(api.app, **{**CORS, **cors})


def _inside(make_api):
    api = make_api(CORSMiddleware(App(), **CORS), preflights="pass")
    return api, api.app


ORDERS = [pytest.param(_outside, id="cors-outside"), pytest.param(_inside, id="cors-inside")]


@pytest.mark.requirement("R-CORS-02")
@pytest.mark.parametrize("order", ORDERS)
async def test_in_both_orders_a_preflight_is_answered_by_the_cors_middleware(make_api, order):
    _, app = order(make_api)
    answer = await call(app, http_scope("OPTIONS", headers=[("host", "rs.example"), *PREFLIGHT]))
    assert (answer.status, answer.one("access-control-allow-origin")) == (200, "https://app.example")
    assert answer.all("www-authenticate") == []


@pytest.mark.requirement("R-CORS-01", "R-CORS-03", "H-08")
@pytest.mark.parametrize("order", ORDERS)
async def test_in_both_orders_an_accepted_answer_exposes_both_headers_once(make_api, order):
    api, app = order(make_api)
    sent = await api.fields()
    answer = await call(app, http_scope(headers=[("host", "rs.example"), ORIGIN, *sent.items()]))
    assert answer.status == 200
    assert set(_exposed(answer)) == NEEDED
    assert len(_exposed(answer)) == 2


@pytest.mark.requirement("R-CORS-01", "H-08")
async def test_a_challenge_is_readable_where_cors_stands_outside(make_api):
    _, app = _outside(make_api)
    answer = await call(app, http_scope(headers=[("host", "rs.example"), ORIGIN]))
    assert (answer.status, answer.one("access-control-allow-origin")) == (401, "https://app.example")
    assert set(_exposed(answer)) == NEEDED


@pytest.mark.requirement("R-CORS-03", "H-08")
async def test_cors_outside_that_exposes_nothing_leaves_ours(make_api):
    _, app = _outside(make_api, expose_headers=())
    answer = await call(app, http_scope(headers=[("host", "rs.example"), ORIGIN]))
    assert set(_exposed(answer)) == NEEDED


@pytest.mark.requirement("R-CORS-02")
async def test_both_as_middleware_of_one_app_work_when_cors_is_added_last(make_api):
    api = make_api()
    app = Starlette()
    app.add_middleware(type(api.app), authenticator=api.authenticator, public_url="https://rs.example")
    app.add_middleware(CORSMiddleware, **CORS)
    answer = await call(app, http_scope("OPTIONS", headers=[("host", "rs.example"), *PREFLIGHT]))
    assert (answer.status, answer.one("access-control-allow-origin")) == (200, "https://app.example")
