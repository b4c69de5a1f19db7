"""A proof is for one method, one URI and one access token."""

import hashlib

import pytest

from dpop_asgi import InvalidProof, Reason
from dpop_asgi.core.encoding import b64url_encode, sha256_b64url
from tests.support.proofs import TOKEN, URI, judge, reason_against

OTHER_TOKEN = "another-token-of-the-same-client"


@pytest.mark.requirement("R-4.3-08")
@pytest.mark.parametrize(
    ("method", "htm"),
    [
        pytest.param("HEAD", "GET", id="head-with-get"),
        pytest.param("get", "GET", id="request-in-lower-case"),
        pytest.param("QUERY", "query", id="custom"),
    ],
)
def test_a_proof_for_another_method_is_rejected(client, method, htm):
    assert reason_against(client.proof(htm, URI, TOKEN), method=method) is Reason.METHOD_MISMATCH


@pytest.mark.requirement("R-4.3-08")
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "QUERY", "get", "PROPFIND"])
def test_every_method_is_compared_as_it_is(client, method):
    judge(client.proof(method, URI, TOKEN), method=method)


@pytest.mark.requirement("R-4.3-09")
@pytest.mark.parametrize(
    "addition",
    [
        pytest.param("?", id="empty-query"),
        pytest.param("#", id="empty-fragment"),
        pytest.param("#f?a", id="question-mark-in-fragment"),
        pytest.param("?/../x", id="path-in-query"),
        pytest.param("?é \n", id="anything-in-query"),
    ],
)
def test_query_and_fragment_of_htu_do_not_count(client, addition):
    judge(client.proof("GET", URI + addition, TOKEN))


@pytest.mark.requirement("R-4.3-11", "R-4.3-12", "R-4.3-15")
@pytest.mark.parametrize(
    "htu",
    [
        pytest.param(URI + "ohnonotagain", id="longer"),
        pytest.param(URI[:-1], id="shorter"),
        pytest.param("https://wrong.example.com/orders", id="other-host"),
        pytest.param("https://api.example.com/other", id="other-path"),
        pytest.param("http://api.example.com/orders", id="plain-http"),
        pytest.param("wss://api.example.com/orders", id="wss"),
    ],
)
def test_a_proof_for_another_resource_is_rejected(client, htu):
    assert reason_against(client.proof("GET", htu, TOKEN)) is Reason.TARGET_MISMATCH


@pytest.mark.requirement("R-4.3-16")
@pytest.mark.parametrize(
    ("htu", "target"),
    [
        pytest.param("wss://api.example.com/ws", "https://api.example.com/ws", id="wss"),
        pytest.param("https://api.example.com/ws", "https://api.example.com/ws", id="https"),
        pytest.param("WSS://API.example.com:443/ws", "https://api.example.com/ws", id="wss-default-port"),
        pytest.param("ws://localhost:8000/ws", "http://localhost:8000/ws", id="ws"),
        pytest.param("ws://localhost:80/ws", "http://localhost/ws", id="ws-default-port"),
    ],
)
def test_for_a_websocket_handshake_wss_counts_as_https(client, htu, target):
    judge(client.proof("GET", htu, TOKEN), target_uri=target, websocket=True)


@pytest.mark.requirement("R-4.3-16", "R-4.3-15")
def test_for_a_websocket_handshake_ws_does_not_count_as_https(client):
    proof = client.proof("GET", "ws://api.example.com/orders", TOKEN)
    assert reason_against(proof, websocket=True) is Reason.TARGET_MISMATCH


def test_what_was_expected_and_received_is_reported_without_the_query(client):
    with pytest.raises(InvalidProof) as refused:
        judge(client.proof("GET", "https://api.example.com/other?secret=1#2", TOKEN))
    assert refused.value.facts == {"expected": URI, "received": "https://api.example.com/other"}


@pytest.mark.requirement("R-4.3-18", "R-7-01")
@pytest.mark.parametrize(
    "ath",
    [
        pytest.param(sha256_b64url("random1234"), id="hash-of-something"),
        pytest.param(sha256_b64url(OTHER_TOKEN), id="hash-of-another-token"),
        pytest.param(sha256_b64url(TOKEN)[:-1], id="shortened"),
        pytest.param(sha256_b64url(TOKEN).swapcase(), id="other-case"),
        pytest.param(" " + sha256_b64url(TOKEN), id="space"),
        pytest.param("", id="empty"),
        pytest.param(b64url_encode(hashlib.sha512(TOKEN.encode()).digest()), id="sha-512"),
        pytest.param(TOKEN, id="the-token-itself"),
        pytest.param("ünïcode", id="not-ascii"),
    ],
)
def test_a_proof_with_another_token_hash_is_rejected(client, ath):
    assert reason_against(client.proof("GET", URI, TOKEN, claims={"ath": ath})) is Reason.TOKEN_HASH_MISMATCH


@pytest.mark.requirement("R-7-01")
def test_a_proof_made_for_one_token_does_not_carry_another_of_the_same_key(client):
    proof = client.proof("GET", URI, TOKEN)
    judge(proof)
    assert reason_against(proof, token_hash=sha256_b64url(OTHER_TOKEN)) is Reason.TOKEN_HASH_MISMATCH
