"""Fail fast while another server is away; one call at a time looks whether it is back."""

import logging

import pytest

from dpop_asgi import DPoPError, IssuerUnavailable, StoreError, StoreUnavailable
from dpop_asgi.circuit_breaker import CircuitBreaker
from dpop_asgi.stores.redis.errors import OUTAGE


@pytest.fixture
def breaker(breaker_clock):
    return CircuitBreaker("the store", timeout=0.25, outage=OUTAGE)


def _fail(breaker, times, kind=StoreUnavailable):
    for _ in range(times):
        breaker.failed(kind("connection refused"))


def _is_admitted(breaker):
    try:
        breaker.admit()
    except StoreError:
        return False
    return True


@pytest.fixture
def probed(breaker, breaker_clock):
    """It has turned everybody away, and let one call through to look, 0.2 seconds later."""
    _fail(breaker, 3)
    breaker_clock.advance(0.2)
    assert [_is_admitted(breaker) for _ in range(3)] == [True, False, False]
    return breaker


def test_three_failures_in_a_row_turn_everybody_away(breaker):
    _fail(breaker, 2)
    assert _is_admitted(breaker)
    breaker.succeeded()
    _fail(breaker, 2)
    assert _is_admitted(breaker)
    _fail(breaker, 1)
    assert not _is_admitted(breaker)


def test_a_probe_that_fails_starts_the_wait_again(probed, breaker_clock):
    breaker_clock.advance(0.1)
    _fail(probed, 1)
    breaker_clock.advance(0.15)
    assert not _is_admitted(probed)


def test_a_probe_that_is_never_heard_of_again_does_not_keep_the_store_away(probed, breaker_clock):
    breaker_clock.advance(0.2)
    assert not _is_admitted(probed), "the first probe may still be answered"
    breaker_clock.advance(0.05)
    assert _is_admitted(probed)


def test_a_probe_that_succeeds_lets_everybody_through(probed):
    probed.succeeded()
    assert [_is_admitted(probed) for _ in range(3)] == [True] * 3


@pytest.mark.parametrize("kind", [StoreError, StoreUnavailable, IssuerUnavailable])
def test_calls_are_turned_away_for_what_was_last_seen(probed, kind):
    """Z02: a store that refuses each command is not one that is unavailable, and the other way round."""
    _fail(probed, 1, kind)
    with pytest.raises(DPoPError) as turned_away:
        probed.admit()
    assert type(turned_away.value) is kind


def test_each_change_is_logged_once_and_an_outage_again_each_minute(breaker, breaker_clock, caplog):
    """N14: with what callers get."""
    with caplog.at_level(logging.DEBUG, "dpop_asgi"):
        for _ in range(8):
            _fail(breaker, 10)
            breaker_clock.advance(15.0)
        breaker.succeeded()
        breaker.succeeded()
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR", "WARNING"]
    told = "; requests that need it get 503, unless on_store_failure is accept: connection refused"
    assert [message.endswith(told) for message in caplog.messages] == [True, True, False]
    assert [message.startswith("still: ") for message in caplog.messages] == [False, True, False]
