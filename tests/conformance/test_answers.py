"""Which condition gets which answer: the proof, the request around it, and the access token.

The client holds a good nonce where the server wants one, so each refusal is about the defect alone. The cases of
the OpenID conformance suite (FAPI 2.0 with DPoP) that reach a resource server are rows of the tables of this folder
and of core/; what the suite reads out of every answer is asked by the judge.
"""

from concurrent.futures import ThreadPoolExecutor

import pytest

from dpop_asgi.testing import Client
from tests.conformance.judge import assert_answer
from tests.conformance.rows import row

COPIES = 12


def authorization(value):
    return lambda peer: [("Authorization", value.replace("TOKEN", peer.token)), ("DPoP", peer.proof())]


def dpop(change):
    return lambda peer: [("Authorization", f"DPoP {peer.token}"), ("DPoP", change(peer.proof()))]


@pytest.mark.requirement("R-I-01", "R-FAPI-09", "R-8-03", "R-8-04", "R-9-01", "R-9110-01", "R-9110-02", "R-6750-03")
@pytest.mark.parametrize(
    ("make", "code"),
    [
        row(lambda _: [], "CHL", name="1 nothing", proves="R-7.1-07 R-6750-06"),
        row(lambda peer: [("DPoP", peer.proof(without=["ath"]))], "CHL", name="1 a proof alone", proves="R-7.1-06"),
        row(
            lambda peer: [("Proxy-Authorization", f"DPoP {peer.token}"), ("DPoP", peer.proof())],
            "CHL",
            name="1 credentials for a proxy",
            proves="R-7.1-04",
        ),
        row(
            lambda peer: [("Authorization", f"Bearer {peer.token}"), *peer.fields()],
            "IRQ",
            name="2 Bearer and DPoP",
            proves="R-7.2-01",
        ),
        row(lambda peer: [*peer.fields(), peer.fields()[0]], "IRQ", name="2 the same twice", proves="R-7.2-01"),
        row(authorization("DPoP TOKEN, Bearer TOKEN"), "IRQ", name="2 two in one line", proves="R-7.2-01"),
        row(authorization("DPoP"), "IRQ", name="3 no token", proves="R-7.1-03"),
        row(authorization("DPoP caf\xe9"), "IRQ", name="3 not ASCII", proves="R-7.1-03"),
        row(authorization("DPoP\tTOKEN"), "IRQ", name="3 a tab", proves="R-7.1-02"),
        row(authorization("DPoP   TOKEN"), "OK", name="3 three spaces", proves="R-7.1-02"),
        row(authorization("dpop TOKEN"), "OK", name="3 scheme in small letters", proves="R-7.1-01"),
        row(lambda peer: peer.fields()[:1], "IDP", name="4 no proof", proves="R-7.1-05"),
        *(
            row(lambda peer, name=name: [peer.fields()[0], (name, peer.proof())], "IDP", name=f"4 {name} is no proof")
            for name in ("X-DPoP", "DPoP-Proof")
        ),
        row(lambda peer: [*peer.fields(), peer.fields()[1]], "IDP", name="5 two proofs", proves="R-4.3-01"),
        row(dpop(lambda proof: f"{proof},{proof}"), "IDP", name="5 joined by a proxy", proves="R-4.3-01"),
        row(dpop(lambda _: ""), "IDP", name="6 an empty field", proves="R-4.1-03"),
        row(dpop(lambda proof: proof.replace(".", ".\t", 1)), "IDP", name="6 a tab inside", proves="R-4.1-03"),
        row(dpop(lambda proof: f"{proof}\xe9"), "IDP", name="6 not ASCII", proves="R-4.1-04"),
        row(lambda peer: peer.fields(without=["ath"]), "IDP", name="6 no ath", proves="R-4.3-03 R-11.4-01"),
        row(
            lambda peer: peer.fields(
                header={"tx_id": 1},
                claims={"content_digest": "sha-256=:x:", "aud": "x", "iss": "y", "nbf": 0, "exp": 4_102_444_800},
            ),
            "OK",
            name="6 extras",
            proves="R-4.3-06 R-4.3-07 R-MCP-11 R-4.2-09",
        ),
        row(
            lambda peer: peer.fields(token=peer.issuer.access_token(Client())),
            "ITK",
            name="9 a token of another key",
            proves="R-4.3-19 R-7.2-06 R-9068-05",
        ),
        row(lambda peer: peer.fields(token=peer.issuer.access_token()), "ITK", name="10 of no key", proves="R-6-01"),
        row(
            lambda peer: [
                ("Authorization", f"DPoP {peer.issuer.access_token(peer.client, claims={'sub': 'bob'})}"),
                ("DPoP", peer.proof()),
            ],
            "IDP",
            name="9 a proof for another token",
            proves="R-7-01",
        ),
        row(
            lambda peer: [("Authorization", f"Bearer {peer.issuer.access_token()}")],
            "ITK",
            name="11 unbound as Bearer",
            proves="R-FAPI-05 R-7.2-08",
        ),
        row(authorization("Basic YWxpY2U6cGFzc3dvcmQ="), "CHL", name="15 Basic", proves="R-6750-06"),
        row(authorization("Unheard-Of TOKEN"), "CHL", name="15 an unknown scheme", proves="R-6750-06"),
        row(dpop(lambda proof: f"{proof}{'A' * 9000}"), "IDP", name="16 a proof of 9 KB", proves="R-4.1-04"),
        row(authorization(f"DPoP {'a' * 20_000}"), "IRQ", name="16 a token of 20 KB"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_condition_gets_its_answer(ready, make, code, method):
    ready.method = method
    answer = ready.send(make(ready))
    assert_answer(answer, code)
    assert bool(answer.body) == (method == "GET")


# Living together with Bearer: a server in mixed mode. Each case is in asgi/test_matrix.


def bearer(token, *proofs):
    return [("Authorization", f"Bearer {token}"), *(("DPoP", proof) for proof in proofs)]


@pytest.mark.parametrize(
    ("make", "code"),
    [
        row(lambda _: [], "CHL", name="1 nothing", proves="R-7.2-03"),
        row(lambda peer: [*bearer(peer.token), *peer.fields()], "IRQ", name="2 Bearer and DPoP", proves="R-7.2-05"),
        row(lambda peer: bearer(peer.token), "ITB", name="11 bound as Bearer", proves="R-7.2-02 R-MCP-04"),
        row(lambda _: bearer("INVALID"), "ITB", name="J an invalid Bearer token", proves="R-7.2-04"),
        row(lambda peer: peer.fields(token="INVALID"), "ITK", name="J an invalid DPoP token", proves="R-7.2-04"),
        row(
            lambda peer: bearer(peer.issuer.access_token(), peer.proof()),
            "OK",
            name="J unbound as Bearer, a stray proof",
            proves="R-7.2-07",
        ),
    ],
)
@pytest.mark.requirement("R-9110-03")
def test_mixed_mode_answers_with_the_challenge_of_the_scheme_used(mixed, make, code):
    assert_answer(mixed.send(make(mixed)), code, mixed=True)


def test_bearer_and_dpop_callers_are_told_apart(mixed):
    assert b'"jkt":null' in mixed.send(bearer(mixed.issuer.access_token())).body
    assert mixed.client.thumbprint.encode() in mixed.send(mixed.fields()).body


@pytest.mark.requirement("R-11.1-04", "R-11.7-01")
def test_12_of_copies_sent_at_once_exactly_one_is_accepted_whatever_the_body(ready):
    ready.method = "POST"
    fields = ready.fields()
    with ThreadPoolExecutor(COPIES) as pool:
        answers = list(pool.map(lambda number: ready.send(fields, body=b"%d" % number), range(COPIES)))
    assert sorted(answer.status for answer in answers) == [200] + [401] * (COPIES - 1)
