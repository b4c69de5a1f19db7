"""Which condition gets which answer: the nonce."""

import pytest

from tests.conformance.judge import assert_answer
from tests.conformance.peer import Peer
from tests.support.busy import patient
from tests.support.processes import ResourceServer, wait_until

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
    [lambda _: None, another_letter, lambda _: "\ud800"],
    ids=["missing", "one letter changed", "half a letter"],
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


@pytest.mark.requirement("R-11.3-01", "R-11.3-02")
@pytest.mark.parametrize("path", ROUTES)
def test_no_route_takes_a_proof_without_a_nonce(demanding, path):
    demanding.path = path
    assert_answer(demanding.send(demanding.fields(nonce=None)), "UDN")


def test_a_rejection_for_another_reason_offers_the_nonce_too(demanding):
    answer = demanding.send(demanding.fields(nonce=None)[:1])
    assert_answer(answer, "IDP")
    assert_answer(demanding.send(demanding.fields(nonce=answer.one("DPoP-Nonce"))), "OK")


@pytest.mark.requirement("R-8-06", "R-9449-NS", "R-11.1-03")
def test_c_47_a_nonce_on_success_replaces_the_one_held_without_a_challenge(http, issuer_server):
    with ResourceServer(issuer_server.issuer, http=http, nonce_period=patient(3.0)) as server:
        peer = Peer(server, issuer_server.issuer, http=http, nonces=True).ready()
        first, answers = peer.nonce, []

        def rotated():
            answers.append(peer.send(peer.fields()))
            return peer.nonce != first

        wait_until(rotated, "no new nonce")
        assert {answer.status for answer in answers} == {200}
        assert [answer.one("DPoP-Nonce") for answer in answers] == [None] * (len(answers) - 1) + [peer.nonce]
        assert answers[-1].one("Cache-Control") == "no-store"
        assert peer.send(peer.fields()).status == 200
