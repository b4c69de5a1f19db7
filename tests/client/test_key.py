"""Keys: from wherever they come, their proofs are accepted, and nothing secret is shown."""

import logging
import time

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa

from dpop_asgi import Authenticator, IncomingRequest, JWTVerifier, MemoryStore, ProofPolicy
from dpop_asgi.client import DPoPAuth, Key
from dpop_asgi.core.encoding import sha256_b64url
from dpop_asgi.core.htu import normalise
from dpop_asgi.core.private_key import PrivateKey
from tests.client.peers import API, claims_of

PEM, PKCS8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8


def _pem(key, password=None):
    plain = serialization.NoEncryption()
    return key.private_bytes(PEM, PKCS8, serialization.BestAvailableEncryption(password) if password else plain)


P256 = ec.generate_private_key(ec.SECP256R1())
PRIVATE = PrivateKey.generate()


def _rsa(bits):
    return rsa.generate_private_key(65537, bits)


def _in_hardware():
    return Key(PRIVATE.public_jwk, PRIVATE.sign)


KEYS = {
    "generated": (Key.generate, "ES256"),
    "generated for PS256": (lambda: Key.generate("PS256"), "PS256"),
    "JWK": (lambda: Key.from_jwk(PRIVATE.private_jwk), "ES256"),
    "JWK with alg": (lambda: Key.from_jwk(PrivateKey.generate("EdDSA").private_jwk | {"alg": "EdDSA"}), "EdDSA"),
    "PEM, P-256": (lambda: Key.from_pem(_pem(P256).decode()), "ES256"),
    "PEM, P-384": (lambda: Key.from_pem(_pem(ec.generate_private_key(ec.SECP384R1()))), "ES384"),
    "PEM, RSA": (lambda: Key.from_pem(_pem(_rsa(2048))), "PS256"),
    "PEM, RSA for RS256": (lambda: Key.from_pem(_pem(_rsa(2048)), alg="RS256"), "RS256"),
    "PEM, Ed25519": (lambda: Key.from_pem(_pem(ed25519.Ed25519PrivateKey.generate())), "Ed25519"),
    "PEM with a password": (lambda: Key.from_pem(_pem(P256, b"secret"), password="secret"), "ES256"),
    "hardware": (_in_hardware, "ES256"),
}


@pytest.mark.parametrize(("make", "alg"), [pytest.param(*row, id=name) for name, row in KEYS.items()])
async def test_a_proof_of_every_key_is_accepted(make, alg, issuer):
    key = make()
    assert key.alg == alg
    bound = issuer.access_token(claims={"cnf": {"jkt": key.thumbprint}})
    verify = JWTVerifier(issuer=issuer.url, audience=issuer.audience, jwks=issuer.jwks, clock=issuer._clock)
    policy = ProofPolicy(algorithms=(alg,))
    authenticator = Authenticator(
        verify_token=verify, store=MemoryStore(), proof_policy=policy, nonces=None, clock=issuer._clock
    )
    proof = key.proof("GET", f"{API}?page=1#top", bound, issued_at=issuer._clock())
    fields = [(b"authorization", f"DPoP {bound}".encode()), (b"dpop", proof.encode())]
    caller = await authenticator.authenticate(IncomingRequest(method="GET", target_uri=API, headers=fields))
    assert caller.key_thumbprint == key.thumbprint


def test_a_key_that_was_stored_is_the_same_key():
    assert Key.from_pem(_pem(P256)).thumbprint == Key.from_pem(_pem(P256, b"x"), password=b"x").thumbprint
    assert Key.from_jwk(PRIVATE.private_jwk).public_jwk == PRIVATE.public_jwk
    assert _in_hardware().thumbprint == PRIVATE.thumbprint


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("HTTPS://API.example.com:443/a/%7Eb/../c?x=1#y", id="to be normalised"),
        pytest.param("https://api.example.com", id="no path"),
        pytest.param(f"https://api.example.com/a?{'x' * 2000}", id="long query"),
        pytest.param("wss://api.example.com/ws", id="web socket, as its handshake"),
    ],
)
def test_htu_is_the_normal_form_without_query_and_fragment(key, url):
    assert claims_of(key.proof("GET", url))["htu"] == normalise(url, websocket=url.startswith("wss"))


def test_a_proof_has_what_it_was_asked_for(key):
    before = int(time.time())
    bare, full = claims_of(key.proof("GET", API)), claims_of(key.proof("POST", API, "token", nonce="n"))
    assert bare.keys() == {"jti", "htm", "htu", "iat"}
    assert bare["iat"] >= before
    assert (full["htm"], full["ath"], full["nonce"]) == ("POST", sha256_b64url("token"), "n")
    assert full["jti"] != bare["jti"]


@pytest.mark.parametrize("text", ['"', "\\", "\n", "é", '","ath":"x'])
def test_no_text_breaks_out_of_its_claim(key, text):
    claims = claims_of(key.proof(text, f"https://api.example.com/{text}", nonce=text))
    assert (claims["htm"], claims["nonce"]) == (text, text)
    assert "ath" not in claims


# Bad input

WRONG = {
    "alg": (lambda: Key.generate("HS256"), "alg"),
    "alg of a hardware key": (lambda: Key(PRIVATE.public_jwk, PRIVATE.sign, alg="none"), "alg"),
    "private members": (lambda: Key(PRIVATE.private_jwk, PRIVATE.sign), "public_jwk"),
    "no key": (lambda: Key({"kty": "EC", "crv": "P-256"}, PRIVATE.sign), "public_jwk"),
    "another algorithm": (lambda: Key(PRIVATE.public_jwk, PRIVATE.sign, alg="PS256"), "public_jwk"),
    "no function": (lambda: Key(PRIVATE.public_jwk, b"signature"), "sign"),
    "a public JWK": (lambda: Key.from_jwk(PRIVATE.public_jwk), "jwk"),
    "a symmetric JWK": (lambda: Key.from_jwk({"kty": "oct", "k": "hunter2hunter2"}), "jwk"),
    "a JWK as text": (lambda: Key.from_jwk('{"d": "hunter2"}'), "jwk"),
    "a broken JWK": (lambda: Key.from_jwk({**PRIVATE.private_jwk, "d": "hunter2"}), "jwk"),
    "a JWK for another alg": (lambda: Key.from_jwk(PRIVATE.private_jwk, alg="ES384"), "jwk"),
    "an unknown alg for a JWK": (lambda: Key.from_jwk(PRIVATE.private_jwk, alg="HS256"), "alg"),
    "no PEM": (lambda: Key.from_pem("hunter2"), "pem"),
    "a password that is missing": (lambda: Key.from_pem(_pem(P256, b"hunter2")), "pem"),
    "a wrong password": (lambda: Key.from_pem(_pem(P256, b"hunter2"), password="hunter3"), "pem"),
    "a password too many": (lambda: Key.from_pem(_pem(P256), password="hunter2"), "pem"),
    "PEM of a kind that is not used": (lambda: Key.from_pem(_pem(dsa.generate_private_key(1024))), "pem"),
    "a short RSA key": (lambda: Key.from_pem(_pem(_rsa(1024))), "public_jwk"),
}


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
@pytest.mark.parametrize(("make", "option"), [pytest.param(*row, id=name) for name, row in WRONG.items()])
def test_a_wrong_key_is_an_error_that_names_the_option_and_shows_nothing(make, option):
    with pytest.raises(ValueError, match=f"^{option}: ") as caught:
        make()
    chain = caught.value
    while chain is not None:
        assert "hunter" not in str(chain)
        assert PRIVATE.private_jwk["d"] not in str(chain)
        chain = chain.__cause__ or (None if chain.__suppress_context__ else chain.__context__)


def test_hardware_that_signs_in_der_is_noticed():
    der = P256.sign(b"", ec.ECDSA(hashes.SHA256()))
    with pytest.raises(ValueError, match=r"^sign: must return R and S, 64 bytes"):
        Key(PRIVATE.public_jwk, lambda _: der).proof("GET", API)


def test_a_key_shows_its_algorithm_and_thumbprint_only(caplog):
    caplog.set_level(logging.DEBUG)
    key = _in_hardware()
    key.proof("GET", API, "token")
    assert repr(key) == f"Key(alg='ES256', thumbprint='{PRIVATE.thumbprint}')"
    assert PRIVATE.private_jwk["d"] not in repr(vars(key)) + repr(DPoPAuth("token", key=key)) + caplog.text
