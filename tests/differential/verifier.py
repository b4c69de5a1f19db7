"""RFC 9449 §4.3 by hand, on `cryptography` and `json` alone: nothing here knows the library under test.

Where the RFC is silent this accepts; what the library refuses beyond it is listed in `rules.py`.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from tests.differential import base64url, json_text
from tests.differential.uris import meaning

ALGORITHMS = ("ES256", "PS256", "Ed25519", "EdDSA")
MAX_AGE = 300
MAX_FUTURE = 60

_ED25519_P = 2**255 - 19
_PRIVATE = {"EC": {"d"}, "OKP": {"d"}, "RSA": {"d", "p", "q", "dp", "dq", "qi", "oth"}}
_THUMBPRINT_MEMBERS = {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x"), "RSA": ("e", "kty", "n")}


class RefusedError(Exception):
    """The proof is not valid; the message has the item of RFC 9449 §4.3."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request under the DPoP scheme, and what the server knows.

    Attributes:
        jkt: the thumbprint that the access token is bound to.
        nonces: those that the server accepts now; `None` when it gave none to the client.
    """

    method: str
    uri: str
    token: str
    jkt: str
    now: float
    nonces: frozenset[str] | None = None
    websocket: bool = False


@dataclass(frozen=True)
class Parts:
    """The three parts of a JWT, read but not checked."""

    header: json_text.Document
    claims: json_text.Document
    signing_input: bytes
    signature: bytes


def demand(holds: object, item: str) -> None:
    if not holds:
        raise RefusedError(item)


def verify(proofs: list[bytes], request: Request) -> Parts:
    """The proof, when it is valid.

    Raises:
        RefusedError: when it is not.
    """
    demand(len(proofs) == 1, "1: exactly one field")
    parts = read(proofs[0])
    header, claims = parts.header.value, parts.claims.value
    for name in ("jti", "htm", "htu", "ath"):
        demand(isinstance(claims.get(name), str), f"3: {name}")
    demand(type(claims.get("iat")) in {int, float}, "3: iat")
    demand(header.get("typ") == "dpop+jwt", "4: typ")
    demand(header.get("alg") in ALGORITHMS, "5: alg")
    demand("crit" not in header, "RFC 7515 §4.1.11: no extension is known here")
    demand(isinstance(header.get("jwk"), dict), "3: jwk")
    _check_claims(claims, request)
    check_signature(header["jwk"], header["alg"], parts.signing_input, parts.signature)
    demand(thumbprint(header["jwk"]) == request.jkt, "12b: the token is bound to another key")
    return parts


def read(proof: bytes) -> Parts:
    """RFC 7515 §7.1, RFC 7519 §7.2."""
    segments = proof.split(b".")
    demand(len(segments) == 3 and all(segments), "2: three segments")
    try:
        header, payload, signature = map(base64url.decode, segments)
        documents = json_text.read(header), json_text.read(payload)
    except ValueError as error:
        raise RefusedError("2: base64url or JSON") from error
    demand(all(type(document.value) is dict for document in documents), "2: JSON objects")
    return Parts(*documents, b".".join(segments[:2]), signature)


def _check_claims(claims: dict[str, Any], request: Request) -> None:
    demand(claims["htm"] == request.method, "8: htm")
    claimed, asked = meaning(claims["htu"], websocket=request.websocket), meaning(request.uri)
    demand(claimed is not None and claimed == asked, "9: htu")
    if request.nonces is not None:
        nonce = claims.get("nonce")
        demand(isinstance(nonce, str) and nonce in request.nonces, "10: nonce")
    demand(claims["iat"] >= request.now - MAX_AGE, "11: iat is too long ago")
    demand(claims["iat"] <= request.now + MAX_FUTURE, "11: iat is in the future")
    hashed = base64url.encode(sha256(request.token.encode("ascii")).digest()).decode()
    demand(claims["ath"] == hashed, "12a: ath")


def thumbprint(jwk: dict[str, Any]) -> str:
    """RFC 7638 §3."""
    names = _THUMBPRINT_MEMBERS[jwk["kty"]]
    members = ",".join(f'"{name}":"{jwk[name]}"' for name in names)
    return base64url.encode(sha256(("{" + members + "}").encode()).digest()).decode()


def check_signature(jwk: dict[str, Any], algorithm: str, message: bytes, signature: bytes) -> None:
    kty = jwk.get("kty")
    demand(isinstance(kty, str) and kty in _PRIVATE, "3: kty")
    demand(not _PRIVATE[kty] & jwk.keys(), "7: a private key")
    check = {"ES256": _es256, "PS256": _ps256, "Ed25519": _ed25519, "EdDSA": _eddsa}[algorithm]
    try:
        check(jwk, message, signature)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, OverflowError) as error:
        raise RefusedError("6: the signature, or the key") from error


def _member(jwk: dict[str, Any], name: str, *, size: int | None = None) -> bytes:
    demand(isinstance(jwk.get(name), str) and jwk[name].isascii(), f"3: {name} in jwk")
    octets = base64url.decode(jwk[name].encode())
    demand(size is None or len(octets) == size, f"RFC 7518 §6.2.1.2, RFC 8037 §2: length of {name}")
    return octets


def _number(jwk: dict[str, Any], name: str) -> int:
    octets = _member(jwk, name)
    demand(octets[:1] != b"\0", "RFC 7518 §2: Base64urlUInt has no leading zero")
    return int.from_bytes(octets, "big")


def _es256(jwk: dict[str, Any], message: bytes, signature: bytes) -> None:
    demand((jwk["kty"], jwk.get("crv")) == ("EC", "P-256"), "RFC 7518 §3.4")
    demand(len(signature) == 64, "RFC 7518 §3.4: length of the signature")
    x, y = (int.from_bytes(_member(jwk, name, size=32), "big") for name in ("x", "y"))
    key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    key.verify(encode_dss_signature(r, s), message, ec.ECDSA(SHA256()))


def _ps256(jwk: dict[str, Any], message: bytes, signature: bytes) -> None:
    demand(jwk["kty"] == "RSA", "RFC 7518 §3.5")
    n, e = _number(jwk, "n"), _number(jwk, "e")
    demand(n.bit_length() >= 2048, "RFC 7518 §3.5: size of the key")
    key = rsa.RSAPublicNumbers(e, n).public_key()
    key.verify(signature, message, padding.PSS(padding.MGF1(SHA256()), SHA256.digest_size), SHA256())


def _ed25519(jwk: dict[str, Any], message: bytes, signature: bytes) -> None:
    demand((jwk["kty"], jwk.get("crv")) == ("OKP", "Ed25519"), "RFC 9864 §2.2")
    octets = _member(jwk, "x", size=32)
    demand(int.from_bytes(octets, "little") & (2**255 - 1) < _ED25519_P, "RFC 8032 §5.1.3: y is below p")
    ed25519.Ed25519PublicKey.from_public_bytes(octets).verify(signature, message)


def _eddsa(jwk: dict[str, Any], message: bytes, signature: bytes) -> None:
    if (jwk["kty"], jwk.get("crv")) != ("OKP", "Ed448"):
        _ed25519(jwk, message, signature)
        return
    octets = _member(jwk, "x", size=57)
    ed448.Ed448PublicKey.from_public_bytes(octets).verify(signature, message)
