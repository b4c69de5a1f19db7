"""Which condition gets which answer: the access token, its binding, and replay."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from dpop_asgi.core.encoding import b64url_encode
from dpop_asgi.core.private_key import PrivateKey
from dpop_asgi.testing import Client
from tests.conformance.answers import assert_answer
from tests.conformance.peer import Colleague, unique
from tests.conformance.rows import row

COPIES = 12


@pytest.mark.requirement("R-7.1-13")
@pytest.mark.parametrize(
    "changes",
    [
        row({"signed_by": PrivateKey.generate()}, name="8 another signature", proves="R-9068-02"),
        row({"claims": {"iss": "https://evil.example"}}, name="8 another issuer", proves="R-9068-02"),
        row({"header": {"kid": "unknown"}}, name="8 an unknown key", proves="R-9068-02"),
        row({"header": {"alg": "none"}}, name="8 alg none", proves="R-9068-02"),
        row({"header": {"alg": "HS256"}}, name="8 alg HS256", proves="R-9068-02"),
        row({"header": {"typ": "JWT"}}, name="8 another typ", proves="R-9068-01"),
        row({"header": {"typ": "dpop+jwt"}}, name="8 a proof as token", proves="R-9068-01"),
        row({"without": ["typ"]}, name="8 no typ", proves="R-9068-01"),
        row({"claims": {"aud": "https://other.example"}}, name="8 another audience", proves="R-9068-03 R-MCP-07"),
        row({"without": ["aud"]}, name="8 no audience", proves="R-9068-03"),
        row({"claims": {"exp": int(time.time()) - 60}}, name="8 expired", proves="R-9068-04 R-9068-05"),
        row({"claims": {"nbf": int(time.time()) + 3600}}, name="8 not yet valid", proves="R-9068-04"),
        row({"without": ["cnf"]}, name="10 no binding", proves="R-7.2-06 R-6-01"),
        row({"claims": {"cnf": {}}}, name="10 an empty binding", proves="R-6-01"),
        row({"claims": {"cnf": "x"}}, name="10 a binding that is no object", proves="R-6-01"),
        row({"claims": {"cnf": {"jkt": 5}}}, name="10 a thumbprint that is no string", proves="R-6-01"),
        row({"claims": {"cnf": {"jkt": ""}}}, name="10 an empty thumbprint", proves="R-6-01"),
        row({"claims": {"cnf": {"jkt#S512": "x" * 43}}}, name="10 another hash", proves="R-11.10-01"),
        row({"claims": {"cnf": {"jkt": Client().thumbprint}}}, name="9 another key", proves="R-4.3-19"),
    ],
)
def test_a_good_proof_does_not_save_a_bad_token(ready, changes):
    token = ready.issuer.access_token(ready.client, **changes)
    assert_answer(ready.send(ready.fields(token=token)), "ITK")


@pytest.mark.requirement("R-9068-05")
@pytest.mark.parametrize("token", ["garbage", "a.b.c", "e30.e30.e30", "~~~.~~~.~~~", "YWJj=="])
def test_a_token_that_is_no_jwt_is_rejected_as_a_token(ready, token):
    assert_answer(ready.send(ready.fields(token=token)), "ITK")


@pytest.mark.requirement("R-6.1-01")
def test_a_thumbprint_as_urn_is_no_binding(ready):
    urn = f"urn:ietf:params:oauth:jwk-thumbprint:sha-256:{ready.client.thumbprint}"
    token = ready.issuer.access_token(ready.client, claims={"cnf": {"jkt": urn}})
    assert_answer(ready.send(ready.fields(token=token)), "ITK")


@pytest.mark.requirement("R-7800-01")
def test_what_stands_beside_the_thumbprint_is_ignored(ready):
    confirmation = {"jkt": ready.client.thumbprint, "kc-jkt-type": "x"}
    token = ready.issuer.access_token(ready.client, claims={"cnf": confirmation})
    assert_answer(ready.send(ready.fields(token=token)), "OK")


@pytest.mark.requirement("R-9068-01", "R-9068-03")
@pytest.mark.parametrize("typ", ["at+JWT", "AT+JWT", "application/at+jwt"])
def test_other_spellings_of_the_token_type_and_a_list_of_audiences_are_accepted(ready, typ):
    audiences = ["https://other.example", ready.issuer.audience]
    token = ready.issuer.access_token(ready.client, header={"typ": typ}, claims={"aud": audiences})
    assert_answer(ready.send(ready.fields(token=token)), "OK")


@pytest.mark.requirement("R-7-01")
def test_a_proof_for_one_token_does_not_go_with_another_of_the_same_client(ready):
    other = ready.issuer.access_token(ready.client, claims={"sub": "bob"})
    assert_answer(ready.send([("Authorization", f"DPoP {other}"), ("DPoP", ready.proof())]), "IDP")


@pytest.mark.requirement("R-7.2-08", "R-MCP-04")
@pytest.mark.parametrize(
    ("bound", "with_proof"),
    [
        row(True, True, name="11 bound with proof"),
        row(True, False, name="11 bound"),
        row(False, True, name="11 unbound with proof"),
        row(False, False, name="11 unbound"),
    ],
)
def test_bearer_is_rejected_whatever_the_token(ready, bound, with_proof):
    token = ready.issuer.access_token(ready.client if bound else None)
    proofs = [("DPoP", ready.proof(token=token))] if with_proof else []
    assert_answer(ready.send([("Authorization", f"Bearer {token}"), *proofs]), "ITK")


@pytest.mark.requirement("R-11.1-04", "R-11.7-01")
def test_12_a_proof_is_good_once_whatever_the_body(ready):
    ready.method = "POST"
    fields = ready.fields()
    assert_answer(ready.send(fields, body=b"one"), "OK")
    assert_answer(ready.send(fields, body=b"another"), "IDP")


@pytest.mark.requirement("R-11.1-04")
def test_12_a_jti_is_good_once_in_another_proof_too(ready):
    jti = {"jti": unique()}
    assert_answer(ready.send(ready.fields(claims=jti)), "OK")
    assert_answer(ready.send(ready.fields(claims={**jti, "iat": int(time.time()) - 5})), "IDP")


@pytest.mark.requirement("R-11.1-04")
def test_12_of_copies_sent_at_once_exactly_one_is_accepted(ready):
    fields = ready.fields()
    with ThreadPoolExecutor(COPIES) as pool:
        answers = list(pool.map(lambda _: ready.send(fields), range(COPIES)))
    assert sorted(answer.status for answer in answers) == [200] + [401] * (COPIES - 1)


@pytest.mark.requirement("R-11.1-05")
def test_a_jti_is_used_for_one_uri_and_one_key_only(ready):
    jti = {"jti": unique()}
    colleague = Colleague(ready)
    assert_answer(ready.send(ready.fields(claims=jti)), "OK")
    assert_answer(colleague.send(colleague.fields(claims=jti)), "OK")
    ready.path = "/v2/resource"
    assert_answer(ready.send(ready.fields(claims=jti)), "OK")


@pytest.mark.requirement("R-11.1-08")
def test_a_rejected_proof_does_not_spend_its_jti(ready):
    jti = {"jti": unique()}
    assert_answer(ready.send(ready.fields(claims={**jti, "ath": b64url_encode(b"0" * 32)})), "IDP")
    assert_answer(ready.send(ready.fields(claims=jti, signed_by=PrivateKey.generate())), "IDP")
    assert_answer(ready.send(ready.fields(claims=jti)), "OK")


@pytest.mark.requirement("R-11.1-07")
@pytest.mark.parametrize("length", [1, 36, 256, 1000, 4000])
def test_a_jti_of_any_length_within_the_proof_is_accepted(ready, length):
    assert_answer(ready.send(ready.fields(claims={"jti": unique(length)})), "OK")
