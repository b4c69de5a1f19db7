"""What a tool that knows an API only by its OpenAPI document sends to it: schemathesis, signed by the test kit."""

import importlib
from typing import Annotated, Literal

import pytest
from fastapi import Cookie, Depends, FastAPI, Header, Query, Security
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import one_of
from openapi_spec_validator import validate
from pydantic import BaseModel

from dpop_asgi import Authenticator, DPoPMiddleware, JWTVerifier, MemoryStore
from dpop_asgi.fastapi import DPoP, DPoPCaller
from dpop_asgi.testing import OfflineAPI
from tests.support.api import PUBLIC_URL

READS = Security(DPoP(), scopes=["orders:read"])
STRONG = Depends(DPoP(acr_values="urn:loa:2"))


class Line(BaseModel):
    article: str
    amount: float
    notes: list[str] | None = None


def shop(monkeypatch):
    app = FastAPI(responses=DPoP.responses)

    @app.put("/orders/{number}", dependencies=[READS])
    async def change(
        number: int,
        lines: dict[str, Line],
        caller: DPoPCaller,
        tag: Annotated[list[str], Query()],
        kind: Annotated[Literal["a", "b"] | None, Header()] = None,
        session: Annotated[int, Cookie()] = 0,
    ) -> str:
        return f"{caller.subject} {number} {len(lines)} {tag} {kind} {session}"

    @app.delete("/orders/{name}", dependencies=[Security(DPoP(), scopes=["orders:write"])])
    @app.post("/vault", dependencies=[STRONG])
    async def denied(name: str, order: Line | None = None) -> str:
        raise AssertionError("reached")

    verifier = JWTVerifier(issuer="https://id.example.com", audience="shop", jwks={"keys": []})
    decision = Authenticator(verify_token=verifier, store=MemoryStore())
    app.add_middleware(DPoPMiddleware, authenticator=decision, public_url=PUBLIC_URL, protect="routes")
    return app


def example(monkeypatch):
    for name, value in {"ISSUER": "https://id.example.com", "AUDIENCE": "shop", "PUBLIC_URL": PUBLIC_URL}.items():
        monkeypatch.setenv(f"DPOP_{name}", value)
    return importlib.import_module("examples.fastapi_app").app


def try_out(operation, http, responses):
    """Sends what schemathesis makes up for one operation, and keeps the responses with their operations."""
    import requests  # noqa: PLC0415 - half a second, for these tests only
    from schemathesis import GenerationMode  # noqa: PLC0415 - as above

    own = operation.path_parameters or operation.query or operation.headers or operation.body
    cases = [operation.as_strategy(mode) for mode in (GenerationMode if own else [GenerationMode.POSITIVE])]
    count = settings.default.max_examples // 10 if own else 1

    @settings(max_examples=count, suppress_health_check=list(HealthCheck), database=None)
    @given(one_of(cases))
    def send(case):
        sent = requests.Request(**case.as_transport_kwargs(base_url=PUBLIC_URL)).prepare()
        headers = {name: value for name, value in sent.headers.items() if name.lower() != "authorization"}
        responses.append((operation, http.request(sent.method, sent.url, content=sent.body, headers=headers)))

    send()


@pytest.mark.explores
@pytest.mark.parametrize(
    ("make_app", "statuses"),
    [pytest.param(shop, {200, 401, 403, 422}, id="shop"), pytest.param(example, {200, 401, 403}, id="example")],
)
def test_whatever_fits_the_document_or_does_not_has_a_response_that_is_in_it(monkeypatch, make_app, statuses):
    import schemathesis  # noqa: PLC0415 - as above

    app, responses = make_app(monkeypatch), []
    validate(app.openapi())
    schema = schemathesis.openapi.from_dict(app.openapi())
    with OfflineAPI(app) as api, api.client("orders:read", raise_server_exceptions=False) as http:
        for found in schema.get_all_operations():
            try_out(found.ok(), http, responses)
    for operation, response in responses:
        # Not in OpenAPI: FastAPI's 400 for what is no JSON, ours for what is no path; the router's 404 for a line feed.
        documented = {*operation.definition.raw["responses"], "400", "404"}
        assert str(response.status_code) in documented, (operation.label, response.request.content, response.text)
    assert {response.status_code for _, response in responses} - {400, 404} == statuses
