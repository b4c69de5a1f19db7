"""What is logged of requests; that nothing of it could be used says `tests/redaction`."""

import logging

import pytest


async def test_an_accepted_request_is_not_logged(api, caplog):
    caplog.set_level(logging.DEBUG)
    assert (await api.request()).status == 200
    assert [record for record in caplog.records if record.name == "dpop_asgi"] == []


async def test_no_line_can_be_forged(api, caplog):
    """What is logged of a request has no line breaks, whatever the request has."""
    caplog.set_level(logging.DEBUG)
    await api.request(claims={"htu": "https://rs.example/\r\nforged", "htm": "GET\nforged"})
    await api.anonymous(also=[("authorization", "DPoP\x0bforged")], raw_path=b"/\nforged")
    assert [message for message in caplog.messages if "\n" in message or "\r" in message] == []


async def test_a_caller_can_be_printed_without_harm(api):
    await api.request()
    printed = repr(api.inner.scopes[0]["user"])
    assert "alice" in printed
    assert await api.authenticator.challenge_nonce() not in printed
    assert api.issuer.url not in printed


@pytest.mark.parametrize(
    ("request_of", "advice"),
    [
        pytest.param({"htu": "http://rs.example/r"}, "the schemes differ", id="TLS-ends-before"),
        pytest.param({"htu": "https://other.example.com/r"}, "the hosts differ", id="another-host"),
        pytest.param({"htu": "https://rs.example:8443/r"}, "the ports differ", id="another-port"),
        pytest.param({"htu": "https://rs.example/v1/r"}, "the path lacks a prefix", id="a-prefix-stripped"),
        pytest.param({"htu": "https://rs.example/else"}, "the paths differ", id="another-path"),
        pytest.param({"iat": 1}, "compare the clocks", id="a-clock-behind"),
        pytest.param({"iat": 9e9}, "compare the clocks", id="a-clock-ahead"),
    ],
)
async def test_a_usual_mistake_of_the_operator_is_a_warning_once_a_minute(api, clock, caplog, request_of, advice):
    """N02, N17: with the default level, a log is not empty while every request is rejected."""
    api.app._renderer._mistakes._clock = clock
    answers = [await api.request(claims=request_of) for _ in range(3)]
    assert [answer.status for answer in answers] == [401] * 3
    clock.advance(60)
    await api.request(claims=request_of)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [advice in warning for warning in warnings] == [True, True]
    assert ["2 more since the last warning" in warning for warning in warnings] == [False, True]


@pytest.mark.parametrize(
    ("public_url", "htu", "named"),
    [
        pytest.param("http://127.0.0.1:8000", "http://localhost:8000/r", "localhost and 127.0.0.1", id="localhost"),
        pytest.param("http://localhost:8000", "http://[::1]:8000/r", "localhost and 127.0.0.1", id="localhost-in-IPv6"),
        pytest.param("https://rs.example/v1/v1", "https://rs.example/v1/r", "/v1 is duplicated", id="doubled-prefix"),
        pytest.param("https://rs.example/v1", "https://rs.example/r", "prefix that clients don't send", id="prefix"),
        pytest.param("http://localhost", "https://localhost/r", "the schemes differ", id="TLS-ends-before"),
    ],
)
async def test_the_mistake_in_the_public_url_is_named(api, caplog, public_url, htu, named):
    """N17: not "set public_url", which all of these have."""
    api.wrap(api.inner, public_url=public_url)
    assert (await api.request(claims={"htu": htu})).status == 401
    [warning] = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert named in warning


async def test_what_clients_do_wrong_is_no_warning(api, caplog):
    await api.anonymous()
    await api.request(nonce=None)
    await api.request(claims={"htm": "PUT"})
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
