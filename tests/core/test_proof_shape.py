"""The value of a `DPoP` field: one compact JWS of strict base64url and strict JSON, no larger than allowed."""

import json

import pytest

from dpop_asgi import ProofPolicy, Reason
from dpop_asgi.core.encoding import b64url_encode, sha256_b64url
from dpop_asgi.testing import jwt
from tests.support.proofs import NOW, TOKEN, URI, judge, reason_against


@pytest.fixture
def proof(client):
    return client.proof("GET", URI, TOKEN)


@pytest.fixture
def claims():
    return {"jti": "one", "htm": "GET", "htu": URI, "iat": int(NOW), "ath": sha256_b64url(TOKEN)}


@pytest.fixture
def header(client):
    return {"typ": "dpop+jwt", "alg": "ES256", "jwk": client.key.public_jwk}


def test_a_correct_proof_passes(proof):
    assert judge(proof).claims["htu"] == URI


@pytest.mark.requirement("R-4.1-02")
def test_a_proof_in_capitals_is_another_value(proof):
    assert reason_against(proof.upper()) is Reason.PROOF_MALFORMED


@pytest.mark.requirement("R-4.1-03")
@pytest.mark.parametrize(
    "shape",
    [
        pytest.param("", id="empty"),
        pytest.param("{0} {0}", id="two-with-a-space"),
        pytest.param('"{0}"', id="quoted"),
        pytest.param("{0};x=1", id="parameter"),
        pytest.param("{0}\t", id="tab-behind"),
        pytest.param("\t{0}", id="tab-before"),
        pytest.param(" {0}", id="space-before"),
        pytest.param("{0}\n", id="line-feed"),
        pytest.param("{0}=", id="padding"),
        pytest.param("DPoP {0}", id="scheme"),
    ],
)
def test_only_the_jws_itself_is_a_header_value(proof, shape):
    assert reason_against(shape.format(proof)) is Reason.PROOF_MALFORMED


@pytest.mark.requirement("R-4.1-03", "R-4.3-01")
@pytest.mark.parametrize("joint", [pytest.param(",", id="comma"), pytest.param(", ", id="comma-space")])
def test_two_proofs_joined_by_a_proxy_are_two_proofs(client, proof, joint):
    assert reason_against(joint.join((proof, client.proof("GET", URI, TOKEN)))) is Reason.PROOF_REPEATED


@pytest.mark.requirement("R-4.1-04")
@pytest.mark.parametrize(
    "foreign",
    [
        pytest.param(b"\xe9", id="latin-1"),
        pytest.param("é".encode(), id="utf-8"),
        pytest.param(b"\x00", id="nul"),
        pytest.param(b"\x1f", id="control"),
        pytest.param(b"\x7f", id="delete"),
        pytest.param(b"\xff\xfe", id="no-utf-8"),
    ],
)
@pytest.mark.parametrize("place", [0, 40, -1], ids=["first", "middle", "last"])
def test_bytes_outside_the_alphabet_are_rejected(proof, foreign, place):
    raw = proof.encode()
    assert reason_against(raw[:place] + foreign + raw[place:]) is Reason.PROOF_MALFORMED


@pytest.mark.requirement("R-4.3-02", "H-04")
@pytest.mark.parametrize(
    "value",
    [
        pytest.param("this-is-not-a-jwt", id="a-word"),
        pytest.param("a.b", id="two-parts"),
        pytest.param("a.b.c", id="three-letters"),
        pytest.param("a.b.c.d", id="four-parts"),
        pytest.param("a.b.c.d.e", id="jwe"),
        pytest.param("..", id="nothing-but-dots"),
        pytest.param("eyJ9..eyJ9", id="no-payload"),
        pytest.param("Zm9v.Zm9v.Zm9v", id="no-json"),
        pytest.param("bnVsbA.bnVsbA.bnVsbA", id="null"),
        pytest.param("W10.W10.W10", id="lists"),
    ],
)
def test_what_is_no_compact_jws_of_json_objects_is_rejected(value):
    assert reason_against(value) is Reason.PROOF_MALFORMED


@pytest.mark.requirement("R-4.3-02")
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda parts: parts[:2], id="signature-dropped"),
        pytest.param(lambda parts: [*parts[:2], ""], id="signature-empty"),
        pytest.param(lambda parts: [parts[0] + "=", *parts[1:]], id="header-padded"),
        pytest.param(lambda parts: [parts[0], parts[1] + "==", parts[2]], id="payload-padded"),
        pytest.param(lambda parts: [*parts[:2], parts[2] + "="], id="signature-padded"),
        pytest.param(lambda parts: [*parts[:2], "+" + parts[2][1:]], id="plus"),
        pytest.param(lambda parts: [*parts[:2], "/" + parts[2][1:]], id="slash"),
        pytest.param(lambda parts: [*parts[:2], parts[2][:-1]], id="a-lone-character"),
        pytest.param(lambda parts: [parts[0], parts[1][:8] + "\r\n" + parts[1][8:], parts[2]], id="folded"),
    ],
)
def test_the_three_parts_are_strict_base64url(proof, change):
    assert reason_against(".".join(change(proof.split(".")))) is Reason.PROOF_MALFORMED


@pytest.mark.requirement("R-4.3-02")
def test_bits_that_belong_to_no_byte_are_rejected(proof):
    loose = proof[:-1] + {"A": "B", "Q": "R", "g": "h", "w": "x"}[proof[-1]]
    assert reason_against(loose) is Reason.PROOF_MALFORMED


@pytest.mark.requirement("R-4.3-02", "R-4.3-05", "H-05")
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda raw: b"\xef\xbb\xbf" + raw, id="byte-order-mark"),
        pytest.param(lambda raw: raw.replace(b'"one"', b'"\xff"'), id="not-utf-8"),
        pytest.param(lambda raw: b"[" + raw + b"]", id="list"),
        pytest.param(lambda raw: raw + b"{}", id="two-objects"),
        pytest.param(lambda raw: raw[:-1] + b',"iat":1}', id="name-twice"),
        pytest.param(lambda raw: raw[:-1] + b',"x":{"y":1,"y":2}}', id="name-twice-within"),
        pytest.param(lambda raw: raw[:-1] + b',"x":1e400}', id="not-finite"),
        pytest.param(lambda raw: raw[:-1] + b',"x":' + b"9" * 5000 + b"}", id="long-number"),
        pytest.param(lambda raw: raw[:-1] + b',"x":' + b"[" * 2000 + b"]" * 2000 + b"}", id="deep"),
        pytest.param(lambda _: b"", id="nothing"),
    ],
)
def test_a_payload_that_parsers_could_differ_about_is_rejected(client, header, claims, change):
    raw = change(json.dumps(claims).encode())
    assert reason_against(jwt(header, raw, client.key)) is Reason.PROOF_MALFORMED


@pytest.mark.requirement("R-4.2-11")
@pytest.mark.parametrize(
    "extra",
    [
        pytest.param('"alg":"none",', id="alg"),
        pytest.param('"typ":"jwt",', id="typ"),
        pytest.param('"jwk":{},', id="jwk"),
        pytest.param('"x":{"a":1,"a":1},', id="within"),
    ],
)
def test_a_name_that_is_duplicated_in_the_header_is_rejected(client, header, claims, extra):
    raw = ("{" + extra + json.dumps(header)[1:]).encode()
    assert reason_against(jwt(raw, claims, client.key)) is Reason.PROOF_MALFORMED


def test_a_proof_of_exactly_the_allowed_size_passes_and_one_byte_more_does_not(proof):
    judge(proof, policy=ProofPolicy(max_bytes=len(proof)))
    assert reason_against(proof, policy=ProofPolicy(max_bytes=len(proof) - 1)) is Reason.PROOF_TOO_LARGE


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param(b"a" * 65536, id="letters"),
        pytest.param(b"." * 65536, id="dots"),
        pytest.param(b"," * 65536, id="commas"),
        pytest.param(b64url_encode(b"[" * 49000).encode(), id="brackets"),
    ],
)
def test_a_huge_value_is_rejected_for_its_size(garbage):
    assert reason_against(garbage) is Reason.PROOF_TOO_LARGE


def test_a_deeply_nested_header_of_allowed_size_is_rejected(client, claims):
    raw = b'{"typ":' + b"[" * 2900 + b"]" * 2900 + b"}"
    assert reason_against(jwt(raw, claims, client.key)) is Reason.PROOF_MALFORMED
