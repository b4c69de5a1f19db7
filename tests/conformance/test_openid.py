"""The cases of the OpenID conformance suite that reach a resource server (FAPI 2.0 with DPoP).

As there, a call may be repeated once after an answer that asks for a nonce, "refuse" is 400 or 401,
and every answer on the way is judged.
"""

import time

import pytest

from dpop_asgi.core.encoding import b64url_encode
from dpop_asgi.core.private_key import PrivateKey
from dpop_asgi.testing import Client
from tests.conformance.hostile_proofs import CLAIMS, HEADERS, SHAPES
from tests.conformance.peer import unique
from tests.conformance.rows import row

ACCEPTED = {200, 201}
REFUSED = {400, 401}
HOUR = 3600


@pytest.mark.parametrize(
    "make",
    [
        row(
            lambda peer: [("Authorization", f"DPoP {peer.token}"), ("DPOP", peer.proof())],
            name="C-01 header in capitals",
            proves="R-4.1-01",
        ),
        row(
            lambda peer: peer.fields(header={"tx_id": int(time.time())}, claims={"tx_id_key": int(time.time())}),
            name="C-27 extras",
            proves="R-4.2-09",
        ),
    ],
)
def test_a_proof_with_a_harmless_difference_is_accepted(peer, make):
    assert peer.call(make).status in ACCEPTED


@pytest.mark.requirement("R-4.3-09")
@pytest.mark.parametrize(
    ("target", "tail"),
    [
        row(
            "/resource",
            "?allthedoorsonthisspaceshiphavebeen#programmedtohaveacheeryandsunnydisposition",
            name="C-18 query and fragment in htu",
        ),
        row("/resource?x=1&y=2", "", name="C-19 no query in htu"),
    ],
)
def test_query_and_fragment_do_not_count(peer, target, tail):
    assert peer.call(lambda peer: peer.fields(uri=peer.url + tail), target=target).status in ACCEPTED


@pytest.mark.requirement("R-4.3-10")
def test_c_28_upper_case_in_scheme_and_host_does_not_count(peer):
    host = f"localhost:{peer.server.port}"
    answer = peer.call(lambda peer: peer.fields(uri=f"HTTP://{host.upper()}/resource"), host=host)
    assert answer.status in ACCEPTED


@pytest.mark.requirement("R-4.3-10")
def test_c_29_a_default_port_does_not_count(peer):
    # The default port of http, which this server does not listen on: so the client must say that it called it.
    answer = peer.call(lambda peer: peer.fields(uri="http://localhost:80/resource"), host="localhost")
    assert answer.status in ACCEPTED


def hostile(name):
    """With a proof of the hostile tables."""
    return lambda peer: [("Authorization", f"DPoP {peer.token}"), ("DPoP", (SHAPES | HEADERS | CLAIMS)[name](peer))]


@pytest.mark.parametrize(
    "make",
    [
        row(lambda peer: [*peer.fields(), ("DPoP", peer.proof())], name="C-02 several proofs", proves="R-4.3-01"),
        row(hostile("three letters"), name="C-03 not a JWT", proves="R-4.3-02"),
        row(hostile("typ missing"), name="C-04 no typ"),
        row(hostile("alg missing"), name="C-05 no alg"),
        row(hostile("jwk missing"), name="C-06 no jwk"),
        row(hostile("jti missing"), name="C-07 no jti"),
        row(hostile("htm missing"), name="C-08 no htm"),
        row(hostile("htu missing"), name="C-09 no htu"),
        row(hostile("iat missing"), name="C-10 no iat"),
        row(lambda peer: peer.fields(without=["ath"]), name="C-11 no ath", proves="R-11.4-01"),
        row(lambda peer: peer.fields(header={"typ": "dpop+jwt+wrongyousee"}), name="C-12 bad typ"),
        row(hostile("unsigned"), name="C-14 none", proves="R-11.6-01"),
        row(hostile("signature of ones"), name="C-15 bad signature"),
        row(hostile("jwk whole"), name="C-16 private key"),
        row(lambda peer: peer.fields("PUT"), name="C-17 htm"),
        row(lambda peer: peer.fields(uri=peer.url + "ohnonotagain"), name="C-20 other URL", proves="R-4.3-12"),
        row(lambda peer: peer.fields(claims={"ath": b64url_encode(b"0" * 32)}), name="C-25 ath"),
        row(hostile("signature of another key"), name="C-26 different key"),
        row(lambda peer: peer.fields()[:1], name="C-30 no proof", proves="R-7.1-05"),
        row(lambda peer: [("Authorization", f"Bearer {peer.token}")], name="C-31 no proof, Bearer"),
    ],
)
def test_a_bad_proof_is_rejected_and_a_good_one_still_accepted(peer, make):
    assert peer.call(make).status in REFUSED
    assert peer.call().status in ACCEPTED


def test_c_13_rs256_is_rejected(peer):
    peer.client = Client("PS256")
    peer.token = peer.issuer.access_token(peer.client)
    with_rs256 = PrivateKey("RS256", peer.client.key._key)
    assert peer.call(lambda peer: peer.fields(header={"alg": "RS256"}, signed_by=with_rs256)).status in REFUSED
    assert peer.call().status in ACCEPTED


@pytest.mark.requirement("R-4.3-17", "R-11.1-09")
@pytest.mark.parametrize("offset", [row(HOUR, name="C-21 iat +1 h"), row(-HOUR, name="C-22 iat -1 h")])
def test_an_iat_an_hour_off_is_rejected_before_any_nonce_is_asked_for(ready, offset):
    # The suite drops its nonce first, and had the first answer asked for one, it would want the retry accepted.
    ready.nonce = None
    before = ready.call(lambda peer: peer.fields(claims={"iat": int(time.time()) + offset}))
    assert before.status in (REFUSED if ready.nonce is None else ACCEPTED)
    assert ready.nonce is None, "asked for a nonce before iat was looked at"


@pytest.mark.requirement("R-11.1-04")
def test_c_23_and_c_24_a_jti_is_good_once(peer):
    jti = unique(15)
    assert peer.call(lambda peer: peer.fields(claims={"jti": jti})).status in ACCEPTED
    assert peer.call(lambda peer: peer.fields(claims={"jti": jti})).status in REFUSED


def test_c_32_a_correct_proof_is_accepted_and_so_is_the_next(peer):
    assert peer.call().status in ACCEPTED
    assert peer.call().status in ACCEPTED
