"""The key inside a proof: public, complete, of the type that `alg` needs, strong, in its one encoding."""

import traceback

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from dpop_asgi import InvalidProof, ProofPolicy, Reason
from dpop_asgi.core import jwk
from dpop_asgi.core.private_key import PrivateKey
from dpop_asgi.testing import Client
from tests.support.keys import RSA_KEYS, key_with_short_x, number, octets, rsa_key, small_order_points, unpadded
from tests.support.proofs import NOW, TOKEN, URI, judge, reason_against

EVERYTHING = ProofPolicy(algorithms=tuple(jwk.KEY_TYPES))
SMALL_ORDER = small_order_points()

EC = PrivateKey.generate("ES256").public_jwk
P384 = PrivateKey.generate("ES384").public_jwk
OKP = PrivateKey.generate("Ed25519").public_jwk


def proof_with(jwk, algorithm="ES256", key=None):
    """A proof signed as `algorithm` wants it, that shows `jwk`."""
    signer = Client(clock=lambda: NOW, key=key or PrivateKey.generate("ES256"))
    return signer.proof("GET", URI, TOKEN, header={"jwk": jwk, "alg": algorithm})


@pytest.mark.requirement("R-4.2-04")
def test_a_proof_without_key_is_rejected(client):
    assert reason_against(client.proof("GET", URI, TOKEN, without=["jwk"])) is Reason.KEY_MISSING


@pytest.mark.requirement("R-4.2-04")
@pytest.mark.parametrize(
    ("jwk", "reason"),
    [
        pytest.param("x", Reason.KEY_MISSING, id="string"),
        pytest.param(None, Reason.KEY_MISSING, id="null"),
        pytest.param([EC], Reason.KEY_MISSING, id="list"),
        pytest.param(5, Reason.KEY_MISSING, id="number"),
        pytest.param({}, Reason.KEY_UNFIT, id="empty"),
        pytest.param({**EC, "kty": "ec"}, Reason.KEY_UNFIT, id="kty-in-other-case"),
        pytest.param({**EC, "kty": ["EC"]}, Reason.KEY_UNFIT, id="kty-list"),
        pytest.param({**EC, "crv": {"P-256": 1}}, Reason.KEY_UNFIT, id="crv-object"),
        pytest.param({**EC, "crv": "p-256"}, Reason.KEY_UNFIT, id="crv-in-other-case"),
        pytest.param({"kty": "oct"}, Reason.KEY_UNFIT, id="oct"),
        pytest.param({"kty": "EC", "crv": "P-256", "x": EC["x"]}, Reason.KEY_INVALID, id="ec-without-y"),
        pytest.param({"kty": "EC", "crv": "P-256", "y": EC["y"]}, Reason.KEY_INVALID, id="ec-without-x"),
        pytest.param({**EC, "x": 5}, Reason.KEY_INVALID, id="x-number"),
        pytest.param({**EC, "x": None}, Reason.KEY_INVALID, id="x-null"),
        pytest.param({**EC, "x": ""}, Reason.KEY_INVALID, id="x-empty"),
        pytest.param({**EC, "x": EC["x"] + "="}, Reason.KEY_INVALID, id="x-padded"),
        pytest.param({**EC, "x": "!" + EC["x"][1:]}, Reason.KEY_INVALID, id="x-foreign-character"),
        pytest.param({**EC, "x": "é"}, Reason.KEY_INVALID, id="x-not-ascii"),
    ],
)
def test_an_unusable_key_is_rejected(jwk, reason):
    assert reason_against(proof_with(jwk)) is reason


@pytest.mark.requirement("R-4.2-05")
@pytest.mark.parametrize("member", ["d", "p", "q", "dp", "dq", "qi", "oth", "k"])
@pytest.mark.parametrize("value", [pytest.param("c2VjcmV0", id="string"), pytest.param(None, id="null")])
def test_each_private_member_gives_the_key_away(member, value):
    assert reason_against(proof_with({**EC, member: value})) is Reason.KEY_PRIVATE


@pytest.mark.requirement("R-4.2-05", "R-4.2-02")
@pytest.mark.parametrize("algorithm", ["ES256", "PS256", "Ed25519"])
def test_a_whole_private_key_is_rejected_and_told_to_nobody(algorithm):
    key = rsa_key(2048) if algorithm == "PS256" else PrivateKey.generate(algorithm)
    with pytest.raises(InvalidProof) as refused:
        judge(proof_with(key.private_jwk, algorithm, key))
    assert refused.value.reason is Reason.KEY_PRIVATE
    told = "".join(traceback.format_exception(refused.value)) + repr(refused.value.facts)
    assert key.private_jwk["d"] not in told


def test_the_members_of_an_unacceptable_key_are_told_to_nobody():
    member = unpadded(b"\xff" * 32)
    with pytest.raises(InvalidProof) as refused:
        judge(proof_with({**EC, "x": member}))
    assert refused.value.reason is Reason.KEY_INVALID
    assert member not in "".join(traceback.format_exception(refused.value)) + repr(refused.value.facts)


@pytest.mark.requirement("R-4.2-07", "R-9864-01")
@pytest.mark.parametrize(
    ("algorithm", "jwk"),
    [
        pytest.param("ES256", P384, id="es256-with-p384"),
        pytest.param("ES384", EC, id="es384-with-p256"),
        pytest.param("ES256", {**EC, "crv": "secp256k1"}, id="es256-with-secp256k1"),
        pytest.param("ES256", {"kty": "RSA", "n": "x", "e": "AQAB"}, id="es256-with-rsa"),
        pytest.param("PS256", EC, id="ps256-with-ec"),
        pytest.param("RS256", OKP, id="rs256-with-okp"),
        pytest.param("Ed25519", EC, id="ed25519-with-ec"),
        pytest.param("Ed25519", {**OKP, "crv": "X25519"}, id="ed25519-with-x25519"),
        pytest.param("EdDSA", {**OKP, "crv": "Ed448", "x": "A" * 76}, id="eddsa-with-ed448"),
        pytest.param("EdDSA", {**OKP, "kty": "EC"}, id="eddsa-with-kty-ec"),
    ],
)
def test_a_key_of_another_type_than_alg_needs_is_rejected(algorithm, jwk):
    assert reason_against(proof_with(jwk, algorithm), policy=EVERYTHING) is Reason.KEY_UNFIT


@pytest.mark.requirement("R-4.2-07", "H-04")
@pytest.mark.parametrize(
    "jwk",
    [
        pytest.param({**EC, "y": EC["x"]}, id="another-y"),
        pytest.param({**EC, "x": "A" * 43, "y": "A" * 43}, id="zero"),
        pytest.param({**EC, "x": unpadded(b"\xff" * 32)}, id="beyond-the-field"),
        pytest.param({**P384, "crv": "P-256"}, id="coordinates-of-another-curve"),
    ],
)
def test_a_point_off_the_curve_is_rejected(jwk):
    assert reason_against(proof_with(jwk)) is Reason.KEY_INVALID


@pytest.mark.requirement("R-4.2-08")
@pytest.mark.parametrize("bits", [1024, 2040, 4104])
def test_an_rsa_key_below_or_above_the_bounds_is_rejected(bits):
    members = {name: RSA_KEYS[str(bits)][name] for name in ("kty", "n", "e")}
    assert reason_against(proof_with(members, "PS256")) is Reason.KEY_INVALID


@pytest.mark.requirement("R-4.2-07", "R-4.2-08")
@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"e": number(1)}, id="exponent-1"),
        pytest.param({"e": number(2)}, id="exponent-even"),
        pytest.param({"e": ""}, id="exponent-empty"),
        pytest.param({"e": number(2**33 + 1)}, id="exponent-33-bits"),
        pytest.param({"e": number(2**2047 + 1)}, id="exponent-huge"),
        pytest.param({"e": unpadded(b"\0\1\0\1")}, id="exponent-with-leading-zero"),
        pytest.param({"n": ""}, id="modulus-empty"),
        pytest.param({"n": number(2**2047 - 1)}, id="modulus-2047-bits"),
        pytest.param({"n": number(2**4096 + 1)}, id="modulus-4097-bits"),
        pytest.param({"n": number(2**8191 + 1)}, id="modulus-8192-bits"),
        pytest.param({"n": None}, id="modulus-null"),
    ],
)
def test_rsa_numbers_that_weaken_or_delay_are_rejected(members):
    key = rsa_key(2048)
    assert reason_against(proof_with({**key.public_jwk, **members}, "PS256", key)) is Reason.KEY_INVALID


@pytest.mark.requirement("R-4.2-13")
@pytest.mark.parametrize(("algorithm", "member"), [("ES256", "x"), ("ES256", "y"), ("Ed25519", "x")])
def test_a_coordinate_with_another_length_is_rejected(algorithm, member):
    key = PrivateKey.generate(algorithm)
    jwk = key.public_jwk
    for changed in (b"\0" + octets(jwk[member]), octets(jwk[member]) + b"\0", octets(jwk[member])[:-1]):
        assert reason_against(proof_with({**jwk, member: unpadded(changed)}, algorithm, key)) is Reason.KEY_INVALID


@pytest.mark.requirement("R-4.2-13")
def test_a_modulus_with_a_leading_zero_is_rejected():
    key = rsa_key(2048)
    jwk = {**key.public_jwk, "n": unpadded(b"\0" + octets(key.public_jwk["n"]))}
    assert reason_against(proof_with(jwk, "PS256", key)) is Reason.KEY_INVALID


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


def test_the_eight_points_of_small_order_have_fourteen_encodings():
    # Two of each point with x = 0, and y + p beside y where it fits into 255 bits.
    assert len(set(SMALL_ORDER.values())) == 14


@pytest.mark.parametrize("algorithm", ["Ed25519", "EdDSA"])
@pytest.mark.parametrize("encoded", [pytest.param(raw, id=name) for name, raw in SMALL_ORDER.items()])
def test_an_ed25519_point_of_small_order_is_rejected(encoded, algorithm):
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": unpadded(encoded)}
    assert reason_against(proof_with(jwk, algorithm)) is Reason.KEY_INVALID


def test_the_same_forged_signature_would_fit_every_message_under_a_point_of_small_order():
    identity = (1).to_bytes(32, "little")
    for message in (b"one", b"another"):
        Ed25519PublicKey.from_public_bytes(identity).verify(identity + bytes(32), message)
