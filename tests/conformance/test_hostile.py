"""A sweep of hostile input: each gets a 4xx of the right shape, in time, and the next finds the server at work."""

import socket

import pytest

from tests.conformance.hostile_proofs import CLAIMS, HEADERS, SHAPES
from tests.conformance.hostile_requests import AUTHORIZATIONS, TARGETS
from tests.conformance.hostile_tokens import TOKENS
from tests.conformance.judge import assert_answer, errors, is_servers_own
from tests.conformance.rows import row
from tests.support.processes import NO_ROTATION


def rows(table):
    return [row(make, name=name) for name, make in table.items()]


@pytest.fixture(params=[("httptools", NO_ROTATION), ("h11", 0)], ids=["httptools nonces on", "h11 nonces off"])
def matrix(request):
    """Each HTTP implementation and nonces on and off, but not each with each: the one never sees the other."""
    return request.param


@pytest.mark.requirement("R-11.5-01", "R-11.6-01", "R-MCP-08")
@pytest.mark.parametrize("make", rows(SHAPES | HEADERS | CLAIMS))
def test_a_hostile_proof_is_rejected(ready, make):
    assert_answer(ready.send([ready.fields()[0], ("DPoP", make(ready))]), "IDP")


@pytest.mark.requirement("R-6750-04")
@pytest.mark.parametrize("value", [row(value, name=ascii(value[:24])) for value in AUTHORIZATIONS])
def test_a_hostile_authorization_is_rejected(ready, value):
    field = ("Authorization", value.replace("TOKEN", ready.token))
    answer = ready.send([field, ready.fields()[1]])
    assert answer.status in {400, 401}
    assert errors(answer)[0] in {None, "invalid_request", "invalid_dpop_proof"}


@pytest.mark.requirement("R-7.1-13", "R-9068-05", "R-11.10-01", "R-MCP-07")
@pytest.mark.parametrize("changes", rows(TOKENS))
def test_a_hostile_token_is_rejected_as_a_token(ready, changes):
    token = ready.issuer.access_token(ready.client, **changes)
    assert_answer(ready.send(ready.fields(token=token)), "ITK")


@pytest.mark.parametrize("where", [row(where, name=ascii(where[:24])) for where in TARGETS])
def test_a_hostile_target_is_rejected_and_is_not_open(ready, where):
    answer = ready.send(ready.fields(), target=where)
    assert is_servers_own(answer) or errors(answer)[0] in {"invalid_request", "invalid_dpop_proof"}
    answer = ready.send([], target=where)
    assert is_servers_own(answer) or (answer.status, errors(answer)[0]) == (401, None)


@pytest.mark.requirement("R-8725-01", "R-4.2-06")
def test_no_address_in_a_proof_or_token_is_called(ready):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/keys"
        places = {"jku": address, "x5u": address, "x5c": [address], "kid": address}
        assert_answer(ready.send(ready.fields(header=places)), "OK")
        token = ready.issuer.access_token(ready.client, header=places | {"kid": ready.issuer.kid})
        assert_answer(ready.send(ready.fields(token=token)), "OK")
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.mark.parametrize("jti", ["\0", "\ud800", "\u202e", "../..", "*", "{slot}", "\r\nSET x y\r\n"])
def test_a_jti_may_be_any_text(ready, jti):
    """And is good once, also in another proof: C-23, C-24."""
    assert_answer(ready.send(ready.fields(claims={"jti": jti})), "OK")
    assert_answer(ready.send(ready.fields(claims={"jti": jti})), "IDP")
