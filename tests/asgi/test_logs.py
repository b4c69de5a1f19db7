"""What goes wrong is logged with its reason, and never with anything that could be used."""

import logging

import pytest

from dpop_asgi.core.private_key import PrivateKey
from tests.support.api import call, http_scope

JTI = "the-jti-of-this-test-that-nobody-may-read"
WRONG_NONCE = "the-nonce-of-this-test-that-nobody-may-read"

BROKEN = [
    pytest.param({"nonce": None}, id="no-nonce"),
    pytest.param({"nonce": WRONG_NONCE}, id="wrong-nonce"),
    pytest.param({"claims": {"jti": JTI, "htm": "PUT"}}, id="method"),
    pytest.param({"claims": {"jti": JTI, "htu": "https://rs.example/?code=hunter2"}}, id="target"),
    pytest.param({"claims": {"jti": JTI, "iat": 1}}, id="old"),
    pytest.param({"claims": {"jti": JTI, "ath": "hunter2"}}, id="hash"),
    pytest.param({"claims": {"jti": [JTI]}}, id="jti-in-a-list"),
    pytest.param({"claims": {"jti": JTI, "exp": 1}}, id="expired"),
    pytest.param({"header": {"typ": "hunter2"}}, id="typ"),
    pytest.param({"header": {"alg": "hunter2"}}, id="alg"),
    pytest.param({"header": {"jwk": {"kty": "EC", "d": "hunter2"}}}, id="private-key"),
    pytest.param({"header": {"jwk": {"kty": "EC", "crv": "P-256", "x": "hunter2", "y": "hunter2"}}}, id="key"),
    pytest.param({"signed_by": PrivateKey.generate()}, id="signature"),
    pytest.param({"without": {"iat"}}, id="no-iat"),
    pytest.param({"token": "hunter2"}, id="opaque-token"),
    pytest.param({"also": [("dpop", "hunter2")]}, id="two-proofs"),
    pytest.param({"also": [("authorization", "Bearer hunter2")]}, id="two-tokens"),
]


@pytest.fixture
def logged(caplog):
    """Everything that was logged, by whomever, with its `extra`."""
    caplog.set_level(logging.DEBUG)
    return lambda: "\n".join(str(vars(record)) + record.getMessage() for record in caplog.records)


def _secrets_of(api, scope):
    values = [value.decode("latin-1") for name, value in scope["headers"] if name in {b"authorization", b"dpop"}]
    parts = [part for value in values for part in value.replace(".", " ").split() if len(part) > 8]
    return {*values, *parts, api.token, JTI, WRONG_NONCE, "hunter2"}


async def _request(api, *, also=(), scope=None, token=None, **changes):
    sent = await api.fields(token=token, **changes)
    made = http_scope(headers=[("host", "rs.example"), *sent.items(), *also], **(scope or {}))
    return made, await call(api.app, made)


@pytest.mark.parametrize("broken", BROKEN)
async def test_a_rejection_is_logged_with_its_reason_and_no_secret(api, logged, broken, caplog):
    scope, answer = await _request(api, **broken)
    assert answer.status in {400, 401}
    text = logged()
    assert [secret for secret in _secrets_of(api, scope) if secret in text] == []
    assert [record.dpop_reason for record in caplog.records if record.name == "dpop_asgi"]


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.requirement("R-6750-04", "R-4.2-05")
async def test_an_answer_repeats_nothing_of_the_request(api, broken):
    scope, answer = await _request(api, **broken)
    text = answer.body.decode() + str(answer.headers)
    assert [secret for secret in _secrets_of(api, scope) if secret in text] == []


async def test_a_replay_is_logged_without_the_jti(api, logged):
    sent = await api.fields(claims={"jti": JTI})
    scope = http_scope(headers=sent.items())
    assert [(await call(api.app, dict(scope))).status for _ in range(2)] == [200, 401]
    assert "proof_replayed" in logged()
    assert [secret for secret in _secrets_of(api, scope) if secret in logged()] == []


async def test_an_accepted_request_is_not_logged(api, caplog):
    caplog.set_level(logging.DEBUG)
    assert (await api.request()).status == 200
    assert [record for record in caplog.records if record.name == "dpop_asgi"] == []


async def test_a_nonce_that_is_handed_out_is_not_logged(api, logged):
    answer = await api.request(nonce=None)
    assert answer.one("dpop-nonce") not in logged()


async def test_no_line_can_be_forged(api, caplog):
    """What is logged of a request has no line breaks, whatever the request has."""
    caplog.set_level(logging.DEBUG)
    await _request(api, claims={"htu": "https://rs.example/\r\nforged", "htm": "GET\nforged"})
    await api.anonymous(also=[("authorization", "DPoP\x0bforged")], raw_path=b"/\nforged")
    assert [message for message in caplog.messages if "\n" in message or "\r" in message] == []


async def test_a_caller_can_be_printed_without_harm(api):
    await api.request()
    printed = repr(api.inner.scopes[0]["user"])
    assert "alice" in printed
    assert await api.authenticator.challenge_nonce() not in printed
    assert api.issuer.url not in printed
