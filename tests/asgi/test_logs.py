"""What is logged of requests; that nothing of it could be used says `tests/redaction`."""

import logging

import pytest

from dpop_asgi import StoreError
from dpop_asgi.testing import Client


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
        pytest.param({"htu": "https://rs.example/v1/r"}, "the path lacks a prefix", id="a-prefix-stripped"),
        pytest.param({"htu": "https://rs.example/else"}, "the paths differ", id="another-path"),
        pytest.param({"iat": 1}, "compare the clocks", id="a-clock-behind"),
        pytest.param({"iat": 9e9}, "compare the clocks", id="a-clock-ahead"),
    ],
)
async def test_a_usual_mistake_of_the_operator_is_a_warning_once_a_minute(api, clock, caplog, request_of, advice):
    """N02, N17: with the default level, a log is not empty while every request is rejected."""
    api.app._renderer._log._warnings._clock = clock
    answers = [await api.request(claims=request_of) for _ in range(3)]
    assert [answer.status for answer in answers] == [401] * 3
    clock.advance(60)
    await api.request(claims=request_of)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [advice in warning for warning in warnings] == [True, True]
    assert ["2 more since the last warning" in warning for warning in warnings] == [False, True]


def _lines(caplog):
    return [record for record in caplog.records if record.name == "dpop_asgi"]


async def _twice(api):
    sent = (await api.fields()).items()
    for _ in range(2):
        await api.anonymous(also=sent)


LEVELS = {
    "nonce_missing": ("DEBUG", lambda api: api.request(nonce=None)),
    "authorization_missing": ("INFO", lambda api: api.anonymous()),
    "method_mismatch": ("INFO", lambda api: api.request(claims={"htm": "PUT"})),
    "proof_replayed": ("WARNING", _twice),
    "binding_mismatch": ("WARNING", lambda api: api.request(client=Client(clock=api.client._clock))),
    "bound_token_as_bearer": (
        "WARNING",
        lambda api: api.anonymous(also=[("authorization", f"Bearer {api.token}")]),
    ),
}


@pytest.mark.parametrize("reason", LEVELS)
async def test_attacks_are_warnings_and_handshakes_are_not_shown(make_api, caplog, reason):
    """N10: each line has what is known of the request; nothing of it is a secret."""
    api = make_api(mode="mixed")
    caplog.set_level("DEBUG")
    level, request = LEVELS[reason]
    await request(api)
    [line] = _lines(caplog)
    client = "demo-client" if level == "WARNING" else None
    assert (line.dpop_reason, line.levelname) == (reason, level)
    assert (line.dpop_client, line.dpop_path, line.dpop_peer) == (client, "/r", "10.0.0.9")
    named = f'client="{client}" ' if client else ""
    assert line.getMessage().startswith(f'rejected: {reason} {named}path="/r" peer="10.0.0.9"')


async def test_a_flood_of_attacks_is_ten_warnings_a_minute(api, clock, caplog):
    """N10: what a client repeats must not fill a log of warnings. The level INFO has each."""
    api.app._renderer._log._warnings._clock = clock
    caplog.set_level("INFO")
    sent = (await api.fields()).items()
    for _ in range(16):
        await api.anonymous(also=sent)
    assert [line.levelname for line in _lines(caplog)] == ["WARNING"] * 10 + ["INFO"] * 5
    clock.advance(60)
    await api.anonymous(also=sent)
    assert _lines(caplog)[-1].levelname == "WARNING"
    assert "(5 more since the last warning)" in caplog.messages[-1]


FORGED = '"\r\n\u2028\x1b[31mWARNING:dpop_asgi:rejected: proof_replayed client="victim"\ud800' + "x" * 9000


@pytest.mark.parametrize(
    "scope",
    [
        pytest.param({"raw_path": FORGED.encode("utf-8", "surrogatepass"), "path": "/r"}, id="raw path"),
        pytest.param({"raw_path": None, "path": FORGED}, id="path"),
        pytest.param({"raw_path": b"", "path": FORGED}, id="path, the raw one is empty"),
        pytest.param({"client": (FORGED, 1)}, id="peer"),
        pytest.param({"client": None}, id="no peer"),
        pytest.param({"raw_path": b"/r?access_token=secret-of-the-query", "path": "/r"}, id="query"),
    ],
)
async def test_what_a_line_says_of_the_request_cannot_forge_another(api, caplog, scope):
    """N10: the path is the client's, and the peer too where a server takes it from a header of a proxy."""
    caplog.set_level("DEBUG")
    await api.anonymous(**scope)
    [line] = _lines(caplog)
    for text in (line.getMessage(), line.dpop_path, line.dpop_peer or ""):
        assert text.isascii()
        assert text.isprintable()
        assert "client=" not in text
        assert "secret-of-the-query" not in text
    assert len(line.dpop_path) <= 200
    assert len(line.dpop_peer or "") <= 200


async def test_the_name_of_a_client_cannot_forge_a_line(api, caplog):
    """N10: at some issuers, clients choose their identifiers."""
    caplog.set_level("DEBUG")
    token = api.issuer.access_token(api.client, claims={"client_id": FORGED})
    await api.request(token=token, client=Client(clock=api.client._clock))
    [line] = _lines(caplog)
    assert line.getMessage().startswith('rejected: binding_mismatch client="%22%0D%0A')
    assert len(line.dpop_client) == 200
    assert len(line.getMessage()) < 1000
    assert line.getMessage().isprintable()


async def test_a_503_says_which_request_it_is(make_api, caplog):
    class Store:
        async def put_if_absent(self, *_, **__):
            raise StoreError("away")

    caplog.set_level("INFO")
    assert (await make_api(store=Store()).anonymous(path="/r")).status == 503
    assert caplog.messages[-1] == 'unavailable: away path="/r" peer="10.0.0.9"'
    assert not hasattr(caplog.records[-1], "dpop_reason")
