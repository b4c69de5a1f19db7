"""Hostile and unusual bytes, through the whole middleware: an answer, never an exception."""

import base64
import hashlib
import hmac
import json

import pytest

from dpop_asgi.testing import Client, jwt
from tests.support.api import PUBLIC_URL, call, http_scope
from tests.support.challenges import checked_challenges
from tests.support.keys import rsa_key

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


async def _proof_request(api, proof):
    headers = [("host", "rs.example"), ("authorization", f"DPoP {api.token}"), ("dpop", proof)]
    return await call(api.app, http_scope(headers=headers))


def _is_invalid_proof(answer):
    [challenge] = checked_challenges(answer.headers)
    return (answer.status, challenge.parameters.get("error")) == (401, "invalid_dpop_proof")


@pytest.mark.requirement("H-01", "R-4.2-08")
@pytest.mark.parametrize("bits", [2048, 3072, 4096])
async def test_proofs_with_rsa_keys_are_not_too_long(make_api, issuer, clock, bits):
    client = Client(clock=clock, key=rsa_key(bits))
    assert (await make_api().request(client=client, token=issuer.access_token(client))).status == 200


@pytest.mark.requirement("H-02", "R-4.2-09")
async def test_header_parameters_and_claims_that_nobody_knows_are_ignored(api):
    assert (await api.request(header={"tx_id": 1}, claims={"tx_id_key": 1, "content_digest": "x"})).status == 200


class _Mac:
    """An attacker who signs with the public key as a shared secret."""

    def __init__(self, secret):
        self._secret = secret

    def sign(self, message):
        return hmac.digest(self._secret, message, hashlib.sha256)


@pytest.mark.requirement("H-03", "R-4.2-02")
async def test_hmac_is_never_accepted(api, client):
    public = json.dumps(client.key.public_jwk).encode()
    proof = client.proof("GET", f"{PUBLIC_URL}/r", api.token, header={"alg": "HS256"}, signed_by=_Mac(public))
    assert _is_invalid_proof(await _proof_request(api, proof))


@pytest.mark.requirement("H-04", "R-4.2-07")
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"y": "A" * 43}, id="off-the-curve"),
        pytest.param({"x": "AA"}, id="short"),
        pytest.param({"x": "!"}, id="not-base64url"),
        pytest.param({"x": None}, id="null"),
        pytest.param({"crv": "P-999"}, id="unknown-curve"),
        pytest.param({"kty": "RSA", "n": "AQAB", "e": "AQAB"}, id="tiny-rsa"),
        pytest.param({"kty": {}}, id="type-is-an-object"),
        pytest.param({"x": "\ud800"}, id="surrogate"),
    ],
)
async def test_a_key_that_cannot_be_imported_is_a_rejection(api, client, changes):
    assert _is_invalid_proof(await api.request(header={"jwk": {**client.key.public_jwk, **changes}}))


@pytest.mark.requirement("H-05", "R-4.3-05", "R-4.2-11")
@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b'{"iat":NaN}', id="nan"),
        pytest.param(b'{"iat":Infinity}', id="infinity"),
        pytest.param(b'{"iat":1e999}', id="too-large"),
        pytest.param(b'{"iat":' + b"9" * 5000 + b"}", id="5000-digits"),
        pytest.param(b'{"iat":1,"iat":2}', id="a-name-twice"),
        pytest.param(b'{"a":' * 1000 + b"1" + b"}" * 1000, id="nested-deeply"),
        pytest.param(b"[]", id="list"),
        pytest.param(b"\xff", id="not-utf-8"),
        pytest.param('{"a":1}'.encode("utf-16"), id="utf-16"),
        pytest.param(b"\xef\xbb\xbf{}", id="byte-order-mark"),
    ],
)
async def test_json_that_parsers_disagree_about_is_a_rejection(api, client, payload):
    header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": client.key.public_jwk}
    assert _is_invalid_proof(await _proof_request(api, jwt(header, payload, client.key)))


@pytest.mark.requirement("H-07", "R-11.1-04")
async def test_a_proof_with_its_signature_turned_over_is_the_same_proof(api):
    proof = (await api.fields())["DPoP"]
    signed, _, signature = proof.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    other_s = P256_ORDER - int.from_bytes(raw[32:], "big")
    twin = base64.urlsafe_b64encode(raw[:32] + other_s.to_bytes(32, "big")).rstrip(b"=").decode()
    assert (await _proof_request(api, f"{signed}.{twin}")).status == 200
    assert _is_invalid_proof(await _proof_request(api, proof))


@pytest.mark.requirement("H-09", "R-4.3-01")
@pytest.mark.parametrize("first", [True, False], ids=["in-front", "behind"])
@pytest.mark.parametrize("value", ["", "junk", "a.b.c"], ids=repr)
async def test_a_second_proof_is_seen_wherever_it_stands(api, value, first):
    sent = await api.fields()
    second = [("dpop", value)]
    headers = [*second, *sent.items()] if first else [*sent.items(), *second]
    assert _is_invalid_proof(await call(api.app, http_scope(headers=headers)))


@pytest.mark.requirement("H-09", "R-7.2-01")
async def test_a_second_token_is_seen_though_it_is_the_same(api):
    sent = await api.fields()
    answer = await call(api.app, http_scope(headers=[*sent.items(), ("authorization", f"DPoP {api.token}")]))
    assert answer.status == 400


@pytest.mark.requirement("R-4.1-04", "R-4.1-03")
@pytest.mark.parametrize("byte", [b"\x00", b"\x1f", b"\x7f", b"\xe9", b"\xff", "é€".encode(), b"\r\n x: y"], ids=repr)
async def test_bytes_outside_a_token_are_survived(api, byte):
    proof = (await api.fields())["DPoP"].encode()
    headers = [(b"authorization", f"DPoP {api.token}".encode()), (b"dpop", proof + byte)]
    scope = http_scope()
    assert _is_invalid_proof(await call(api.app, {**scope, "headers": headers}))
    headers = [(b"authorization", b"DPoP " + byte), (b"dpop", proof)]
    assert (await call(api.app, {**scope, "headers": headers})).status == 400


@pytest.mark.requirement("R-8725-01")
async def test_addresses_in_a_proof_are_left_alone(api):
    lures = dict.fromkeys(("jku", "x5u", "kid"), "https://evil.example/keys")
    assert (await api.request(header={**lures, "x5c": ["x"]})).status == 200


@pytest.mark.parametrize("kind", [tuple, list])
async def test_header_headers_come_in_any_kind_of_sequence(api, kind):
    scope = http_scope(headers=(await api.fields()).items())
    scope["headers"] = kind(scope["headers"])
    assert (await call(api.app, scope)).status == 200
