"""Around and inside FastAPI apps."""

from typing import Annotated

import httpx2
import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel

from dpop_asgi import Caller, DPoPMiddleware, InsufficientScope, caller_from
from tests.support.api import PUBLIC_URL, Api

WhoCalls = Annotated[Caller, Depends(caller_from)]


class Order(BaseModel):
    number: int


def needs(scope):
    def check(caller: WhoCalls):
        if scope not in caller.scopes:
            raise InsufficientScope(scope)

    return Depends(check)


router = APIRouter()


@router.get("/who")
async def who(caller: WhoCalls):
    return {"sub": caller.subject}


@router.get("/sync")
def sync(request: Request):
    return {"sub": caller_from(request).subject}


@router.post("/orders")
async def create(order: Order):
    return order


@router.get("/reports", dependencies=[needs("reports:read")])
async def reports():
    return []


@router.get("/break")
async def broken():
    raise ZeroDivisionError


@router.get("/teapot")
async def teapot():
    raise HTTPException(418, headers={"www-authenticate": "Tea"})


@router.get("/token")
async def token(credentials: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]):
    return {"scheme": credentials.scheme, "token": credentials.credentials}


def _app():
    app = FastAPI()
    app.include_router(router)
    app.include_router(router, prefix="/api")
    return app


def _added(app, authenticator, **options):
    app.add_middleware(DPoPMiddleware, authenticator=authenticator, public_url=PUBLIC_URL, **options)
    return app


def _wrapped(app, authenticator, **options):
    return DPoPMiddleware(app, authenticator=authenticator, public_url=PUBLIC_URL, **options)


@pytest.fixture
def api(issuer, client, clock):
    return Api(None, issuer, client, clock)


@pytest.fixture(params=[pytest.param(_added, id="added"), pytest.param(_wrapped, id="wrapped")])
def protect(request, api):
    return lambda app, **options: request.param(app, api.authenticator, **options)


@pytest.fixture
def ask(api, protect):
    """Sends a correct request to an app of these routes."""

    async def ask(method, path, *, app=None, protected=None, credentials=True, **request):
        app = app or protect(_app(), **(protected or {}))
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        headers = await api.fields(method, path) if credentials else {}
        async with httpx2.AsyncClient(transport=transport, base_url=PUBLIC_URL) as http:
            return await http.request(method, path, headers=headers, **request)

    return ask


@pytest.mark.parametrize("path", ["/who", "/sync", "/api/who"])
async def test_a_route_knows_who_is_calling(ask, path):
    assert (await ask("GET", path)).json() == {"sub": "alice"}


@pytest.mark.parametrize("path", ["/who", "/api/who", "/docs", "/openapi.json", "/none"])
async def test_without_credentials_nothing_is_reached(ask, path):
    answer = await ask("GET", path, credentials=False)
    assert (answer.status_code, answer.headers["www-authenticate"].split()[0]) == (401, "DPoP")


@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
async def test_the_documentation_can_be_open(ask, path):
    answer = await ask("GET", path, credentials=False, protected={"public_paths": ["/docs", "/openapi.json"]})
    assert answer.status_code == 200


async def test_a_rejection_that_a_dependency_raises_is_answered_with_a_challenge(ask):
    answer = await ask("GET", "/reports")
    assert answer.status_code == 403
    assert answer.headers["www-authenticate"].startswith('DPoP error="insufficient_scope"')
    assert 'scope="reports:read"' in answer.headers["www-authenticate"]


async def test_a_body_is_read_and_judged_as_ever(ask):
    assert (await ask("POST", "/orders", json={"number": 1})).json() == {"number": 1}
    assert (await ask("POST", "/orders", json={"number": "x"})).status_code == 422


async def test_errors_are_the_apps_own(ask):
    teapot = await ask("GET", "/teapot")
    assert (teapot.status_code, teapot.headers["www-authenticate"]) == (418, "Tea")
    broken = await ask("GET", "/break")
    assert (broken.status_code, broken.text) == (500, "Internal Server Error")


async def test_presented_as_bearer_fastapis_own_security_reads_the_token(ask, api):
    answer = await ask("GET", "/token", protected={"present_as": "bearer"})
    assert answer.json() == {"scheme": "Bearer", "token": api.token}


async def test_not_presented_as_bearer_it_does_not(ask):
    assert (await ask("GET", "/token")).status_code in {401, 403}


async def test_a_mounted_app_is_protected_by_the_outer_one(ask, protect):
    outer = FastAPI()
    outer.mount("/v2", _app())
    answer = await ask("GET", "/v2/who", app=protect(outer))
    assert answer.json() == {"sub": "alice"}


async def test_an_app_that_protects_itself_can_be_mounted_in_an_open_one(ask, protect):
    outer = FastAPI()
    outer.mount("/v2", protect(_app()))
    assert (await ask("GET", "/v2/who", app=outer)).json() == {"sub": "alice"}
    assert (await ask("GET", "/v2/who", app=outer, credentials=False)).status_code == 401
    assert (await ask("GET", "/v2/reports", app=outer)).status_code == 403
