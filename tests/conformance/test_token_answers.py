"""Which condition gets which answer: the access token, its binding, and replay."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conformance.answers import assert_answer
from tests.conformance.peer import Colleague
from tests.conformance.rows import row

COPIES = 12


@pytest.mark.requirement("R-4.3-19", "R-6-01", "R-7.2-06", "R-9068-05")
@pytest.mark.parametrize(
    "token",
    [
        row(lambda peer: Colleague(peer).token, name="9 of another key"),
        row(lambda peer: peer.issuer.access_token(), name="10 of no key"),
        row(lambda _: "garbage", name="8 a word"),
        row(lambda _: "e30.e30.e30", name="8 three parts"),
        row(lambda _: "YWJj==", name="8 padded"),
    ],
)
def test_a_good_proof_does_not_save_a_bad_token(ready, token):
    assert_answer(ready.send(ready.fields(token=token(ready))), "ITK")


@pytest.mark.requirement("R-7-01")
def test_a_proof_for_one_token_does_not_go_with_another_of_the_same_client(ready):
    other = ready.issuer.access_token(ready.client, claims={"sub": "bob"})
    assert_answer(ready.send([("Authorization", f"DPoP {other}"), ("DPoP", ready.proof())]), "IDP")


@pytest.mark.requirement("R-11.1-04", "R-11.7-01")
def test_12_a_proof_is_good_once_whatever_the_body(ready):
    ready.method = "POST"
    fields = ready.fields()
    assert_answer(ready.send(fields, body=b"one"), "OK")
    assert_answer(ready.send(fields, body=b"another"), "IDP")


@pytest.mark.requirement("R-11.1-04")
def test_12_of_copies_sent_at_once_exactly_one_is_accepted(ready):
    fields = ready.fields()
    with ThreadPoolExecutor(COPIES) as pool:
        answers = list(pool.map(lambda _: ready.send(fields), range(COPIES)))
    assert sorted(answer.status for answer in answers) == [200] + [401] * (COPIES - 1)
