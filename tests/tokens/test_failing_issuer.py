"""How often an issuer that fails is asked, and for how long."""

import asyncio

import pytest

from dpop_asgi import IssuerUnavailable, JWTVerifier
from tests.support.busy import Stopwatch
from tests.support.distant_issuer import PROMISED, TIMEOUT
from tests.support.processes import AUDIENCE


async def test_the_time_out_is_for_the_whole_look_up(distant):
    distant.suffer(lambda proxy: setattr(proxy.replies, "delay", 0.6 * TIMEOUT))
    await distant.is_unavailable(distant.token())
    assert distant.proxy.connections == 1


async def test_a_request_that_comes_while_the_issuer_hangs_waits_for_the_rest_of_the_time_only(distant):
    distant.suffer(lambda proxy: setattr(proxy, "silent", True))
    first = asyncio.create_task(distant.is_unavailable(distant.token()))
    await asyncio.sleep(TIMEOUT / 2)
    await distant.is_unavailable(distant.token())
    assert not distant.is_fetching
    await first
    assert distant.proxy.connections == 1


async def test_an_issuer_that_hangs_is_not_waited_for_one_request_after_the_other_when_keys_are_stale(warm_distant):
    warm_distant.proxy.silent = True
    warm_distant.clock.advance(300.0)
    for _ in range(10):
        assert await warm_distant.verify(warm_distant.token())
        warm_distant.clock.advance(1.0)
    assert warm_distant.is_fetching
    assert warm_distant.proxy.connections <= 2


async def test_without_keys_a_failing_issuer_is_asked_once_a_second(distant):
    distant.proxy.door = "reset"
    for _ in range(20):
        for _ in range(5):
            await distant.is_unavailable(distant.token())
        distant.clock.advance(1.0)
    assert distant.proxy.connections == 20


async def test_with_keys_a_failing_issuer_is_asked_every_ten_seconds(warm_distant):
    warm_distant.clock.advance(300.0)
    warm_distant.proxy.door = "reset"
    before = warm_distant.proxy.connections
    for _ in range(100):
        assert await warm_distant.verify(warm_distant.token())
        await warm_distant.settled()
        warm_distant.clock.advance(1.0)
    assert warm_distant.proxy.connections - before == 10


async def test_invented_kids_make_a_failing_issuer_be_asked_once_a_second(warm_distant):
    warm_distant.proxy.door = "reset"
    before = warm_distant.proxy.connections
    for _ in range(50):
        await warm_distant.is_unavailable(warm_distant.new_key())
        warm_distant.clock.advance(0.2)
    assert warm_distant.proxy.connections - before == 10


async def test_a_healthy_look_up_takes_one_connection(distant):
    await distant.verify(distant.token())
    assert (distant.proxy.connections, distant.issuer.fetches) == (1, 1)


async def test_tls_that_hangs_in_its_handshake_is_given_up(distant, clock):
    distant.proxy.silent = True
    url = f"https://127.0.0.1:{distant.proxy.port}"
    verify = JWTVerifier(issuer=url, audience=AUDIENCE, timeout=TIMEOUT, clock=clock)
    with Stopwatch() as stopwatch, pytest.raises(IssuerUnavailable, match="no response in time"):
        await verify(distant.token(claims={"iss": url}))
    assert stopwatch.within(PROMISED)
    await distant.proxy.emptied()
