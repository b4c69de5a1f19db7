"""The only module that talks to the JOSE library."""

import pytest

from dpop_asgi.core import jwk
from dpop_asgi.core.private_key import PrivateKey
from tests.support.keys import number, rsa_key, unpadded

ALGORITHMS = list(jwk.KEY_TYPES)


def key_for(algorithm):
    is_rsa = jwk.KEY_TYPES[algorithm][0] == "RSA"
    return PrivateKey(algorithm, rsa_key(2048)._key) if is_rsa else PrivateKey.generate(algorithm)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_generated_key_signs_what_its_public_half_verifies(algorithm):
    key = key_for(algorithm)
    public = jwk.import_public_key(key.public_jwk, algorithm)
    signature = key.sign(b"message")
    assert public.thumbprint == key.thumbprint
    assert public.verify(algorithm, b"message", signature)
    assert not public.verify(algorithm, b"massage", signature)


@pytest.mark.parametrize("algorithm", ["ES256", "Ed25519", "PS256"])
def test_the_public_members_hold_nothing_private(algorithm):
    key = key_for(algorithm)
    assert not key.public_jwk.keys() & jwk.PRIVATE_MEMBERS
    assert key.private_jwk.keys() & jwk.PRIVATE_MEMBERS
    assert key.public_jwk.items() <= key.private_jwk.items()


@pytest.mark.requirement("H-04")
@pytest.mark.parametrize("algorithm", ["ES256", "Ed25519", "PS256"])
@pytest.mark.parametrize("signature", [b"", b"x", b"\0" * 64, b"\xff" * 256, b"x" * 10_000], ids=len)
def test_a_malformed_signature_is_a_no_and_not_an_error(algorithm, signature):
    key = key_for(algorithm)
    assert jwk.import_public_key(key.public_jwk, algorithm).verify(algorithm, b"message", signature) is False


@pytest.mark.requirement("R-4.2-07", "R-9864-01")
@pytest.mark.parametrize(
    ("members", "algorithm", "fits"),
    [
        pytest.param({"kty": "EC", "crv": "P-256"}, "ES256", True, id="ec"),
        pytest.param({"kty": "EC", "crv": "P-384"}, "ES256", False, id="other-curve"),
        pytest.param({"kty": "EC"}, "ES256", False, id="no-curve"),
        pytest.param({"kty": "EC", "crv": "Ed25519"}, "EdDSA", False, id="other-type"),
        pytest.param({"kty": "RSA", "crv": "P-256"}, "RS512", True, id="rsa-with-stray-curve"),
        pytest.param({"kty": "OKP", "crv": "Ed25519"}, "EdDSA", True, id="eddsa"),
        pytest.param({"kty": "OKP", "crv": "Ed448"}, "EdDSA", False, id="ed448"),
        pytest.param({}, "PS256", False, id="empty"),
    ],
)
def test_each_algorithm_fits_one_type_of_key(members, algorithm, fits):
    assert jwk.matches_algorithm(members, algorithm) is fits


@pytest.mark.requirement("R-4.2-08", "R-4.2-13")
@pytest.mark.parametrize(
    ("algorithm", "member", "value"),
    [
        pytest.param("PS256", "n", number(2**2047 - 1), id="RSA of 2047 bits"),
        pytest.param("PS256", "n", number(2**4096 + 1), id="RSA of 4097 bits"),
        *(pytest.param("ES256", name, unpadded(b"\1" * 33), id=f"{name} of 33 bytes") for name in "xy"),
        pytest.param("Ed25519", "x", unpadded(b"\2" * 33), id="x of 33 bytes, Ed25519"),
    ],
)
def test_a_number_of_another_size_is_rejected_before_a_library_sees_it(algorithm, member, value):
    with pytest.raises(ValueError, match=r"."):
        jwk.parse_public_jwk({**key_for(algorithm).public_jwk, member: value}, algorithm)


def test_a_key_of_another_type_is_not_imported():
    with pytest.raises(ValueError, match="does not fit"):
        jwk.import_public_key(PrivateKey.generate("ES384").public_jwk, "ES256")


@pytest.mark.requirement("R-4.2-02")
def test_no_symmetric_algorithm_is_known():
    assert not {"none", "HS256", "HS384", "HS512"} & jwk.KEY_TYPES.keys()
    with pytest.raises(ValueError, match=r"^option: 'HS256' is not supported; choose from ES256,"):
        jwk.check_algorithms("option", ["ES256", "HS256"])


@pytest.mark.parametrize(
    "members",
    [
        pytest.param(PrivateKey.generate().public_jwk, id="public"),
        pytest.param(PrivateKey.generate("ES384").private_jwk, id="other-curve"),
    ],
)
def test_what_cannot_sign_is_not_a_private_key(members):
    with pytest.raises(ValueError, match="private key"):
        PrivateKey.from_jwk("ES256", members)
