"""Field names and bytes as no HTTP library would send them, and several requests on one connection."""

import pytest

from tests.conformance.judge import assert_answer, is_servers_own
from tests.support.wire import Connection, request_bytes

KIB = 1024


def named(peer, authorization="Authorization", dpop="DPoP"):
    return [(authorization, f"DPoP {peer.token}"), (dpop, peer.proof())]


@pytest.mark.requirement("R-4.1-01")
@pytest.mark.parametrize("name", ["DPOP", "dpop", "dPoP", "Dpop"])
def test_the_case_of_a_header_name_does_not_count(ready, name):
    assert_answer(ready.send(named(ready, "aUTHORIZATION", name)), "OK")


@pytest.mark.requirement("R-4.3-01")
def test_two_proofs_are_two_whatever_the_case_of_their_names(ready):
    assert_answer(ready.send([*named(ready), ("dpop", ready.proof())]), "IDP")


def test_a_folded_proof_is_rejected(ready):
    proof = ready.proof()
    answer = ready.send([named(ready)[0], ("DPoP", f"{proof[:40]}\r\n {proof[40:]}")])
    if not is_servers_own(answer):
        assert_answer(answer, "IDP")
    assert is_servers_own(answer) == (ready.http == "httptools")


def test_a_folded_authorization_is_one_header_or_none(ready):
    answer = ready.send([("Authorization", f"DPoP\r\n {ready.token}"), named(ready)[1]])
    assert is_servers_own(answer) == (ready.http == "httptools")
    assert answer.status == (400 if ready.http == "httptools" else 200)


@pytest.mark.requirement("R-4.1-04")
@pytest.mark.parametrize("byte", [0x01, 0x7F, 0x80, 0xFF])
def test_a_stray_byte_in_a_proof_is_rejected(ready, byte):
    answer = ready.send([named(ready)[0], ("DPoP", ready.proof().encode() + bytes([byte]))])
    if not is_servers_own(answer):
        assert_answer(answer, "IDP")
    assert_answer(ready.send(ready.fields()), "OK")


@pytest.mark.parametrize("name", ["DPoP", "Authorization", "Cookie"])
def test_megabytes_of_headers_are_answered_or_cut_off(ready, name):
    try:
        answer = ready.send([*ready.fields(), (name, "a" * 2 * KIB * KIB)])
    except ConnectionError:
        assert ready.http == "h11", "only h11 limits the size of all fields"
    else:
        assert answer.status in ({400, 401} if name != "Cookie" else {200, 400})
    assert_answer(ready.send(ready.fields()), "OK")


def test_a_thousand_headers_change_nothing(ready):
    many = [(f"X-{number}", "x") for number in range(1000)]
    assert_answer(ready.send([*many, *ready.fields()]), "OK")
    assert_answer(ready.send([*ready.fields(), *[("DPoP", "x")] * 1000]), "IDP")


def test_requests_on_one_connection_are_answered_each_for_itself(ready):
    refused = ready.fields(without=["typ"])
    with Connection(ready.server.port) as connection:
        for fields, code in [(ready.fields(), "OK"), (refused, "IDP"), ([], "CHL"), (ready.fields(), "OK")]:
            connection.send(request_bytes("GET", "/resource", [("Host", ready.host), *fields]))
            answer = connection.receive()
            ready.take(answer)
            assert_answer(answer, code)


def test_a_rejected_request_with_a_body_leaves_the_connection_usable(ready):
    with Connection(ready.server.port) as connection:
        head = [("Host", ready.host), ("Content-Length", "5")]
        connection.send(request_bytes("POST", "/resource", head, b"hello"))
        assert connection.receive("POST").status == 401
        connection.send(request_bytes("GET", "/resource", [("Host", ready.host), *ready.fields()]))
        assert connection.receive().status == 200
