"""X12: a rejection raised in a FastAPI or Starlette app is a handled exception there, whatever else the app catches."""

import asyncio

import httpx2
import pytest
from fastapi import Depends, FastAPI, HTTPException
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from dpop_asgi import DPoPError, DPoPMiddleware, InsufficientScope, InvalidToken, Reason, StoreError
from dpop_asgi.starlette import rejection_handler
from tests.support.api import PUBLIC_URL

PATH = "/reports"


async def _reject():
    raise InsufficientScope("reports:read")


async def _reject_in_a_task_group():
    async with asyncio.TaskGroup() as group:
        group.create_task(_reject())


async def _reject_in_nested_task_groups():
    async with asyncio.TaskGroup() as group:
        group.create_task(_reject_in_a_task_group())


async def _reject_twice():
    raise ExceptionGroup("both", [InsufficientScope("reports:read"), InvalidToken(Reason.TOKEN_REJECTED)])


async def _reject_and_break():
    raise ExceptionGroup("both", [ZeroDivisionError(), InsufficientScope("reports:read")])


def _swallowing(status):
    async def handle(request, error):
        return PlainTextResponse("swallowed", status)

    return handle


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


def _app(endpoint=_reject, *, status=None, middleware=None, dependency=None):
    app = FastAPI(dependencies=[Depends(dependency)] if dependency else [])
    app.get(PATH)(endpoint)
    if status is not None:
        app.exception_handler(Exception)(_swallowing(status))
    if middleware is not None:
        app.middleware("http")(middleware)
    return app


def _mounting(inner):
    outer = FastAPI()
    outer.exception_handler(Exception)(_swallowing(200))
    outer.mount("/v2", inner)
    return outer


async def _pass_on(request, call_next):
    return await call_next(request)


APPS = [
    *(pytest.param(lambda status=s: _app(status=status), PATH, id=f"handler-that-says-{s}") for s in (200, 400, 503)),
    pytest.param(lambda: _app(middleware=_catch_all), PATH, id="catch-all-middleware"),
    pytest.param(lambda: _app(dependency=_turns_errors_into_500), PATH, id="yield-dependency"),
    pytest.param(
        lambda: _app(dependency=_turns_errors_into_500_without_a_cause), PATH, id="yield-dependency-from-none"
    ),
    pytest.param(lambda: _app(_reject_in_a_task_group, status=200), PATH, id="task-group"),
    pytest.param(lambda: _app(_reject_in_nested_task_groups, status=200), PATH, id="task-groups-nested"),
    pytest.param(lambda: _app(_reject_twice, status=200), PATH, id="two-rejections-at-once"),
    pytest.param(lambda: _mounting(_app(status=200)), f"/v2{PATH}", id="mounted-app-with-a-handler-of-its-own"),
    pytest.param(lambda: _mounting(_app(middleware=_catch_all)), f"/v2{PATH}", id="mounted-app-that-catches-all"),
]


def _added(app, authenticator):
    app.add_middleware(DPoPMiddleware, authenticator=authenticator, public_url=PUBLIC_URL)
    return app


def _wrapped(app, authenticator):
    return DPoPMiddleware(app, authenticator=authenticator, public_url=PUBLIC_URL)


def _wrapped_in_another(app, authenticator):
    return _wrapped(TrustedHostMiddleware(app, allowed_hosts=["*"]), authenticator)


@pytest.fixture(params=[_added, _wrapped, _wrapped_in_another], ids=lambda way: way.__name__.strip("_"))
def protect(request, api):
    return lambda app: request.param(app, api.authenticator)


async def _get(app, api, path=PATH, **changes):
    transport = httpx2.ASGITransport(app, **changes)
    async with httpx2.AsyncClient(transport=transport, base_url=PUBLIC_URL) as http:
        return await http.get(path, headers=await api.fields(path=path))


def _seen(answer):
    return answer.status_code, dict(answer.headers), answer.content


@pytest.fixture
async def expected(make_api, api):
    """The response when nothing but the middleware is there to give it."""

    async def app(scope, receive, send):
        raise InsufficientScope("reports:read")

    return _seen(await _get(api.wrap(app, public_url=PUBLIC_URL), api))


@pytest.mark.parametrize(("make_app", "path"), APPS)
async def test_a_rejection_is_answered_as_ever_and_no_error_of_the_app(api, protect, expected, caplog, make_app, path):
    assert _seen(await _get(protect(make_app()), api, path)) == expected
    assert [record for record in caplog.records if record.levelname in {"ERROR", "CRITICAL"}] == []


@pytest.mark.parametrize("error", [InvalidToken(Reason.TOKEN_REJECTED), StoreError("away")], ids=repr)
async def test_a_challenge_has_its_nonce_and_an_outage_is_503(api, protect, error):
    async def fail():
        raise error

    answer = await _get(protect(_app(fail, status=200)), api)
    nonces = answer.headers.get_list("dpop-nonce")
    if isinstance(error, StoreError):
        assert (answer.status_code, answer.headers["retry-after"], nonces) == (503, "1", [])
    else:
        assert (answer.status_code, nonces) == (401, [await api.authenticator.challenge_nonce()])
        assert answer.headers["cache-control"] == "no-store"


async def test_an_error_beside_a_rejection_is_reported_and_the_rejection_decides(api, protect):
    app = protect(_app(_reject_and_break, status=200))
    with pytest.raises(ExceptionGroup):
        await _get(app, api)
    assert (await _get(app, api, raise_app_exceptions=False)).status_code == 403


async def test_a_group_without_a_rejection_is_the_apps_own(api, protect):
    async def fail():
        raise ExceptionGroup("none", [ZeroDivisionError()])

    app = protect(_app(fail, status=418))
    with pytest.raises(ExceptionGroup):
        await _get(app, api)
    assert (await _get(app, api, raise_app_exceptions=False)).status_code == 418


@pytest.mark.parametrize("kind", [InsufficientScope, DPoPError, ExceptionGroup], ids=lambda kind: kind.__name__)
async def test_a_handler_of_the_app_goes_before_ours(api, protect, kind):
    app = _app(_reject_in_a_task_group if kind is ExceptionGroup else _reject)
    app.exception_handler(kind)(_swallowing(418))
    assert (await _get(protect(app), api)).status_code == 418


async def test_a_handler_of_exception_middleware_without_an_app_goes_before_ours(api):
    async def fail(scope, receive, send):
        await _reject()

    app = ExceptionMiddleware(fail, {DPoPError: _swallowing(418)})
    assert (await _get(_wrapped(app, api.authenticator), api)).status_code == 418


async def test_a_404_that_the_app_makes_of_a_rejection_is_the_apps_own(api, protect):
    async def hide():
        try:
            await _reject()
        except InsufficientScope as error:
            raise HTTPException(404) from error

    assert (await _get(protect(_app(hide)), api)).status_code == 404


async def test_an_error_while_a_rejection_is_handled_is_the_apps_own(api, protect):
    async def stumble():
        try:
            await _reject()
        except InsufficientScope:
            raise ZeroDivisionError  # noqa: B904 - as it happens

    app = protect(_app(stumble))
    with pytest.raises(ZeroDivisionError):
        await _get(app, api)
    assert (await _get(app, api, raise_app_exceptions=False)).status_code == 500


async def test_an_app_that_has_started_before_is_looked_through_too(api, expected):
    app = _app(status=200)
    await _get(app, api, raise_app_exceptions=False)
    assert _seen(await _get(_wrapped(app, api.authenticator), api)) == expected


@pytest.mark.parametrize("told", [False, True], ids=["as-it-is", "told-of-the-handler"])
async def test_a_mount_that_cannot_be_looked_into_is_answered_all_the_same(api, protect, expected, told):
    inner = _app(status=200 if told else None)
    if told:
        inner.add_exception_handler(DPoPError, rejection_handler)

    async def opaque(scope, receive, send):
        await inner(scope, receive, send)

    assert _seen(await _get(protect(Starlette(routes=[Mount("/v2", opaque)])), api, f"/v2{PATH}")) == expected


async def test_the_response_passes_through_the_middleware_of_the_app(api, protect):
    middleware = [Middleware(CORSMiddleware, allow_origins=["*"]), Middleware(BaseHTTPMiddleware, dispatch=_pass_on)]

    async def endpoint(request):
        await _reject()

    app = protect(Starlette(routes=[Route(PATH, endpoint)], middleware=middleware))
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url=PUBLIC_URL) as http:
        answer = await http.get(PATH, headers={**await api.fields(path=PATH), "origin": "https://app.example"})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (403, "*")
    assert answer.headers.get_list("access-control-expose-headers") == ["DPoP-Nonce, WWW-Authenticate"]
