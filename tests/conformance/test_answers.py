"""Which condition gets which answer: the proof and the request around it.

The client holds a good nonce where the server wants one, so each refusal is about the defect alone.
"""

import pytest

from tests.conformance.answers import assert_answer
from tests.conformance.rows import row


def authorization(value):
    return lambda peer: [("Authorization", value.replace("TOKEN", peer.token)), ("DPoP", peer.proof())]


def dpop(change):
    return lambda peer: [("Authorization", f"DPoP {peer.token}"), ("DPoP", change(peer.proof()))]


@pytest.mark.requirement("R-I-01")
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
        row(lambda peer: [*peer.fields(), peer.fields()[1]], "IDP", name="5 two proofs", proves="R-4.3-01"),
        row(dpop(lambda proof: f"{proof},{proof}"), "IDP", name="5 joined by a proxy", proves="R-4.3-01"),
        row(dpop(lambda _: ""), "IDP", name="6 an empty field", proves="R-4.1-03"),
        row(dpop(lambda proof: proof.replace(".", ".\t", 1)), "IDP", name="6 a tab inside", proves="R-4.1-03"),
        row(dpop(lambda proof: f"{proof}\xe9"), "IDP", name="6 not ASCII", proves="R-4.1-04"),
        row(lambda peer: peer.fields(without=["ath"]), "IDP", name="6 no ath", proves="R-4.3-03"),
        row(
            lambda peer: peer.fields(claims={"content_digest": "sha-256=:x:", "aud": "x", "iss": "y"}),
            "OK",
            name="6 claims of other drafts",
            proves="R-4.3-07 R-MCP-11",
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
