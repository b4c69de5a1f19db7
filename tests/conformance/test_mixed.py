"""Living together with Bearer: a server in mixed mode that also demands nonces. Each case is in asgi/test_matrix."""

import pytest

from tests.conformance.answers import assert_answer
from tests.conformance.judge import challenges, errors
from tests.conformance.rows import row


def bearer(token, *proofs):
    return [("Authorization", f"Bearer {token}"), *(("DPoP", proof) for proof in proofs)]


def unbound(peer):
    return peer.issuer.access_token()


@pytest.mark.parametrize(
    ("make", "code"),
    [
        row(lambda _: [], "CHL", name="1 nothing", proves="R-7.2-03"),
        row(lambda peer: [*bearer(peer.token), *peer.fields()], "IRQ", name="2 Bearer and DPoP", proves="R-7.2-05"),
        row(lambda peer: bearer(peer.token), "ITB", name="11 bound as Bearer", proves="R-7.2-02 R-MCP-04"),
        row(lambda _: bearer("INVALID"), "ITB", name="J an invalid Bearer token", proves="R-7.2-04"),
        row(lambda peer: peer.fields(token="INVALID"), "ITK", name="J an invalid DPoP token", proves="R-7.2-04"),
        row(
            lambda peer: bearer(unbound(peer), peer.proof()),
            "OK",
            name="J unbound as Bearer, a stray proof",
            proves="R-7.2-07",
        ),
        row(lambda peer: peer.fields(nonce=None), "UDN", name="7 no nonce", proves="R-9-05"),
        row(lambda peer: peer.fields(), "OK", name="a good request"),
    ],
)
@pytest.mark.requirement("R-9110-03")
def test_mixed_mode_answers_with_the_challenge_of_the_scheme_used(mixed, make, code):
    assert_answer(mixed.send(make(mixed)), code, mixed=True)


@pytest.mark.requirement("R-6750-05")
def test_a_bearer_challenge_names_the_realm_and_no_error_without_credentials(mixed):
    answer = mixed.send([])
    assert errors(answer) == [None, None]
    assert challenges(answer)[1].parameters["realm"] == "api"


def test_bearer_and_dpop_callers_are_told_apart(mixed):
    assert b'"jkt":null' in mixed.send(bearer(unbound(mixed))).body
    assert mixed.client.thumbprint.encode() in mixed.send(mixed.fields()).body
