"""The other modules of the OpenID suite that call a resource with DPoP, and what it reads out of every answer."""

import re
import time

import pytest

from tests.conformance.judge import errors, openid_challenges
from tests.conformance.peer import Colleague, Peer
from tests.support.busy import patient
from tests.support.challenges import NQCHAR
from tests.support.processes import ResourceServer, wait_until


@pytest.mark.parametrize(
    ("seconds", "claims"),
    [
        pytest.param(0, {"nbf": 0, "exp": 300}, id="C-40 nbf and exp", marks=pytest.mark.requirement("R-4.3-06")),
        pytest.param(8, {}, id="C-41 iat 8 s ahead", marks=pytest.mark.requirement("R-11.1-01")),
        pytest.param(-10, {}, id="C-42 iat 10 s ago"),
    ],
)
def test_a_proof_of_about_now_is_accepted(peer, seconds, claims):
    now = int(time.time())
    times = {"iat": now + seconds} | {name: now + value for name, value in claims.items()}
    assert peer.call(lambda peer: peer.fields(claims=times)).status == 200


@pytest.mark.requirement("R-7.1-01")
def test_c_43_the_scheme_in_inverted_case_is_accepted(peer):
    assert peer.call(lambda peer: [("Authorization", f"dpOp {peer.token}"), ("DPoP", peer.proof())]).status == 200


@pytest.mark.requirement("R-4.3-19")
def test_c_44_one_clients_key_does_not_open_anothers_token(ready):
    stolen = Colleague(ready).token
    assert 400 <= ready.call(lambda peer: peer.fields(token=stolen)).status < 500


def every_kind_of_answer(peer):
    """Each with the error that it must name, `None` where it must name none."""
    return [
        (peer.send([]), None),
        (peer.send(peer.fields(nonce=None)), "use_dpop_nonce" if peer.nonces else None),
        (peer.call(), None),
        (peer.send(peer.fields(without=["typ"])), "invalid_dpop_proof"),
        (peer.send(peer.fields(token=Colleague(peer).token)), "invalid_token"),
        (peer.send([*peer.fields(), ("Authorization", "DPoP x")]), "invalid_request"),
    ]


@pytest.mark.requirement("R-8-03", "R-8-04", "R-9-01", "R-9110-01")
def test_c_45_no_answer_has_a_second_nonce_or_a_malformed_one(peer):
    for answer, error in every_kind_of_answer(peer):
        nonces = answer.all("DPoP-Nonce")
        assert len(nonces) == (1 if peer.nonces and answer.status == 401 else 0), error
        assert all(NQCHAR.fullmatch(nonce) for nonce in nonces)


@pytest.mark.requirement("R-9-02")
def test_c_46_a_demand_for_a_nonce_brings_one_that_is_accepted(peer):
    answer = peer.send(peer.fields())
    if peer.nonces:
        assert errors(answer)[0] == "use_dpop_nonce"
        answer = peer.send(peer.fields(nonce=answer.one("DPoP-Nonce")))
    assert answer.status == 200


@pytest.mark.requirement("R-8-06", "R-9449-NS")
def test_c_47_a_nonce_on_success_replaces_the_one_held_without_a_challenge(http, issuer_server):
    with ResourceServer(issuer_server.issuer, http=http, nonce_period=patient(3.0)) as server:
        outlive_a_nonce(Peer(server, issuer_server.issuer, http=http, nonces=True).ready())


def outlive_a_nonce(peer):
    first, answers = peer.nonce, []

    def rotated():
        answers.append(peer.send(peer.fields()))
        return peer.nonce != first

    wait_until(rotated, "no new nonce")
    assert {answer.status for answer in answers} == {200}
    assert [answer.one("DPoP-Nonce") for answer in answers] == [None] * (len(answers) - 1) + [peer.nonce]
    assert answers[-1].one("Cache-Control") == "no-store"
    assert peer.send(peer.fields()).status == 200


def test_c_48_the_nonce_that_goes_into_a_proof_is_nqchar_only(peer):
    peer.ready()
    assert (NQCHAR.fullmatch(peer.nonce) is not None) if peer.nonces else peer.nonce is None


@pytest.mark.requirement("R-FAPI-09")
def test_c_49_every_answer_is_dated(peer):
    for answer, error in every_kind_of_answer(peer):
        assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", answer.one("Date") or ""), error


@pytest.mark.requirement("R-6750-03", "R-9110-02", "R-9-05")
def test_c_50_simple_parsers_find_the_scheme_and_the_error(peer):
    for answer, error in every_kind_of_answer(peer):
        if answer.status != 200:
            ((scheme, parameters),) = openid_challenges(answer.one("WWW-Authenticate"))
            assert (scheme, parameters.get("error")) == ("dpop", error)
