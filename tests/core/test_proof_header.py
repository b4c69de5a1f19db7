"""`typ`, `alg`, `crit` and what else a proof's header may hold."""

import hashlib
import hmac
import json

import pytest

from dpop_asgi import ProofPolicy, Reason
from dpop_asgi.testing import Client
from tests.support.proofs import TOKEN, URI, judge, reason_against


class SharedSecret:
    """Signs by HMAC, as an attacker does who takes a public key for a secret."""

    def __init__(self, secret: bytes, digest: str) -> None:
        self._secret = secret
        self._digest = digest

    def sign(self, message: bytes) -> bytes:
        return hmac.new(self._secret, message, getattr(hashlib, self._digest)).digest()


@pytest.mark.requirement("R-4.2-01")
@pytest.mark.parametrize(
    "typ",
    [
        pytest.param("jwt", id="jwt"),
        pytest.param("JWT", id="jwt-in-capitals"),
        pytest.param("at+jwt", id="access-token"),
        pytest.param("dpop+jwt+wrongyousee", id="longer"),
        pytest.param("application/dpop+jwt", id="media-type"),
        pytest.param("DPoP+JWT", id="other-case"),
        pytest.param("dpop+jwt ", id="space"),
        pytest.param("", id="empty"),
        pytest.param(5, id="number"),
        pytest.param(None, id="null"),
        pytest.param(True, id="true"),
        pytest.param(["dpop+jwt"], id="list"),
        pytest.param({"typ": "dpop+jwt"}, id="object"),
    ],
)
def test_a_proof_of_another_type_is_rejected(client, typ):
    assert reason_against(client.proof("GET", URI, TOKEN, header={"typ": typ})) is Reason.PROOF_TYPE


@pytest.mark.requirement("R-4.2-01")
def test_a_proof_without_type_is_rejected(client):
    assert reason_against(client.proof("GET", URI, TOKEN, without=["typ"])) is Reason.PROOF_TYPE


@pytest.mark.parametrize(
    ("typ", "claims"),
    [
        pytest.param("at+jwt", {"iss": "https://id.example.com", "aud": "https://api.example.com"}, id="access-token"),
        pytest.param("JWT", {"iss": "https://id.example.com", "sub": "alice", "aud": "app"}, id="id-token"),
        pytest.param("client-authentication+jwt", {"iss": "app", "sub": "app"}, id="client-assertion"),
    ],
)
def test_another_jwt_with_everything_of_a_proof_but_its_type_is_rejected(client, typ, claims):
    proof = client.proof("GET", URI, TOKEN, header={"typ": typ}, claims=claims)
    assert reason_against(proof) is Reason.PROOF_TYPE


@pytest.mark.requirement("R-4.2-02")
@pytest.mark.parametrize(
    "alg",
    [
        *(pytest.param(name, id=name) for name in ("none", "None", "NONE", "nOnE", "es256", "XS256", "ES256K")),
        pytest.param("", id="empty"),
        pytest.param("ES256 ", id="space"),
        pytest.param(5, id="number"),
        pytest.param(None, id="null"),
        pytest.param(True, id="true"),
        pytest.param(["ES256"], id="list"),
        pytest.param({"ES256": 1}, id="object"),
    ],
)
def test_an_algorithm_that_is_not_listed_is_rejected(client, alg):
    assert reason_against(client.proof("GET", URI, TOKEN, header={"alg": alg})) is Reason.PROOF_ALGORITHM


@pytest.mark.requirement("R-4.2-02")
def test_a_proof_without_algorithm_is_rejected(client):
    assert reason_against(client.proof("GET", URI, TOKEN, without=["alg"])) is Reason.PROOF_ALGORITHM


@pytest.mark.requirement("R-4.2-02", "R-4.3-02")
@pytest.mark.parametrize("ending", [pytest.param(".", id="empty-signature"), pytest.param("", id="no-signature")])
def test_an_unsigned_proof_is_rejected(client, ending):
    unsigned = client.proof("GET", URI, TOKEN, header={"alg": "none"}).rpartition(".")[0]
    assert reason_against(unsigned + ending) is Reason.PROOF_MALFORMED


@pytest.mark.requirement("R-4.2-02", "H-03")
@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
@pytest.mark.parametrize("own_key_type", [False, True], ids=["ec-key", "oct-key"])
def test_a_proof_signed_with_a_shared_secret_is_rejected(client, algorithm, own_key_type):
    public = json.dumps(client.key.public_jwk).encode()
    header = {"alg": algorithm, **({"jwk": {"kty": "oct"}} if own_key_type else {})}
    proof = client.proof("GET", URI, TOKEN, header=header, signed_by=SharedSecret(public, f"sha{algorithm[2:]}"))
    assert reason_against(proof) is Reason.PROOF_ALGORITHM


@pytest.mark.requirement("R-4.2-03")
@pytest.mark.parametrize(
    ("algorithm", "policy"),
    [
        pytest.param("PS256", ProofPolicy(algorithms=("ES256",)), id="only-es256"),
        pytest.param("RS256", ProofPolicy(), id="default"),
        pytest.param("RS256", ProofPolicy.fapi2(), id="fapi2"),
        pytest.param("RS256", ProofPolicy.mcp(), id="mcp"),
        pytest.param("ES384", ProofPolicy(), id="another-curve"),
        pytest.param("EdDSA", ProofPolicy(algorithms=("Ed25519",)), id="older-name-not-listed"),
    ],
)
def test_a_good_algorithm_that_the_policy_leaves_out_is_rejected(clock, algorithm, policy):
    proof = Client(algorithm, clock=clock).proof("GET", URI, TOKEN)
    judge(proof, policy=ProofPolicy(algorithms=(algorithm,)))
    assert reason_against(proof, policy=policy) is Reason.PROOF_ALGORITHM


@pytest.mark.requirement("R-4.2-10")
@pytest.mark.parametrize(
    "header",
    [
        pytest.param({"crit": ["foo"], "foo": 1}, id="unknown"),
        pytest.param({"crit": []}, id="empty"),
        pytest.param({"crit": ["b64"], "b64": False}, id="b64"),
        pytest.param({"b64": False}, id="b64-not-marked"),
        pytest.param({"b64": True}, id="b64-true"),
        pytest.param({"crit": ["jwk"]}, id="known-member"),
        pytest.param({"crit": 5}, id="number"),
        pytest.param({"crit": [{}]}, id="object"),
        pytest.param({"crit": None}, id="null"),
    ],
)
def test_a_critical_parameter_is_rejected(client, header):
    assert reason_against(client.proof("GET", URI, TOKEN, header=header)) is Reason.PROOF_CRITICAL


@pytest.mark.requirement("R-4.2-09", "R-4.3-07", "H-02")
@pytest.mark.parametrize(
    ("header", "claims"),
    [
        pytest.param({"tx_id": 1}, {"tx_id_key": 1}, id="both"),
        pytest.param({"__proto__": {"x": 1}, "__class__": "x"}, {"__init__": [], "constructor": {}}, id="dunder"),
        pytest.param({"kid": 5, "cty": None, "x5t": "x"}, {}, id="known-elsewhere"),
        pytest.param({}, {"aud": "https://api.example.com", "iss": "me", "sub": "alice"}, id="registered-claims"),
        pytest.param({}, {"content_digest": "sha-256=:x:"}, id="content-digest"),
        pytest.param({}, {"nonce": "whatever"}, id="nonce"),
    ],
)
def test_unknown_parameters_and_claims_are_ignored(client, header, claims):
    judge(client.proof("GET", URI, TOKEN, header=header, claims=claims))
