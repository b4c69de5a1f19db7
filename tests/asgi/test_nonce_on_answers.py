"""A newer nonce goes out with the app's answers, and what goes out with it must not be cached."""

import pytest

from dpop_asgi import NoncePolicy
from tests.support.api import App, whole_answer
from tests.support.challenges import NQCHAR


def _after(prelude):
    """What an app may send before its answer."""

    async def app(scope, receive, send):
        await send(prelude)
        await App()(scope, receive, send)

    return app


EARLY_HINT = {"type": "http.response.early_hint", "links": [b"</s.css>; rel=preload"]}
PUSH = {"type": "http.response.push", "path": "/s.css", "headers": []}
CACHING = [("cache-control", "public, max-age=60"), ("expires", "Thu, 01 Jan 2099 00:00:00 GMT"), ("etag", '"x"')]
ANSWERS = [
    *(pytest.param(App(status, chunks=(b"",)), id=str(status)) for status in (200, 204, 304, 403, 404, 422, 500, 503)),
    pytest.param(App(302, [("location", "/")]), id="302"),
    pytest.param(App(500, chunks=(b"a", b"b", b"c")), id="500-streamed"),
    pytest.param(App(200, chunks=(b"a", b"b", b"c")), id="streamed"),
    pytest.param(App(200, CACHING), id="cacheable"),
    pytest.param(App(200, [("dpop-nonce", "of-the-app")]), id="with-a-nonce-of-the-app"),
    pytest.param(App(200, [("DPoP-Nonce", "one"), ("dpop-nonce", "two")]), id="with-two-nonces-of-the-app"),
]


@pytest.mark.requirement("R-8-03", "R-8-04", "R-8-05", "R-8-06", "R-8-07", "R-9110-01", "R-9449-NS", "R-9111-01")
@pytest.mark.requirement("R-11.1-03")
@pytest.mark.parametrize("inner", ANSWERS)
async def test_an_older_nonce_is_answered_with_the_newer_one_whatever_the_app_answers(make_api, clock, inner):
    api = make_api(inner)
    older = await api.authenticator.challenge_nonce()
    clock.advance(60.0)
    for _ in range(2):
        answer = await api.request(nonce=older)
        assert answer.one("dpop-nonce") == await api.authenticator.challenge_nonce()
        assert NQCHAR.fullmatch(answer.one("dpop-nonce"))
        assert (answer.status, answer.body) == (inner._status, b"".join(inner._chunks))
        assert (answer.one("cache-control"), answer.all("expires")) == ("no-store", [])
        of_the_app = {b"dpop-nonce", b"cache-control", b"expires"}
        kept = [pair for pair in inner._headers if pair[0] not in of_the_app]
        assert [pair for pair in answer.headers if pair[0] not in of_the_app] == kept
    newest = await api.request(nonce=answer.one("dpop-nonce"))
    assert list(newest.headers) == [pair for pair in inner._headers if pair[0] != b"dpop-nonce"]


@pytest.mark.requirement("R-8-04")
@pytest.mark.parametrize("prelude", [EARLY_HINT, PUSH, {"type": "http.response.debug", "info": {}}], ids=str)
async def test_what_an_app_sends_before_its_answer_changes_nothing_about_it(make_api, sent_by, clock, prelude):
    api = make_api(_after(prelude))
    headers = await api.fields()
    clock.advance(60.0)
    sent, _ = await sent_by(api, headers=headers)
    assert sent[0] == prelude
    answer = whole_answer(sent[1:])
    assert answer.one("dpop-nonce") == await api.authenticator.challenge_nonce()
    assert answer.one("cache-control") == "no-store"


@pytest.mark.requirement("R-9-01", "R-9-06")
async def test_while_nonces_are_off_none_is_handed_out_and_none_is_looked_at(make_api):
    api = make_api(App(headers=[("dpop-nonce", "of-the-app")]), nonces=None)
    assert (await api.request(nonce="whatever")).all("dpop-nonce") == ["of-the-app"]
    assert (await api.anonymous()).all("dpop-nonce") == []


@pytest.mark.requirement("R-8-02")
async def test_nonces_of_many_rotations_are_all_different_and_of_128_bits(make_api, clock):
    """More of them than challenges are kept rendered."""
    api = make_api(nonces=NoncePolicy(period=1.0))
    nonces = []
    for _ in range(300):
        clock.advance(1.0)
        nonces.append((await api.anonymous()).one("dpop-nonce"))
    assert len(set(nonces)) == 300
    assert {len(nonce) for nonce in nonces} == {22}
