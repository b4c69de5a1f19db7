"""X12: a rejection raised in a FastAPI or Starlette app is a handled exception there, whatever else the app catches.

One that a route asked for decides the response, too, even where the app has swallowed it.
"""

import asyncio
from contextlib import suppress

import httpx2
import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.routing import Mount, Route

from dpop_asgi import DPoPError, DPoPMiddleware, InsufficientScope, InvalidToken, Reason, StoreError
from dpop_asgi.fastapi import authenticate
from dpop_asgi.starlette import rejection_handler
from tests.support.api import PUBLIC_URL
from tests.support.challenges import checked_challenges

PATH = "/reports"


async def _reject(request: Request):
    raise InsufficientScope("reports:read")


async def _ask(request: Request):
    await authenticate(request, "reports:read")


async def _reject_in_task_groups(request: Request):
    async with asyncio.TaskGroup(), asyncio.TaskGroup() as group:
        group.create_task(_reject(request))


async def _reject_twice(request: Request):
    raise ExceptionGroup("both", [InsufficientScope("reports:read"), InvalidToken(Reason.TOKEN_REJECTED)])


async def _reject_and_break(request: Request):
    raise ExceptionGroup("both", [ZeroDivisionError(), InsufficientScope("reports:read")])


async def _break(request: Request):
    raise ExceptionGroup("none", [ZeroDivisionError()])


async def _stumble(request: Request):
    try:
        await _reject(request)
    except InsufficientScope:
        raise ZeroDivisionError  # noqa: B904 - as it happens


async def _hide(request: Request):
    try:
        await _reject(request)
    except InsufficientScope as error:
        raise HTTPException(404) from error


async def _swallow(request: Request):
    with suppress(HTTPException):
        await _ask(request)


def _saying(status):
    async def handle(request, error):
        return RedirectResponse("/login") if status == 303 else PlainTextResponse("swallowed", status)

    return handle


async def _raise_404(request, error):
    raise HTTPException(404) from None


async def _catch_all(request, call_next):
    try:
        return await call_next(request)
    except Exception:  # noqa: BLE001 - as apps do it
        return PlainTextResponse("swallowed", 200)


async def _turns_errors_into_500():
    try:
        yield
    except Exception as error:
        raise HTTPException(500) from error


async def _turns_errors_into_500_without_a_cause():
    try:
        yield
    except Exception:  # noqa: BLE001 - as apps do it
        raise HTTPException(500) from None


async def _swallows_errors():
    with suppress(Exception):
        yield


def _app(endpoint, *, handlers=None, middleware=None, dependency=None):
    app = FastAPI(dependencies=[Depends(dependency)] if dependency else [], exception_handlers=handlers or {})
    app.get(PATH)(endpoint)
    if middleware is not None:
        app.middleware("http")(middleware)
    return app


def _mounted(endpoint, **options):
    outer = FastAPI(exception_handlers={Exception: _saying(200)})
    outer.mount("/v2", _app(endpoint, **options))
    return outer


def _mounted_in_a_router(endpoint, **options):
    outer, router = FastAPI(exception_handlers={Exception: _saying(200)}), APIRouter()
    router.mount("/v2", _app(endpoint, **options))
    outer.include_router(router)
    return outer


HANDLES_ALL = {"handlers": {Exception: _saying(200)}}
# What apps make of errors they do not know, and of an `HTTPException`, which an ask raises.
OF_ALL = {
    "handler-that-says-200": HANDLES_ALL,
    "catch-all-middleware": {"middleware": _catch_all},
    "yield-dependency": {"dependency": _turns_errors_into_500},
    "yield-dependency-from-none": {"dependency": _turns_errors_into_500_without_a_cause},
}
OF_ASKS = {
    "plain": {},
    "handler-for-401-and-403": {"handlers": {401: _saying(200), 403: _saying(200)}},
    "handler-that-redirects": {"handlers": {401: _saying(303), 403: _saying(303)}},
    "handler-for-http-exceptions": {"handlers": {HTTPException: _saying(200)}},
    "handler-that-raises": {"handlers": {HTTPException: _raise_404}},
    "yield-dependency-that-swallows": {"dependency": _swallows_errors},
    **OF_ALL,
}
RAISED = [
    *(pytest.param(_app, _reject, of, id=name) for name, of in OF_ALL.items()),
    *(pytest.param(_mounted, _reject, of, id=f"mounted-{name}") for name, of in list(OF_ALL.items())[:2]),
    pytest.param(_mounted_in_a_router, _reject, HANDLES_ALL, id="mounted-in-an-included-router"),
    pytest.param(_app, _reject_in_task_groups, HANDLES_ALL, id="task-groups-nested"),
    pytest.param(_app, _reject_twice, HANDLES_ALL, id="two-rejections-at-once"),
]


def _added(app, authenticator, **options):
    app.add_middleware(DPoPMiddleware, authenticator=authenticator, public_url=PUBLIC_URL, **options)
    return app


def _wrapped(app, authenticator, **options):
    return DPoPMiddleware(app, authenticator=authenticator, public_url=PUBLIC_URL, **options)


def _wrapped_in_another(app, authenticator, **options):
    return _wrapped(TrustedHostMiddleware(app, allowed_hosts=["*"]), authenticator, **options)


@pytest.fixture(params=[_added, _wrapped, _wrapped_in_another], ids=lambda way: way.__name__.strip("_"))
def protect(request, api):
    return lambda app, **options: request.param(app, api.authenticator, **options)


async def _get(app, api, path=PATH, *, credentials=True, **changes):
    transport = httpx2.ASGITransport(app, **changes)
    headers = await api.fields(path=path) if credentials else {}
    async with httpx2.AsyncClient(transport=transport, base_url=PUBLIC_URL) as http:
        return await http.get(path, headers={**headers, "origin": "https://app.example"})


def _seen(answer):
    return answer.status_code, dict(answer.headers), answer.content


@pytest.fixture
async def expected(make_api, api):
    """The response when nothing but the middleware is there to give it."""

    async def app(scope, receive, send):
        raise InsufficientScope("reports:read")

    return _seen(await _get(api.wrap(app, public_url=PUBLIC_URL), api))


@pytest.mark.parametrize(("make_app", "endpoint", "options"), RAISED)
async def test_a_rejection_is_answered_as_ever_and_no_error_of_the_app(
    api, protect, expected, caplog, make_app, endpoint, options
):
    path = f"/v2{PATH}" if make_app in {_mounted, _mounted_in_a_router} else PATH
    assert _seen(await _get(protect(make_app(endpoint, **options)), api, path)) == expected
    assert [record for record in caplog.records if record.levelname in {"ERROR", "CRITICAL"}] == []


@pytest.mark.requirement("R-7.1-07", "R-6750-07")
@pytest.mark.parametrize("credentials", [True, False], ids=["403", "401"])
@pytest.mark.parametrize(
    ("endpoint", "options"),
    [*(pytest.param(_ask, of, id=name) for name, of in OF_ASKS.items()), pytest.param(_swallow, {}, id="except-pass")],
)
async def test_a_rejected_ask_decides_the_response_whatever_the_app_makes_of_it(
    api, protect, endpoint, options, credentials
):
    api.token = api.issuer.access_token(api.client, claims={"scope": "other"})
    app = protect(_app(endpoint, **options), protect="routes")
    answer = await _get(app, api, credentials=credentials, raise_app_exceptions=False)
    [challenge] = checked_challenges([(name.encode(), value.encode()) for name, value in answer.headers.multi_items()])
    code = "insufficient_scope" if credentials else None
    assert (answer.status_code, challenge.parameters.get("error")) == (403 if credentials else 401, code)
    assert (answer.headers["cache-control"], "location" in answer.headers) == ("no-store", False)
    assert b"swallowed" not in answer.content


@pytest.mark.parametrize("error", [InvalidToken(Reason.TOKEN_REJECTED), StoreError("away")], ids=repr)
async def test_a_handled_rejection_has_a_nonce_and_trouble_has_none(api, protect, error):
    async def fail():
        raise error

    answer = await _get(protect(_app(fail, **HANDLES_ALL)), api)
    nonces = answer.headers.get_list("dpop-nonce")
    if isinstance(error, StoreError):
        assert (answer.status_code, answer.headers["retry-after"], nonces) == (503, "1", [])
    else:
        assert (answer.status_code, nonces) == (401, [await api.authenticator.challenge_nonce()])
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("endpoint", "error", "status"),
    [
        pytest.param(_reject_and_break, ExceptionGroup, 403, id="beside-a-rejection-which-decides"),
        pytest.param(_break, ExceptionGroup, 418, id="a-group-without-a-rejection"),
        pytest.param(_stumble, ZeroDivisionError, 418, id="while-a-rejection-is-handled"),
    ],
)
async def test_other_errors_are_reported_and_the_apps_own(api, protect, endpoint, error, status):
    app = protect(_app(endpoint, handlers={Exception: _saying(418)}))
    with pytest.raises(error):
        await _get(app, api)
    assert (await _get(app, api, raise_app_exceptions=False)).status_code == status


@pytest.mark.parametrize("kind", [InsufficientScope, DPoPError, ExceptionGroup], ids=lambda kind: kind.__name__)
async def test_a_handler_of_the_app_goes_before_ours(api, protect, kind):
    app = _app(_reject_in_task_groups if kind is ExceptionGroup else _reject, handlers={kind: _saying(418)})
    assert (await _get(protect(app), api)).status_code == 418


async def test_a_handler_of_exception_middleware_without_an_app_goes_before_ours(api):
    async def fail(scope, receive, send):
        await _reject(None)

    app = ExceptionMiddleware(fail, {DPoPError: _saying(418)})
    assert (await _get(_wrapped(app, api.authenticator), api)).status_code == 418


async def test_a_404_that_the_app_makes_of_a_rejection_is_the_apps_own(api, protect):
    assert (await _get(protect(_app(_hide)), api)).status_code == 404


async def test_an_app_that_has_started_before_is_looked_through_too(api, expected):
    app = _app(_reject, **HANDLES_ALL)
    await _get(app, api, raise_app_exceptions=False)
    assert _seen(await _get(_wrapped(app, api.authenticator), api)) == expected


@pytest.mark.parametrize("told", [False, True], ids=["as-it-is", "told-of-the-handler"])
async def test_a_mount_that_cannot_be_looked_into_is_answered_all_the_same(api, protect, expected, told):
    handlers = {DPoPError: rejection_handler, Exception: _saying(200)} if told else {}
    inner = _app(_reject, handlers=handlers)

    async def opaque(scope, receive, send):
        await inner(scope, receive, send)

    assert _seen(await _get(protect(Starlette(routes=[Mount("/v2", opaque)])), api, f"/v2{PATH}")) == expected


async def test_the_response_passes_through_the_middleware_of_the_app(api, protect):
    async def pass_on(request, call_next):
        return await call_next(request)

    middleware = [Middleware(CORSMiddleware, allow_origins=["*"]), Middleware(BaseHTTPMiddleware, dispatch=pass_on)]
    answer = await _get(protect(Starlette(routes=[Route(PATH, _reject)], middleware=middleware)), api)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (403, "*")
    assert answer.headers.get_list("access-control-expose-headers") == ["DPoP-Nonce, WWW-Authenticate"]
