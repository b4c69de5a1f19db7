"""The key inside a proof: public, complete, of the type that `alg` needs, strong, in its one encoding.

What is wrong with keys for ES256 and with numbers of RSA keys is in the table of hostile proofs.
"""

import traceback

import pytest

from dpop_asgi import InvalidProof, Reason
from dpop_asgi.core.private_key import PrivateKey
from dpop_asgi.testing import Client
from tests.support.keys import key_with_short_x, octets, rsa_key, small_order_points, unpadded
from tests.support.proofs import NOW, TOKEN, URI, judge, reason_against


def proof_with(jwk, algorithm="ES256", key=None):
    """A proof signed as `algorithm` wants it, that shows `jwk`."""
    signer = Client(clock=lambda: NOW, key=key or PrivateKey.generate("ES256"))
    return signer.proof("GET", URI, TOKEN, header={"jwk": jwk, "alg": algorithm})


def spoilt(key):
    """The private exponent in place of a public number."""
    return {"e" if key.public_jwk["kty"] == "RSA" else "x": key.private_jwk["d"] + "A"}


@pytest.mark.requirement("R-4.2-05", "R-4.2-02")
@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        pytest.param(lambda key: key.private_jwk, Reason.KEY_PRIVATE, id="private"),
        pytest.param(lambda key: {**key.public_jwk, **spoilt(key)}, Reason.KEY_INVALID, id="unsound"),
    ],
)
@pytest.mark.parametrize("algorithm", ["ES256", "PS256", "Ed25519"])
def test_the_members_of_a_key_that_is_rejected_are_told_to_nobody(algorithm, spoil, reason):
    key = rsa_key(2048) if algorithm == "PS256" else PrivateKey.generate(algorithm)
    with pytest.raises(InvalidProof) as refused:
        judge(proof_with(spoil(key), algorithm, key))
    assert refused.value.reason is reason
    assert key.private_jwk["d"] not in "".join(traceback.format_exception(refused.value)) + repr(refused.value.facts)


@pytest.mark.requirement("R-4.2-13")
def test_a_coordinate_that_starts_with_zero_passes_in_full_length_only():
    key = key_with_short_x()
    judge(proof_with(key.public_jwk, key=key))
    short = unpadded(octets(key.public_jwk["x"])[1:])
    assert reason_against(proof_with({**key.public_jwk, "x": short}, key=key)) is Reason.KEY_INVALID


@pytest.mark.requirement("R-4.2-12")
def test_other_members_and_their_order_change_neither_key_nor_thumbprint(client):
    extra = {"alg": "ES384", "use": "enc", "kid": "x", "key_ops": ["sign"], "ext": True, "x5c": [5], "x5u": 5, "e": 1}
    jwk = {**extra, **dict(reversed(client.key.public_jwk.items()))}
    proof = judge(client.proof("GET", URI, TOKEN, header={"jwk": jwk}))
    assert proof.header.key.thumbprint == client.thumbprint


def test_an_ed25519_point_of_small_order_is_rejected_in_each_encoding():
    """With such a key anybody can write signatures."""
    encodings = small_order_points()
    # Two of each point with x = 0, and y + p beside y where it fits into 255 bits.
    assert len(encodings) == 14
    for encoded in encodings:
        for algorithm in ("Ed25519", "EdDSA"):
            jwk = {"kty": "OKP", "crv": "Ed25519", "x": unpadded(encoded)}
            assert reason_against(proof_with(jwk, algorithm)) is Reason.KEY_INVALID
