"""The embedded key, and nothing else, must have signed exactly this proof."""

import pytest

from dpop_asgi import ProofPolicy, Reason
from dpop_asgi.core import jwk
from dpop_asgi.core.private_key import PrivateKey
from dpop_asgi.testing import Client
from tests.support.keys import rsa_key
from tests.support.proofs import NOW, TOKEN, URI, judge, reason_against

RSA = [name for name, (kty, _) in jwk.KEY_TYPES.items() if kty == "RSA"]


def proof_by(key, algorithm=None):
    return Client(clock=lambda: NOW, key=key).proof("GET", URI, TOKEN, header={"alg": algorithm or key.algorithm})


@pytest.mark.requirement("R-4.2-06", "R-4.2-08", "H-01")
@pytest.mark.parametrize("algorithm", RSA)
@pytest.mark.parametrize("bits", [2048, 3072, 4096])
def test_a_proof_passes_with_rsa_keys_of_every_size(algorithm, bits):
    key = PrivateKey(algorithm, rsa_key(bits)._key)
    judge(proof_by(key), policy=ProofPolicy(algorithms=(algorithm,)))


@pytest.mark.parametrize(
    ("signed_as", "shown_as"),
    [("PS256", "RS256"), ("RS256", "PS256"), ("RS256", "RS512"), ("PS384", "PS256")],
    ids=["pss-as-pkcs1", "pkcs1-as-pss", "another-hash", "another-salt"],
)
def test_a_signature_of_another_rsa_algorithm_is_rejected(signed_as, shown_as):
    signer = PrivateKey(signed_as, rsa_key(2048)._key)
    policy = ProofPolicy(algorithms=tuple(jwk.KEY_TYPES))
    assert reason_against(proof_by(signer, shown_as), policy=policy) is Reason.SIGNATURE_INVALID
