"""Answers of an introspection endpoint that say nothing about a token: 503 for the client, and one line that helps."""

import asyncio
import logging

import pytest

from dpop_asgi import InvalidToken, IssuerUnavailable, Reason
from dpop_asgi.tokens.issuer import introspection_endpoint
from tests.support.collection import over
from tests.support.distant_issuer import PATIENCE, TIMEOUT
from tests.support.fault_proxy import FaultProxy
from tests.support.website import PATH, Page

TOKEN = "opaque-hunter2"
OTHERWISE = "isn't a JSON object, or is longer than 65536 bytes"


def _error(status, code):
    return Page({"error": code, "error_description": "hunter2"}, status)


# What is due to this server or the issuer, and what may be due to the token: that must not stop all other tokens.
FAULTS = [
    pytest.param(_error(401, "invalid_client"), "401 invalid_client: wrong client_id or client_secret", id="401"),
    pytest.param(Page(b"hunter2", 401), "401: wrong client_id or client_secret", id="401-without-a-code"),
    pytest.param(_error(400, "invalid_client"), "400 invalid_client: wrong client_id", id="400-of-the-client"),
    pytest.param(_error(403, "unauthorized_client"), "403 unauthorized_client: this client_id may not", id="403"),
    pytest.param(Page({"active": True}, 404), "404: there is no introspection endpoint: set endpoint", id="404"),
    pytest.param(Page({"active": True}, 405), "405: this is no introspection endpoint: set endpoint", id="405"),
    pytest.param(Page({"active": True}, 429), "429: it was called too often", id="429"),
    pytest.param(Page({"active": True}, 503), "it responded with 503", id="503"),
    pytest.param(Page({"active": True}, pause=2 * TIMEOUT), "no response in time", id="silent"),
    pytest.param(Page({"active": True}, endless=True), "no response in time", id="trickles"),
]
DUE_TO_TOKEN = [
    pytest.param(_error(400, "unsupported_token_type"), "400 unsupported_token_type: .*use TokensByShape", id="400"),
    pytest.param(_error(400, "hunter2"), "400: it does not accept the request$", id="400-with-another-code"),
    pytest.param(_error(403, "access_denied"), "403: this client_id may not introspect tokens", id="403"),
    pytest.param(Page(b"<html>blocked", 403), "403: this client_id may not", id="403-of-a-firewall"),
    pytest.param(Page(b"<html>blocked", 406), "it responded with 406", id="406-of-a-firewall"),
    pytest.param(Page({"active": True}, 500), "it responded with 500", id="500"),
    pytest.param(Page({"active": True}, 201), "it responded with 201", id="201"),
    *(
        pytest.param(Page(b"", status, {"location": "/else"}), f"{status}: redirects are not followed", id=f"{status}")
        for status in (301, 308)
    ),
    pytest.param(Page(b"<html>hunter2"), OTHERWISE, id="html"),
    pytest.param(Page(b'{"active": true, "active": false}'), OTHERWISE, id="a-name-twice"),
    pytest.param(Page({"active": True, "exp": "hunter2"}), "the exp in its response is malformed", id="exp-is-text"),
    pytest.param(Page({"active": True, "sub": 5}), "the sub in its response is malformed", id="sub-is-a-number"),
]


@pytest.fixture
def verify(make_opaque):
    return make_opaque()


async def _fails(verify, match, *, token=TOKEN):
    with pytest.raises(IssuerUnavailable, match=match) as failed:
        await verify(token)
    assert "hunter2" not in str(failed.value)


@pytest.mark.requirement("R-7662-03")
@pytest.mark.parametrize(("page", "match"), FAULTS)
async def test_a_fault_that_is_ours_or_the_issuers_is_503_and_logged_once(verify, endpoint, caplog, page, match):
    endpoint.pages[PATH] = page
    if page.pause or page.endless:
        verify._endpoint._timeout = TIMEOUT
    with caplog.at_level(logging.DEBUG, "dpop_asgi"):
        await _fails(verify, match)
        await _fails(verify, match, token="another")
        endpoint.pages.clear()
        verify._endpoint._timeout = PATIENCE
        with pytest.raises(InvalidToken):
            await verify("a third")
    begins, ends = caplog.messages
    assert begins.startswith(f"introspection by {endpoint.endpoint} fails, so requests with tokens")
    assert ends == f"introspection by {endpoint.endpoint} works again"
    assert "hunter2" not in caplog.text
    assert "/else" not in endpoint.requests


@pytest.mark.requirement("R-7662-03")
@pytest.mark.parametrize(("page", "match"), DUE_TO_TOKEN)
async def test_a_fault_that_may_be_due_to_the_token_stops_no_other_token(verify, endpoint, caplog, page, match):
    endpoint.pages[PATH] = page
    for number in range(10):
        await _fails(verify, match, token=f"{TOKEN}-{number}")
    assert len(endpoint.asked) == 10
    [message] = caplog.messages
    assert message.endswith("; requests with such tokens get a 503")
    assert "hunter2" not in message


async def test_after_three_faults_the_endpoint_is_spared(verify, endpoint, breaker_clock, reason_of):
    endpoint.pages[PATH] = Page(b"", 503)
    for number in range(20):
        await _fails(verify, "503|is unavailable", token=str(number))
    assert len(endpoint.asked) == 3
    endpoint.pages.clear()
    breaker_clock.advance(1.0)
    assert await reason_of(verify, TOKEN) is Reason.TOKEN_INACTIVE


async def test_what_is_remembered_outlives_an_outage(verify, endpoint, client):
    endpoint.says["known"] = {"active": True, "sub": "alice", "cnf": {"jkt": client.thumbprint}}
    await verify("known")
    endpoint.pages[PATH] = Page(b"", 503)
    await _fails(verify, "503")
    assert (await verify("known")).subject == "alice"


@over(introspection_endpoint._MAX_ANSWER_BYTES)
async def test_max_answer_bytes(verify, endpoint, size, over):
    answer = b'{"active": true, "sub": "alice"}'
    endpoint.pages[PATH] = Page(answer + b" " * (size - len(answer)))
    if over:
        await _fails(verify, OTHERWISE)
    else:
        assert await verify(TOKEN)


FALLS = {
    "black-hole": {"silent": True},
    "half-open": {"silent": False, "dead": True},
    "refuses": {"door": "closed", "cut": True},
    "resets": {"door": "reset", "cut": True},
    "backlog": {"door": "backlog", "cut": True},
}


@pytest.mark.parametrize("fall", FALLS.values(), ids=FALLS)
async def test_an_endpoint_that_fails_and_recovers(endpoint, make_opaque, breaker_clock, reason_of, fall):
    async with FaultProxy(endpoint.port) as proxy:
        verify = make_opaque(endpoint=f"http://127.0.0.1:{proxy.port}{PATH}?key=hunter2")
        assert await reason_of(verify, "before") is Reason.TOKEN_INACTIVE
        verify._endpoint._timeout = TIMEOUT
        proxy.silent = fall.get("silent", False)
        proxy.door = fall.get("door", "open")
        if "cut" in fall:
            proxy.reset_connections()
        if "dead" in fall:
            proxy.forget_connections()
        fails = 1 if "dead" in fall else 20
        await asyncio.gather(*(_fails(verify, "introspection by", token=str(number)) for number in range(fails)))
        assert not verify._calls
        proxy.heal()
        breaker_clock.advance(1.0)
        verify._endpoint._timeout = PATIENCE
        assert await reason_of(verify, "after") is Reason.TOKEN_INACTIVE
