"""A newer nonce goes out with the app's answers, and what goes out with it must not be cached."""

import pytest

from dpop_asgi.nonces import NoncePolicy
from tests.support.api import App
from tests.support.challenges import NQCHAR

ANSWERS = [
    pytest.param(App(200), id="200"),
    pytest.param(App(204, chunks=(b"",)), id="204"),
    pytest.param(App(304, chunks=(b"",)), id="304"),
    pytest.param(App(302, [("location", "/")], chunks=(b"",)), id="302"),
    pytest.param(App(403), id="403"),
    pytest.param(App(404), id="404"),
    pytest.param(App(422), id="422"),
    pytest.param(App(500), id="500"),
    pytest.param(App(500, chunks=(b"a", b"b", b"c")), id="500-streamed"),
    pytest.param(App(503), id="503"),
    pytest.param(App(200, chunks=(b"a", b"b", b"c")), id="streamed"),
    pytest.param(App(200, [("dpop-nonce", "of-the-app")]), id="with-a-nonce-of-the-app"),
    pytest.param(App(200, [("DPoP-Nonce", "one"), ("dpop-nonce", "two")]), id="with-two-nonces-of-the-app"),
]


async def _older_nonce(api, clock):
    """A nonce that is still good, but no longer the one that is handed out."""
    nonce = await api.authenticator.challenge_nonce()
    clock.advance(60.0)
    return nonce


@pytest.mark.requirement("R-8-03", "R-8-04", "R-8-05", "R-8-06", "R-9110-01", "R-9449-NS")
@pytest.mark.parametrize("inner", ANSWERS)
async def test_an_older_nonce_is_answered_with_the_newer_one_whatever_the_app_answers(make_api, clock, inner):
    api = make_api(inner)
    answer = await api.request(nonce=await _older_nonce(api, clock))
    newer = answer.one("dpop-nonce")
    assert newer == await api.authenticator.challenge_nonce()
    assert NQCHAR.fullmatch(newer)
    assert answer.one("cache-control") == "no-store"


@pytest.mark.requirement("R-8-04", "R-9110-01")
@pytest.mark.parametrize("inner", ANSWERS)
async def test_the_newest_nonce_is_answered_with_none(make_api, inner):
    answer = await make_api(inner).request()
    assert answer.all("dpop-nonce") == []


@pytest.mark.parametrize("inner", ANSWERS)
async def test_status_and_body_are_the_apps(make_api, clock, inner):
    api = make_api(inner)
    answer = await api.request(nonce=await _older_nonce(api, clock))
    assert (answer.status, answer.body) == (inner._status, b"".join(inner._chunks))


@pytest.mark.requirement("R-8-06")
async def test_the_nonce_that_was_handed_out_needs_no_further_one(make_api, clock):
    api = make_api()
    answer = await api.request(nonce=await _older_nonce(api, clock))
    assert (await api.request(nonce=answer.one("dpop-nonce"))).all("dpop-nonce") == []


@pytest.mark.requirement("R-11.1-03")
async def test_one_nonce_may_be_used_many_times(api):
    nonce = await api.authenticator.challenge_nonce()
    assert [(await api.request(nonce=nonce)).status for _ in range(3)] == [200] * 3


@pytest.mark.requirement("R-8-05")
async def test_a_nonce_that_has_left_the_window_is_challenged_with_one_that_works(make_api, clock):
    api = make_api()
    older = await _older_nonce(api, clock)
    clock.advance(60.0)
    answer = await api.request(nonce=older)
    assert answer.status == 401
    assert (await api.request(nonce=answer.one("dpop-nonce"))).status == 200


CACHING = [("cache-control", "public, max-age=60"), ("expires", "Thu, 01 Jan 2099 00:00:00 GMT"), ("etag", '"x"')]


@pytest.mark.requirement("R-8-07", "R-9449-NS", "R-9111-01")
async def test_an_answer_with_a_nonce_cannot_be_cached_whatever_the_app_says(make_api, clock):
    api = make_api(App(headers=CACHING))
    answer = await api.request(nonce=await _older_nonce(api, clock))
    assert answer.all("cache-control") == ["no-store"]
    assert answer.all("expires") == []
    assert answer.all("etag") == ['"x"']


@pytest.mark.requirement("R-8-07", "R-9111-01")
async def test_an_answer_without_a_nonce_is_cached_as_the_app_says(make_api):
    assert list((await make_api(App(headers=CACHING)).request()).headers) == [
        (name.encode(), value.encode()) for name, value in CACHING
    ]


@pytest.mark.requirement("R-9111-01")
async def test_nothing_is_made_cacheable(api):
    assert (await api.request()).headers == ()


@pytest.mark.requirement("R-9-01", "R-9-06")
async def test_while_nonces_are_off_none_is_handed_out_and_none_is_looked_at(make_api):
    api = make_api(App(headers=[("dpop-nonce", "of-the-app")]), nonces=None)
    assert (await api.request(nonce="whatever")).all("dpop-nonce") == ["of-the-app"]
    assert (await api.anonymous()).all("dpop-nonce") == []


@pytest.mark.requirement("R-8-02")
async def test_nonces_of_many_rotations_are_all_different_and_of_128_bits(make_api, clock):
    api = make_api(nonces=NoncePolicy(period=1.0))
    nonces = []
    for _ in range(1000):
        clock.advance(1.0)
        nonces.append((await api.anonymous()).one("dpop-nonce"))
    assert len(set(nonces)) == 1000
    assert {len(nonce) for nonce in nonces} == {22}


@pytest.mark.requirement("R-8-02")
async def test_nonces_do_not_follow_from_the_time(make_api):
    first, second = make_api(), make_api()
    assert await first.authenticator.challenge_nonce() != await second.authenticator.challenge_nonce()


@pytest.mark.requirement("R-8-05")
async def test_the_next_nonce_is_handed_out_in_the_last_fifth_of_a_slot(make_api, clock):
    api = make_api()
    clock.now -= clock.now % 60
    nonce = await api.authenticator.challenge_nonce()
    clock.advance(47.9)
    assert (await api.request(nonce=nonce)).all("dpop-nonce") == []
    clock.advance(0.2)
    newer = (await api.request(nonce=nonce)).one("dpop-nonce")
    assert (await api.request(nonce=newer)).status == 200
