"""What an app may send before its answer (early hints, a push promise, debugging) changes nothing about the answer."""

import pytest

from dpop_asgi import InsufficientScope
from tests.support.api import App, http_scope, whole_answer

PRELUDES = [
    pytest.param({"type": "http.response.early_hint", "links": [b"</s.css>; rel=preload"]}, id="early-hint"),
    pytest.param({"type": "http.response.push", "path": "/s.css", "headers": []}, id="push"),
    pytest.param({"type": "http.response.debug", "info": {}}, id="debug"),
]


async def _answer(api, headers):
    sent = []

    async def send(message):
        sent.append(message)

    await api.app(http_scope(headers=headers.items()), None, send)
    return sent[0], whole_answer(sent[1:])


async def _refuse():
    raise InsufficientScope("orders:write")


def _after(prelude, then):
    async def app(scope, receive, send):
        await send(prelude)
        await then(scope, receive, send)

    return app


@pytest.mark.requirement("R-8-04")
@pytest.mark.parametrize("prelude", PRELUDES)
async def test_the_answer_has_the_newer_nonce_and_not_the_apps(make_api, clock, prelude):
    api = make_api(_after(prelude, App(200, [("dpop-nonce", "of-the-app")])))
    headers = await api.fields()
    clock.advance(60.0)
    first, answer = await _answer(api, headers)
    assert first == prelude
    assert answer.one("dpop-nonce") == await api.authenticator.challenge_nonce()
    assert answer.one("cache-control") == "no-store"


@pytest.mark.parametrize("prelude", PRELUDES)
@pytest.mark.parametrize("before", [pytest.param(None, id="at-once"), pytest.param(App(500), id="after-a-500")])
async def test_a_rejection_that_the_app_raises_is_answered(make_api, prelude, before):
    async def refuse(scope, receive, send):
        try:
            await _refuse()
        except InsufficientScope:
            if before is not None:
                await before(scope, receive, send)
            raise

    api = make_api(_after(prelude, refuse))
    first, answer = await _answer(api, await api.fields())
    assert (first, answer.status) == (prelude, 403)
