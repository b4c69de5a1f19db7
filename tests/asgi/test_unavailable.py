"""While the store or the issuer is away: 503, no challenge, no nonce, and never less protection."""

import logging

import pytest
from starlette.requests import HTTPConnection

from dpop_asgi.starlette import authenticate
from tests.support.api import App
from tests.support.decisions import CountingStore


def _assert_unavailable(answer):
    assert answer.status == 503
    assert answer.one("retry-after") == "1"
    assert answer.one("cache-control") == "no-store"
    assert answer.all("www-authenticate") == []
    assert answer.all("dpop-nonce") == []
    assert b"temporarily_unavailable" in answer.body


async def _asks(scope, receive, send):
    await authenticate(HTTPConnection(scope))
    await App()(scope, receive, send)


@pytest.mark.requirement("R-9-08")
@pytest.mark.parametrize("protect", ["everything", "routes"])
async def test_a_cold_server_without_its_store_answers_503_to_everything_it_cannot_judge(
    make_api, away, caplog, protect
):
    caplog.set_level(logging.INFO, "dpop_asgi")
    api = make_api(_asks, store=away, protect=protect)
    for answer in (await api.anonymous(), await api.request(nonce=None), await api.request(nonce="whatever")):
        _assert_unavailable(answer)
        assert b"down" not in answer.body
    assert caplog.messages[-1] == 'unavailable: the store is down path="/r" peer="10.0.0.9"'
    assert not hasattr(caplog.records[-1], "dpop_reason")


async def test_what_needs_no_nonce_is_answered_without_the_store(make_api, away):
    api = make_api(store=away, public_paths=["/open"])
    assert (await api.anonymous(path="/open")).status == 200
    two = [("authorization", "DPoP a"), ("authorization", "DPoP b")]
    assert (await api.anonymous(also=two)).status == 400


@pytest.mark.requirement("R-9-08")
async def test_a_warm_server_that_loses_its_store_goes_on_demanding_nonces(make_api, clock):
    api = make_api(store=(store := CountingStore(clock)))
    await api.request()
    store.down = True
    challenged = await api.request(nonce=None)
    assert (challenged.status, len(challenged.all("dpop-nonce"))) == (401, 1)
    _assert_unavailable(await api.request(nonce=challenged.one("dpop-nonce")))
    store.down = False
    assert (await api.request()).status == 200
