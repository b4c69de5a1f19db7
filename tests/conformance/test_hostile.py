"""A sweep of hostile input: each gets a 4xx of the right shape, in time, and the server goes on working."""

import socket

import pytest

from tests.conformance.answers import assert_answer
from tests.conformance.hostile_proofs import CLAIMS, HEADERS, SHAPES
from tests.conformance.hostile_requests import AUTHORIZATIONS, NO_HTTP, TARGETS
from tests.conformance.hostile_tokens import TOKENS
from tests.conformance.judge import errors, is_servers_own, judge
from tests.conformance.rows import row
from tests.support.processes import NO_ROTATION
from tests.support.wire import exchange


def rows(table):
    return [row(make, name=name) for name, make in table.items()]


@pytest.fixture(params=[("httptools", NO_ROTATION), ("h11", 0)], ids=["httptools nonces on", "h11 nonces off"])
def matrix(request):
    """Each HTTP implementation and nonces on and off, but not each with each: the one never sees the other."""
    return request.param


@pytest.fixture
def target(ready):
    """The client, and afterwards the question whether the server still works."""
    yield ready
    assert_answer(ready.send(ready.fields()), "OK")


@pytest.mark.requirement("R-11.5-01", "R-MCP-08")
@pytest.mark.parametrize("make", rows(SHAPES | HEADERS | CLAIMS))
def test_a_hostile_proof_is_rejected(target, make):
    assert_answer(target.send([target.fields()[0], ("DPoP", make(target))]), "IDP")


@pytest.mark.requirement("R-6750-04")
@pytest.mark.parametrize("value", [row(value, name=ascii(value[:24])) for value in AUTHORIZATIONS])
def test_a_hostile_authorization_is_rejected(target, value):
    field = ("Authorization", value.replace("TOKEN", target.token))
    answer = target.send([field, target.fields()[1]])
    assert answer.status in {400, 401}
    assert errors(answer)[0] in {None, "invalid_request", "invalid_dpop_proof"}


@pytest.mark.requirement("R-7.1-13", "R-9068-05", "R-11.10-01", "R-MCP-07")
@pytest.mark.parametrize("changes", rows(TOKENS))
def test_a_hostile_token_is_rejected_as_a_token(target, changes):
    token = target.issuer.access_token(target.client, **changes)
    assert_answer(target.send(target.fields(token=token)), "ITK")


@pytest.mark.parametrize("where", [row(where, name=ascii(where[:24])) for where in TARGETS])
def test_a_hostile_target_is_rejected_and_is_not_open(target, where):
    answer = target.send(target.fields(), target=where)
    assert is_servers_own(answer) or errors(answer)[0] in {"invalid_request", "invalid_dpop_proof"}
    answer = target.send([], target=where)
    assert is_servers_own(answer) or (answer.status, errors(answer)[0]) == (401, None)


@pytest.mark.parametrize("request_", rows(NO_HTTP))
def test_what_is_no_http_never_reaches_the_app(target, request_):
    answer = exchange(target.server.port, request_)
    judge(answer, nonces=target.nonces)
    assert is_servers_own(answer) or answer.status in {400, 401}


@pytest.mark.requirement("R-8725-01", "R-4.2-06")
def test_no_address_in_a_proof_or_token_is_called(target):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/keys"
        places = {"jku": address, "x5u": address, "x5c": [address], "kid": address}
        assert_answer(target.send(target.fields(header=places)), "OK")
        token = target.issuer.access_token(target.client, header=places | {"kid": target.issuer.kid})
        assert_answer(target.send(target.fields(token=token)), "OK")
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.mark.parametrize("jti", ["\0", "\ud800", "\u202e", "../..", "*", "{slot}", "\r\nSET x y\r\n"])
def test_a_jti_may_be_any_text(target, jti):
    fields = target.fields(claims={"jti": jti})
    assert_answer(target.send(fields), "OK")
    assert_answer(target.send(fields), "IDP")
