"""Which condition gets which answer: the nonce."""

import pytest

from tests.conformance.answers import assert_answer

ROUTES = ["/resource", "/v2/resource", "/files/a", "/stream", "/no-such-route"]


@pytest.fixture
def demanding(http, make_peer):
    """A client with a good nonce at a server that demands one."""
    return make_peer(http, 60).ready()


def another_letter(nonce):
    return ("B" if nonce[0] == "A" else "A") + nonce[1:]


@pytest.mark.requirement("R-8-01", "R-9-04", "R-9-05")
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda _: None, id="7 missing"),
        pytest.param(lambda _: "", id="7 empty"),
        pytest.param(another_letter, id="7 one letter changed"),
        pytest.param(lambda _: "n" * 4000, id="7 far too long"),
        pytest.param(lambda _: '"\\\u20ac\0', id="7 no nonce characters"),
        pytest.param(lambda _: "\ud800", id="7 half a character"),
    ],
)
def test_every_nonce_fault_gets_one_and_the_same_answer(demanding, change):
    presented = change(demanding.nonce)
    answer = demanding.send(demanding.fields(nonce=presented))
    assert_answer(answer, "UDN")
    assert answer.one("DPoP-Nonce") != presented
    missing = demanding.send(demanding.fields(nonce=None))
    assert same(answer) == same(missing)
    assert_answer(demanding.send(demanding.fields(nonce=answer.one("DPoP-Nonce"))), "OK")


def same(answer):
    """What does not change with time."""
    return answer.status, answer.body, [field for field in answer.fields if field[0] not in {"date", "dpop-nonce"}]


@pytest.mark.requirement("R-9-03")
def test_7_the_nonce_of_another_server_is_rejected(demanding, make_peer):
    elsewhere = make_peer(demanding.http, 60, mode="mixed").ready()
    assert_answer(demanding.send(demanding.fields(nonce=elsewhere.nonce)), "UDN")


@pytest.mark.requirement("R-11.3-01", "R-11.3-02")
@pytest.mark.parametrize("path", ROUTES)
def test_no_route_takes_a_proof_without_a_nonce(demanding, path):
    demanding.path = path
    assert_answer(demanding.send(demanding.fields(nonce=None)), "UDN")


@pytest.mark.requirement("R-11.1-03")
def test_a_nonce_is_good_for_many_requests_and_is_not_sent_again(demanding):
    for _ in range(5):
        assert_answer(demanding.send(demanding.fields(nonce=demanding.nonce)), "OK")


@pytest.mark.requirement("R-9-06", "R-9-01")
def test_a_nonce_that_nobody_asked_for_is_ignored(http, make_peer):
    peer = make_peer(http, 0)
    assert_answer(peer.send(peer.fields(nonce="x")), "OK")


def test_a_rejection_for_another_reason_offers_the_nonce_too(demanding):
    answer = demanding.send(demanding.fields(nonce=None)[:1])
    assert_answer(answer, "IDP")
    assert_answer(demanding.send(demanding.fields(nonce=answer.one("DPoP-Nonce"))), "OK")
