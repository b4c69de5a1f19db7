"""Where the library refuses what RFC 9449 §4.3 would let pass: every rule by name, with the reason that it gives.

For a proof that the verifier by hand accepts, the library accepts it exactly when no rule applies.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from tests.differential import base64url, json_text
from tests.differential.verifier import MAX_FUTURE, Parts, Request

MAX_BYTES = 8192
MOST_OPENERS = 16
MOST_VALUES = 32
MOST_MARKS = 256
MOST_DIGITS = 19
LONGEST_FLOAT = 24
LONGEST_AUTHORITY = 260
LONGEST_PATH = 1024
MOST_STEPS = 64

_ED25519_P = 2**255 - 19
# RFC 8032 §5.1: the y-coordinates of the eight points whose order divides 8; ±y of the order-8 points is a square root.
_ORDER_8_Y = 2707385501144840649318225287225658788936804267575313519463743609750303402022
_SMALL_ORDER_Y = {0, 1, _ED25519_P - 1, _ORDER_8_Y, _ED25519_P - _ORDER_8_Y}
_PRIVATE_OR_SYMMETRIC = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}


@dataclass(frozen=True)
class Proof:
    """What a rule looks at."""

    value: bytes
    parts: Parts
    request: Request

    @property
    def header(self) -> dict[str, Any]:
        return self.parts.header.value

    @property
    def claims(self) -> dict[str, Any]:
        return self.parts.claims.value

    @property
    def jwk(self) -> dict[str, Any]:
        return self.header["jwk"]


@dataclass(frozen=True)
class Rule:
    reason: str
    applies: Callable[[Proof], object]


def _documents(proof: Proof) -> Any:
    return proof.parts.header, proof.parts.claims


def _most(count: Callable[[bytes], int], proof: Proof) -> int:
    """Of header and payload the one with more of something."""
    return max(count(base64url.decode(segment)) for segment in proof.value.split(b".")[:2])


def _authority(proof: Proof) -> int:
    return max(len(re.split("[/?#]", uri)[2]) for uri in (proof.claims["htu"], proof.request.uri))


def _dotted(uri: str) -> bool:
    segments = re.split("[?#]", uri)[0].split("/")[3:]
    return any(unquote(segment) in {".", ".."} for segment in segments)


def _loose(segment: bytes) -> bool:
    """Whether the last letter has bits that belong to no byte."""
    return base64url.encode(base64url.decode(segment)) != segment


def _loose_key(proof: Proof) -> bool:
    needed = {"EC": ("x", "y"), "OKP": ("x",), "RSA": ("n", "e")}[proof.jwk["kty"]]
    return any(_loose(proof.jwk[name].encode()) for name in needed)


def _rsa_number(proof: Proof, name: str) -> int:
    return int.from_bytes(base64url.decode(proof.jwk[name].encode()), "big") if proof.jwk["kty"] == "RSA" else 0


def _curve(proof: Proof) -> str:
    """Only here `crv` means something."""
    return proof.jwk["crv"] if proof.jwk["kty"] == "OKP" else ""


def _small_order(proof: Proof) -> bool:
    if _curve(proof) != "Ed25519":
        return False
    encoded = base64url.decode(proof.jwk["x"].encode())
    return int.from_bytes(encoded, "little") & (2**255 - 1) in _SMALL_ORDER_Y


def _not_a_number(proof: Proof, *names: str) -> bool:
    return any(name in proof.claims and type(proof.claims[name]) not in {int, float} for name in names)


def _expired(proof: Proof) -> bool:
    end = proof.claims.get("exp")
    return type(end) in {int, float} and not end + MAX_FUTURE >= proof.request.now


def _not_yet_valid(proof: Proof) -> bool:
    start = proof.claims.get("nbf")
    return type(start) in {int, float} and not start <= proof.request.now + MAX_FUTURE


RULES: dict[str, Rule] = {
    "a proof is no larger than 8192 bytes": Rule("proof_too_large", lambda proof: len(proof.value) > MAX_BYTES),
    "base64url has one spelling (RFC 4648 §3.5)": Rule(
        "proof_malformed", lambda proof: any(map(_loose, proof.value.split(b".")))
    ),
    "no name stands twice (RFC 7515 §4)": Rule(
        "proof_malformed", lambda proof: any(document.names_twice for document in _documents(proof))
    ),
    "header and payload have at most 16 opening brackets each": Rule(
        "proof_malformed", lambda proof: _most(json_text.openers, proof) > MOST_OPENERS
    ),
    "header and payload have at most 32 values each, about": Rule(
        "proof_malformed", lambda proof: _most(json_text.separators, proof) >= MOST_VALUES
    ),
    "header and payload have at most 256 quotation marks, escapes and opening brackets each": Rule(
        "proof_malformed", lambda proof: _most(json_text.marks, proof) > MOST_MARKS
    ),
    "a whole number has at most 19 characters": Rule(
        "proof_malformed", lambda proof: any(document.longest_number > MOST_DIGITS for document in _documents(proof))
    ),
    "another number has at most 24 characters": Rule(
        "proof_malformed", lambda proof: any(document.longest_float > LONGEST_FLOAT for document in _documents(proof))
    ),
    "a number is finite": Rule("proof_malformed", lambda proof: any(one.infinite for one in _documents(proof))),
    "b64 is refused without crit too (RFC 7797 §6)": Rule("proof_critical", lambda proof: "b64" in proof.header),
    "a private member of another kind of key is refused too": Rule(
        "key_private", lambda proof: _PRIVATE_OR_SYMMETRIC & proof.jwk.keys()
    ),
    "EdDSA is Ed25519": Rule("key_unfit", lambda proof: _curve(proof) == "Ed448"),
    "members of a key have one spelling": Rule("key_invalid", _loose_key),
    "an RSA key has at most 4096 bits": Rule("key_invalid", lambda proof: _rsa_number(proof, "n").bit_length() > 4096),
    "an RSA exponent has at most 32 bits": Rule("key_invalid", lambda proof: _rsa_number(proof, "e").bit_length() > 32),
    "an Ed25519 key is not of small order": Rule("key_invalid", _small_order),
    "an authority has at most 260 characters": Rule(
        "target_malformed", lambda proof: _authority(proof) > LONGEST_AUTHORITY
    ),
    # Z06: routers keep them, normal forms do not.
    "the path of a request has no dot segments": Rule("target_malformed", lambda proof: _dotted(proof.request.uri)),
    "a jti is not blank": Rule("claim_malformed", lambda proof: not proof.claims["jti"].strip()),
    "exp and nbf are numbers": Rule("claim_malformed", lambda proof: _not_a_number(proof, "exp", "nbf")),
    "a nonce is a string even where none is asked for": Rule(
        "claim_malformed", lambda proof: type(proof.claims.get("nonce", "")) is not str
    ),
    "exp holds, with the leeway of iat": Rule("proof_expired", _expired),
    "nbf holds, with the leeway of iat": Rule("proof_not_yet_valid", _not_yet_valid),
}


def applying(proof: Proof) -> dict[str, Rule]:
    """The rules that refuse a proof which the RFC lets pass."""
    return {name: rule for name, rule in RULES.items() if rule.applies(proof)}
