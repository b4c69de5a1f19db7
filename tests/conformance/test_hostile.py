"""A sweep of hostile input: each gets a 4xx of the right shape, in time, and the server goes on working."""

import socket

import pytest

from tests.conformance.hostile_proofs import CLAIMS, HEADERS, SHAPES
from tests.conformance.hostile_requests import AUTHORIZATIONS, TARGETS
from tests.conformance.hostile_tokens import TOKENS
from tests.conformance.judge import assert_answer, errors, is_servers_own
from tests.support.processes import NO_ROTATION


@pytest.fixture(params=[("httptools", NO_ROTATION), ("h11", 0)], ids=["httptools nonces on", "h11 nonces off"])
def matrix(request):
    """Each HTTP implementation and nonces on and off, but not each with each: the one never sees the other."""
    return request.param


@pytest.fixture
def ready(ready):
    """Its last request was good, and after all that it sends, another one is."""
    yield ready
    assert_answer(ready.send(ready.fields()), "OK")


@pytest.mark.requirement("R-11.5-01", "R-11.6-01", "R-MCP-08")
def test_hostile_proofs_are_rejected(ready, subtests):
    for name, make in (SHAPES | HEADERS | CLAIMS).items():
        with subtests.test(name):
            assert_answer(ready.send([ready.fields()[0], ("DPoP", make(ready))]), "IDP")


@pytest.mark.requirement("R-6750-04")
def test_hostile_authorizations_are_rejected(ready, subtests):
    for value in AUTHORIZATIONS:
        with subtests.test(value[:24]):
            field = ("Authorization", value.replace("TOKEN", ready.token))
            answer = ready.send([field, ready.fields()[1]])
            assert answer.status in {400, 401}
            assert errors(answer)[0] in {None, "invalid_request", "invalid_dpop_proof"}


@pytest.mark.requirement("R-7.1-13", "R-9068-05", "R-11.10-01", "R-MCP-07")
def test_hostile_tokens_are_rejected_as_tokens(ready, subtests):
    for name, changes in TOKENS.items():
        with subtests.test(name):
            token = ready.issuer.access_token(ready.client, **changes)
            assert_answer(ready.send(ready.fields(token=token)), "ITK")


def test_hostile_targets_are_rejected_and_not_open(ready, subtests):
    for where in TARGETS:
        with subtests.test(where[:24]):
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
