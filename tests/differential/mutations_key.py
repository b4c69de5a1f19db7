"""Changes of algorithm, key and signature."""

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from tests.differential import base64url, keys
from tests.differential.drafts import Draft, drop, put
from tests.differential.drawn import Drawn
from tests.differential.mutations_text import Mutation
from tests.differential.verifier import ALGORITHMS, thumbprint

_OTHER_ALGORITHMS = (
    *("none", "None", "HS256", "RS256", "PS384", "PS512", "ES384", "ES512", "ES256K", "Ed448", "es256", "ES256 ", ""),
    *(None, True, 256, ["ES256"], {"ES256": 1}),
)
_NUMBERS = [key[name] for key in keys.KEYS.values() for name in ("x", "y", "n", "e") if name in key]
_VALUES: tuple[Any, ...] = (None, True, 0, 1.5, "", "AQAB", "=", "A", "\u00e9", [], ["P-256"], {}, {"kty": "EC"})
_ORDER = 2**252 + 27742317777372353535851937790883648493
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def _use_key(draft: Draft, name: str, *, jwk: bool = True, bind: bool = True) -> None:
    """Let another key sign; it stands in the header, and the token is bound to it."""
    draft.signed_with = name
    if jwk:
        put(draft.header, "jwk", keys.public(name))
    if bind:
        draft.request = replace(draft.request, jkt=keys.jkt(name))


def _bind_to_jwk(draft: Draft) -> None:
    """Bind the token to the key as it is now spelled, so that the binding is not what refuses."""
    try:
        draft.request = replace(draft.request, jkt=thumbprint(draft.jwk))
    except (KeyError, TypeError):
        return


def other_algorithm(drawn: Drawn, draft: Draft) -> None:
    """Of the list, or not. Between EdDSA and Ed25519 it makes no difference (RFC 9864 §2.2)."""
    put(draft.header, "alg", drawn.pick((*ALGORITHMS, *_OTHER_ALGORITHMS)))


def header_types(drawn: Drawn, draft: Draft) -> None:
    name = drawn.pick(("typ", "alg", "jwk"))
    value = drawn.pick((*_VALUES, "DPoP+JWT", "application/dpop+jwt", "JWT", "at+jwt", "dpop+jwt "))
    if drawn.chance():
        drop(draft.header, name)
    else:
        put(draft.header, name, value)


def critical(drawn: Drawn, draft: Draft) -> None:
    name = drawn.pick(("crit", "b64", "B64", "Crit"))
    put(draft.header, name, drawn.pick((["exp"], ["b64"], [], None, False, True, "")))


def other_key(drawn: Drawn, draft: Draft) -> None:
    """Another client's, in each place where it can stand, and of each kind."""
    name = drawn.pick(tuple(keys.KEYS))
    _use_key(draft, name, jwk=drawn.chance(), bind=drawn.chance())
    if drawn.chance():
        put(draft.header, "alg", drawn.pick(ALGORITHMS))


def other_kind(drawn: Drawn, draft: Draft) -> None:
    """Everything fits together, but for what is wrong with the key itself."""
    name, algorithm = drawn.pick(
        (
            ("ES256 of another client", "ES256"),
            ("P-384", "ES256"),
            ("RSA of 4104 bits", "PS256"),
            ("RSA of 1024 bits", "PS256"),
            ("RSA with a long exponent", "PS256"),
            ("RSA of another client", "PS256"),
            ("Ed25519", "EdDSA"),
            ("Ed448", "EdDSA"),
            ("Ed448", "Ed25519"),
        )
    )
    _use_key(draft, name)
    put(draft.header, "alg", algorithm)


def members_of_key(drawn: Drawn, draft: Draft) -> None:
    """A member of another type, missing, or one that a public key does not have."""
    name = drawn.pick(
        ("kty", "crv", "x", "y", "n", "e", "d", "p", "q", "dp", "dq", "qi", "oth", "k", "use", "alg", "kid")
    )
    value = drawn.pick((*_VALUES, "EC", "RSA", "OKP", "oct", "P-256", "P-384", "Ed25519", "X25519", "secp256k1"))
    jwk = {member: known for member, known in draft.jwk.items() if member != name}
    put(draft.header, "jwk", jwk if drawn.chance() else {**jwk, name: value})
    _bind_to_jwk(draft)


_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

# Other spellings of a number, and other numbers.
_SPELLINGS: tuple[Callable[[bytes, str], bytes | str], ...] = (
    lambda octets, value: b"\0" + octets,
    lambda octets, value: octets[1:],
    lambda octets, value: octets[:-1],
    lambda octets, value: octets[:-1] + bytes([octets[-1] ^ 1]),
    lambda octets, value: bytes(len(octets)),
    lambda octets, value: b"\xff" * len(octets),
    lambda octets, value: value + "=" * (-len(value) % 4),
    lambda octets, value: value + "\n",
    lambda octets, value: value.replace("-", "+").replace("_", "/"),
    # With a bit that belongs to no byte, where there is one.
    lambda octets, value: value if len(value) % 4 == 0 else value[:-1] + _LETTERS[_LETTERS.index(value[-1]) ^ 1],
)


def spelling_of_key(drawn: Drawn, draft: Draft) -> None:
    """Leading zeros, padding, bits over, another point: the token is bound to the key as it is spelled."""
    numbers = [name for name in ("x", "y", "n", "e") if draft.jwk.get(name) in _NUMBERS]
    if numbers:
        name = drawn.pick(numbers)
        value = draft.jwk[name]
        other = drawn.pick(_SPELLINGS)(base64url.decode(value.encode()), value)
        spelled = other if isinstance(other, str) else base64url.encode(other).decode()
        put(draft.header, "jwk", {**draft.jwk, name: spelled})
        _bind_to_jwk(draft)


def small_order(drawn: Drawn, draft: Draft) -> None:
    """With such a key anybody can write signatures: R is the neutral element, S is 0."""
    neutral = (1).to_bytes(32, "little")
    encoded = drawn.pick(
        (neutral, (2**255 - 20).to_bytes(32, "little"), bytes(32), bytes(31) + b"\x80", neutral[:-1] + b"\x80")
    )
    put(draft.header, "alg", drawn.pick(("Ed25519", "EdDSA")))
    put(draft.header, "jwk", {"kty": "OKP", "crv": "Ed25519", "x": base64url.encode(encoded).decode()})
    draft.signed_with = lambda _: neutral + bytes(32)
    _bind_to_jwk(draft)


def other_signature(drawn: Drawn, draft: Draft) -> None:
    """The signature itself: a second one that is as good, or none at all."""
    usual, algorithm = draft.sign, draft.algorithm
    change = drawn.pick(
        (
            lambda message, made: bytes(len(made)),
            lambda message, made: made[: len(made) // 2],
            lambda message, made: made + b"\0",
            lambda message, made: b"\0" + made,
            lambda message, made: sha256(message).digest(),
            lambda message, made: _twin(algorithm, made),
        )
    )
    draft.signed_with = lambda message: change(message, usual(message))


def _twin(algorithm: str, made: bytes) -> bytes:
    """ECDSA has two signatures for each (r, -s); EdDSA must refuse S + L (RFC 8032 §5.1.7)."""
    if algorithm == "ES256":
        return made[:32] + (-int.from_bytes(made[32:], "big") % _P256_ORDER).to_bytes(32, "big")
    if algorithm == "PS256":
        return made
    return made[:32] + ((int.from_bytes(made[32:], "little") + _ORDER) % 2**256).to_bytes(32, "little")


def other_salt(drawn: Drawn, draft: Draft) -> None:
    """RFC 7518 §3.5: as long as the hash."""
    salt, name = drawn.pick((32, 0, 20, 31, 33, 48, 64, 222)), "PS256"
    draft.signed_with = lambda message: keys.pss(keys.KEYS[name], message, salt)
    put(draft.header, "alg", "PS256")
    put(draft.header, "jwk", keys.public(name))
    _bind_to_jwk(draft)


def der_signature(drawn: Drawn, draft: Draft) -> None:
    """ECDSA as other protocols have it."""
    usual = draft.sign

    def sign(message: bytes) -> bytes:
        raw = usual(message)
        return encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:64], "big"))

    draft.signed_with = sign


KEY_MUTATIONS: tuple[Mutation, ...] = (
    other_algorithm,
    header_types,
    critical,
    other_key,
    other_kind,
    members_of_key,
    spelling_of_key,
    small_order,
    other_signature,
    other_salt,
    der_signature,
)
