"""What a proof may have and still pass, and what is wrong with one that no HTTP client could send."""

import pytest

from dpop_asgi import ProofPolicy, Reason
from dpop_asgi.core.encoding import b64url_encode
from dpop_asgi.testing import Client
from tests.support.proofs import TOKEN, URI, judge, reason_against


@pytest.fixture
def proof(client):
    return client.proof("GET", URI, TOKEN)


@pytest.mark.requirement("R-4.2-09", "R-4.3-05", "R-4.3-07", "H-02")
@pytest.mark.parametrize(
    ("header", "claims"),
    [
        pytest.param({}, {}, id="correct"),
        pytest.param({"tx_id": 1}, {"tx_id_key": 1}, id="both"),
        pytest.param({"__proto__": {"x": 1}, "__class__": "x"}, {"__init__": [], "constructor": {}}, id="dunder"),
        pytest.param({"kid": 5, "cty": None, "x5t": "x"}, {}, id="known-elsewhere"),
        pytest.param({}, {"aud": "https://elsewhere.example", "iss": 5, "sub": None}, id="registered-claims"),
        pytest.param({}, {"content_digest": "sha-256=:x:"}, id="content-digest"),
        pytest.param({}, {"nonce": "whatever"}, id="nonce"),
        pytest.param({}, {"iat": 1_700_000_000.25}, id="fraction-of-a-second"),
    ],
)
def test_unknown_parameters_and_claims_are_ignored(client, header, claims):
    judge(client.proof("GET", URI, TOKEN, header=header, claims=claims))


@pytest.mark.requirement("R-11.1-07")
@pytest.mark.parametrize("jti", ["x", "x" * 36, "x" * 1000, "a:b\nc\0d", "naïve ☃ 𝄞", "\ud800"], ids=ascii)
def test_any_string_that_is_not_blank_is_a_jti(client, jti):
    assert judge(client.proof("GET", URI, TOKEN, claims={"jti": jti})).claims["jti"] == jti


@pytest.mark.requirement("R-4.1-03", "R-4.1-04")
@pytest.mark.parametrize(
    "stray", [b"\t", b" ", b"\n", b"\0", b"\x1f", b"\x7f", b"\xe9", "é".encode(), b"\xff\xfe"], ids=ascii
)
@pytest.mark.parametrize("place", [0, 40, None], ids=["first", "middle", "last"])
def test_bytes_outside_the_alphabet_are_rejected(proof, stray, place):
    raw = proof.encode()
    at = len(raw) if place is None else place
    assert reason_against(raw[:at] + stray + raw[at:]) is Reason.PROOF_MALFORMED


@pytest.mark.requirement("R-4.1-03", "R-4.3-01")
@pytest.mark.parametrize("joint", [pytest.param(",", id="comma"), pytest.param(", ", id="comma-space")])
def test_two_proofs_joined_by_a_proxy_are_two_proofs(client, proof, joint):
    assert reason_against(joint.join((proof, client.proof("GET", URI, TOKEN)))) is Reason.PROOF_REPEATED


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
