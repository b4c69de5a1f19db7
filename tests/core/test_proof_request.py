"""A proof is for one method, one URI and one access token."""

import pytest

from dpop_asgi import InvalidProof, Reason
from dpop_asgi.core.encoding import b64url_decode, sha256_b64url
from tests.support.proofs import TOKEN, URI, judge, reason_against

OTHER_TOKEN = "another-token-of-the-same-client"


@pytest.mark.requirement("R-4.3-08")
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "QUERY", "get", "PROPFIND"])
def test_a_proof_for_another_method_is_rejected(client, method):
    judge(client.proof(method, URI, TOKEN), method=method)
    for htm in (method.swapcase(), "PUT"):
        assert reason_against(client.proof(htm, URI, TOKEN), method=method) is Reason.METHOD_MISMATCH


@pytest.mark.requirement("R-4.3-09")
@pytest.mark.parametrize("addition", ["?", "#", "#f?a", "?/../x", "?é \n"], ids=ascii)
def test_query_and_fragment_of_htu_do_not_count(client, addition):
    judge(client.proof("GET", URI + addition, TOKEN))


@pytest.mark.requirement("R-4.3-11", "R-4.3-12", "R-4.3-15")
@pytest.mark.parametrize("htu", [URI[:-1], "https://wrong.example/orders", URI.replace("https", "http"), "/orders"])
def test_a_proof_for_another_resource_is_rejected(client, htu):
    assert reason_against(client.proof("GET", htu, TOKEN)) is Reason.TARGET_MISMATCH


@pytest.mark.requirement("R-4.3-15", "R-4.3-16")
def test_only_for_a_websocket_handshake_wss_counts_as_https(client):
    proof = client.proof("GET", URI.replace("https", "wss"), TOKEN)
    judge(proof, websocket=True)
    assert reason_against(proof) is Reason.TARGET_MISMATCH


def test_what_was_expected_and_received_is_reported_without_the_query(client):
    with pytest.raises(InvalidProof) as refused:
        judge(client.proof("GET", "https://api.example.com/other?secret=1#2", TOKEN))
    assert refused.value.facts == {"expected": URI, "received": "https://api.example.com/other"}


@pytest.mark.requirement("R-4.3-18", "R-7-01")
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda ath: ath[:-1], id="shortened"),
        pytest.param(str.swapcase, id="other-case"),
        pytest.param(lambda ath: f" {ath}", id="space"),
        pytest.param(lambda ath: b64url_decode(ath.encode()).hex(), id="hex"),
    ],
)
def test_a_proof_with_another_token_hash_is_rejected(client, change):
    claims = {"ath": change(sha256_b64url(TOKEN))}
    assert reason_against(client.proof("GET", URI, TOKEN, claims=claims)) is Reason.TOKEN_HASH_MISMATCH


@pytest.mark.requirement("R-7-01")
def test_a_proof_made_for_one_token_does_not_carry_another_of_the_same_key(client):
    proof = client.proof("GET", URI, TOKEN)
    judge(proof)
    assert reason_against(proof, token_hash=sha256_b64url(OTHER_TOKEN)) is Reason.TOKEN_HASH_MISMATCH
