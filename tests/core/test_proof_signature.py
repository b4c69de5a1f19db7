"""The embedded key, and nothing else, must have signed exactly this proof."""

import socket

import pytest

from dpop_asgi import ProofPolicy, Reason
from dpop_asgi.core import jwk
from dpop_asgi.core.private_key import PrivateKey
from dpop_asgi.testing import Client
from tests.support.keys import octets, rsa_key, unpadded
from tests.support.proofs import NOW, TOKEN, URI, judge, reason_against

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
RSA = [name for name, (kty, _) in jwk.KEY_TYPES.items() if kty == "RSA"]


def proof_by(key, algorithm=None, **changes):
    return Client(clock=lambda: NOW, key=key).proof(
        "GET", URI, TOKEN, header={"alg": algorithm or key.algorithm}, **changes
    )


def with_signature(proof, change):
    """The proof with another signature, given what the good one is."""
    signing_input, _, signature = proof.rpartition(".")
    return f"{signing_input}.{unpadded(change(octets(signature)))}"


@pytest.mark.requirement("R-4.2-06", "R-4.2-08", "H-01")
@pytest.mark.parametrize("algorithm", RSA)
@pytest.mark.parametrize("bits", [2048, 3072, 4096])
def test_a_proof_passes_with_rsa_keys_of_every_size(algorithm, bits):
    key = PrivateKey(algorithm, rsa_key(bits)._key)
    judge(proof_by(key), policy=ProofPolicy(algorithms=(algorithm,)))


@pytest.mark.requirement("H-07")
def test_the_mirrored_ecdsa_signature_verifies_too():
    def mirrored(good):
        return good[:32] + (P256_ORDER - int.from_bytes(good[32:], "big")).to_bytes(32, "big")

    proof = proof_by(PrivateKey.generate())
    assert with_signature(proof, mirrored) != proof
    judge(with_signature(proof, mirrored))


@pytest.mark.parametrize(
    ("signed_as", "shown_as"),
    [("PS256", "RS256"), ("RS256", "PS256"), ("RS256", "RS512"), ("PS384", "PS256")],
    ids=["pss-as-pkcs1", "pkcs1-as-pss", "another-hash", "another-salt"],
)
def test_a_signature_of_another_rsa_algorithm_is_rejected(signed_as, shown_as):
    signer = PrivateKey(signed_as, rsa_key(2048)._key)
    policy = ProofPolicy(algorithms=tuple(jwk.KEY_TYPES))
    assert reason_against(proof_by(signer, shown_as), policy=policy) is Reason.SIGNATURE_INVALID


@pytest.mark.requirement("R-9864-01")
@pytest.mark.parametrize("shown_as", ["EdDSA", "Ed25519"])
def test_both_names_of_ed25519_mean_the_same_signature(shown_as):
    judge(proof_by(PrivateKey.generate("Ed25519"), shown_as))


@pytest.mark.requirement("R-4.2-06", "R-8725-01")
def test_no_address_and_no_certificate_in_the_header_is_looked_at(client):
    other = PrivateKey.generate()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/keys"
        places = {"jku": address, "x5u": address, "x5c": ["AAAA"], "kid": "other"}
        judge(client.proof("GET", URI, TOKEN, header=places))
        forged = client.proof("GET", URI, TOKEN, header=places, signed_by=other)
        assert reason_against(forged) is Reason.SIGNATURE_INVALID
        with pytest.raises(TimeoutError):
            listener.accept()
