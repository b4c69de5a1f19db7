"""What a proof may have and still pass, and what it must not: the hostile tables are sent to servers, too."""

from types import SimpleNamespace

import pytest

from dpop_asgi import InvalidProof, ProofPolicy, Reason
from dpop_asgi.testing import Client
from tests.conformance.hostile_proofs import BY_REASON
from tests.conformance.rows import row
from tests.support.proofs import TOKEN, URI, judge, reason_against

ROWS = [row(make, reason, name, name=name) for reason, rows in BY_REASON.items() for name, make in rows.items()]


@pytest.fixture
def sender(client):
    return SimpleNamespace(client=client, proof=lambda **changes: client.proof("GET", URI, TOKEN, **changes))


@pytest.mark.requirement(
    "R-4.1-02", "R-4.1-03", "R-4.2-01", "R-4.2-02", "R-4.2-04", "R-4.2-05", "R-4.2-06", "R-4.2-07", "R-4.2-08",
    "R-4.2-10", "R-4.2-11", "R-4.2-13", "R-4.3-02", "R-4.3-03", "R-4.3-04", "R-4.3-05", "R-4.3-08", "R-4.3-18",
    "R-8-01", "H-03", "H-04", "H-05",
)  # fmt: skip
@pytest.mark.parametrize(("make", "reason", "name"), ROWS)
def test_a_hostile_proof_is_rejected_for_what_is_wrong_with_it(sender, make, reason, name):
    with pytest.raises(InvalidProof) as rejected:
        judge(make(sender))
    assert rejected.value.reason is reason
    if reason in {Reason.CLAIM_MISSING, Reason.CLAIM_MALFORMED}:
        assert rejected.value.facts == {"claim": name.split()[0]}


@pytest.fixture
def proof(client):
    return client.proof("GET", URI, TOKEN)


@pytest.mark.requirement("R-4.2-09", "R-4.3-05", "R-4.3-07", "H-02")
@pytest.mark.parametrize(
    ("header", "claims"),
    [
        pytest.param({"tx_id": 1}, {"tx_id_key": 1}, id="both"),
        pytest.param({"__proto__": {"x": 1}, "__class__": "x"}, {"__init__": [], "constructor": {}}, id="dunder"),
        pytest.param({"kid": 5, "cty": None, "x5t": "x"}, {"aud": "x", "iss": 5, "sub": None}, id="known-elsewhere"),
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
def test_two_proofs_joined_by_a_proxy_are_two_proofs(client, proof):
    assert reason_against(f"{proof}, {client.proof('GET', URI, TOKEN)}") is Reason.PROOF_REPEATED


def test_a_proof_of_exactly_the_allowed_size_passes_and_one_byte_more_does_not(proof):
    judge(proof, policy=ProofPolicy(max_bytes=len(proof)))
    assert reason_against(proof, policy=ProofPolicy(max_bytes=len(proof) - 1)) is Reason.PROOF_TOO_LARGE
    assert reason_against(b"," * 8193) is Reason.PROOF_TOO_LARGE


@pytest.mark.requirement("R-4.2-03")
@pytest.mark.parametrize(
    ("algorithm", "policy"),
    [
        pytest.param("RS256", ProofPolicy(), id="default"),
        pytest.param("PS256", ProofPolicy(algorithms=("ES256",)), id="only-es256"),
        pytest.param("EdDSA", ProofPolicy(algorithms=("Ed25519",)), id="older-name-not-listed"),
    ],
)
def test_a_good_algorithm_that_the_policy_leaves_out_is_rejected(clock, algorithm, policy):
    proof = Client(algorithm, clock=clock).proof("GET", URI, TOKEN)
    judge(proof, policy=ProofPolicy(algorithms=(algorithm,)))
    assert reason_against(proof, policy=policy) is Reason.PROOF_ALGORITHM
