"""The examples that RFC 9449, RFC 7638 and RFC 8037 print."""

import json
from pathlib import Path

import pytest

from dpop_asgi import AccessToken, Authenticator, InvalidProof, InvalidToken, MemoryStore, Reason
from dpop_asgi.core import jwk
from dpop_asgi.core.checks import request_failures
from dpop_asgi.core.encoding import b64url_decode, sha256_b64url
from dpop_asgi.core.htu import normalise
from dpop_asgi.core.proof import Proof, ProofHeader, ProofReader
from dpop_asgi.testing import ManualClock
from tests.support.challenges import NQCHAR, parse_challenges
from tests.support.decisions import incoming
from tests.support.proofs import context

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "rfc9449.json").read_text(encoding="utf-8"))
PROOFS = {proof["figure"]: proof for proof in VECTORS["proofs"]}
AT_TOKEN_ENDPOINT = [pytest.param(PROOFS[figure], id=figure) for figure in ("fig2", "fig5", "fig7")]


async def introspected(token):
    """The user's own verifier of opaque tokens, that knows the one of the RFC (figures 10 and 11)."""
    if token != VECTORS["access_token"]:
        raise InvalidToken(Reason.TOKEN_REJECTED)
    return AccessToken.from_claims(VECTORS["introspection_response"]["json"])


@pytest.mark.requirement("R-4.3-18", "R-4.3-19", "R-6-01", "R-4.2-06", "R-4.2-12")
async def test_the_protected_resource_request_of_figure_13_passes_at_its_time():
    example = PROOFS["fig13"]
    clock = ManualClock(example["claims"]["iat"])
    authenticator = Authenticator(verify_token=introspected, store=MemoryStore(clock=clock), nonces=None, clock=clock)
    headers = {"Authorization": f"DPoP {VECTORS['access_token']}", "DPoP": example["proof"]}
    request = incoming(headers, target_uri=example["request"]["url"], method=example["request"]["method"])
    caller = await authenticator.authenticate(request)
    assert caller.subject == "someone@example.com"
    assert caller.key_thumbprint == VECTORS["thumbprint"]
    with pytest.raises(InvalidProof) as replayed:
        await authenticator.authenticate(request)
    assert replayed.value.reason is Reason.PROOF_REPLAYED


@pytest.mark.requirement("R-4.3-03")
@pytest.mark.parametrize("example", AT_TOKEN_ENDPOINT)
def test_a_proof_for_the_token_endpoint_lacks_ath(example):
    with pytest.raises(InvalidProof) as refused:
        ProofReader(context().policy).read(example["proof"].encode())
    assert (refused.value.reason, refused.value.facts) == (Reason.CLAIM_MISSING, {"claim": "ath"})


@pytest.mark.requirement("R-4.2-06")
@pytest.mark.parametrize("example", [pytest.param(proof, id=figure) for figure, proof in PROOFS.items()])
def test_the_signature_of_every_printed_proof_verifies(example):
    signing_input, _, signature = example["proof"].rpartition(".")
    header = json.loads(b64url_decode(signing_input.partition(".")[0].encode()))
    key = jwk.import_public_key(header["jwk"], header["alg"])
    proof = Proof(ProofHeader(b"", header["alg"], key), {}, signing_input.encode(), b64url_decode(signature.encode()))
    proof.verify_signature()
    assert key.thumbprint == VECTORS["thumbprint"]


@pytest.mark.requirement("R-4.3-18")
def test_the_token_hash_is_the_printed_one():
    assert sha256_b64url(VECTORS["access_token"]) == VECTORS["ath"] == PROOFS["fig13"]["claims"]["ath"]


@pytest.mark.requirement("R-4.2-12")
def test_the_thumbprint_is_the_hash_of_the_printed_members():
    assert sha256_b64url(VECTORS["jwk_thumbprint_input"]) == VECTORS["thumbprint"]
    assert jwk.import_public_key(VECTORS["public_jwk"], "ES256").thumbprint == VECTORS["thumbprint"]


@pytest.mark.requirement("R-4.2-12")
@pytest.mark.parametrize("example", [pytest.param(example, id=example["source"]) for example in VECTORS["thumbprints"]])
def test_the_thumbprints_of_other_rfcs_are_met(example):
    algorithm = {"RSA": "PS256", "OKP": "Ed25519"}[example["jwk"]["kty"]]
    assert jwk.import_public_key(example["jwk"], algorithm).thumbprint == example["thumbprint"]


@pytest.mark.requirement("R-9864-01")
@pytest.mark.parametrize("algorithm", ["EdDSA", "Ed25519"])
def test_the_signature_of_rfc_8037_verifies(algorithm):
    example = VECTORS["jws"][0]
    signing_input, _, signature = example["jws"].encode().rpartition(b".")
    assert jwk.import_public_key(example["jwk"], algorithm).verify(algorithm, signing_input, b64url_decode(signature))


@pytest.mark.requirement("R-6-01", "R-6.1-01")
def test_the_binding_of_figure_8_is_read_from_its_token():
    example = VECTORS["jwt_access_token"]
    claims = json.loads(b64url_decode(example["token"].split(".")[1].encode()))
    assert claims == example["claims"]
    assert AccessToken.from_claims(claims).key_thumbprint == VECTORS["thumbprint"]


@pytest.mark.requirement("R-4.3-09", "R-4.3-10", "R-4.3-11")
@pytest.mark.parametrize("row", [pytest.param(row, id=row["note"]) for row in VECTORS["uri_equivalence"]])
def test_a_proof_passes_exactly_for_the_same_uri(client, row):
    requested, claimed = normalise(row["request_url"]), normalise(row["htu"])
    assert (requested is not None and requested == claimed) is row["same"]
    proof = ProofReader(context().policy).read(client.proof("GET", row["htu"], "a-token").encode())
    facts = context(target_uri=requested, token_hash=sha256_b64url("a-token"))
    failures = [failure.reason for failure in request_failures(proof.claims, facts)]
    assert failures == [] if row["same"] else [Reason.TARGET_MISMATCH]


@pytest.mark.requirement("R-8-03")
@pytest.mark.parametrize("example", [pytest.param(nonce, id=nonce["figure"]) for nonce in VECTORS["nonces"]])
def test_the_printed_nonces_are_in_the_alphabet_that_we_check(example):
    assert NQCHAR.fullmatch(example["nonce"])


@pytest.mark.requirement("R-9110-02")
@pytest.mark.parametrize("example", [pytest.param(row, id=row["figure"]) for row in VECTORS["challenges"]])
def test_our_strict_parser_reads_the_printed_challenges(example):
    challenges = parse_challenges(example["www_authenticate"])
    assert [{"scheme": one.scheme, "params": one.parameters} for one in challenges] == example["parsed"]


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("", id="empty"),
        pytest.param('error="x"', id="no-scheme"),
        pytest.param('DPoP error="x" algs="y"', id="no-comma"),
        pytest.param('DPoP error="x', id="quote-open"),
        pytest.param('DPoP error="x"y', id="behind-the-quote"),
        pytest.param('DPoP error = "x"', id="space-around-equals"),
        pytest.param('DPoP error="x",', id="trailing-comma"),
        pytest.param("DPoP error=caf\u00e9", id="not-ascii"),
    ],
)
def test_our_strict_parser_rejects_what_is_no_challenge(line):
    with pytest.raises(ValueError, match=r"."):
        parse_challenges(line)
