"""Public keys as JWKs (RFC 7517, RFC 7518 §6, RFC 8037), and signatures checked with them.

joserfc imports keys and checks signatures; for ES256, which nearly every client uses, `cryptography` below it is called
directly. Parsing, allow-lists and header rules are our own, since joserfc's defaults do not fit embedded keys: it
rejects headers over 512 bytes, accepts `b64` and private keys, and raises other errors than its own for many malformed
inputs.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from joserfc.jwk import import_key
from joserfc.jws import JWSRegistry

from dpop_asgi.core.encoding import b64url_decode, sha256_b64url
from dpop_asgi.core.options import one_or_more

# The asymmetric algorithms of RFC 7518 and RFC 9864 that a policy may list, each with the one key type that fits it.
# EdDSA is the older name: with Ed25519 keys only (RFC 9864 §2.2).
KEY_TYPES: Mapping[str, tuple[str, str | None]] = {
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "PS256": ("RSA", None),
    "PS384": ("RSA", None),
    "PS512": ("RSA", None),
    "RS256": ("RSA", None),
    "RS384": ("RSA", None),
    "RS512": ("RSA", None),
    "Ed25519": ("OKP", "Ed25519"),
    "EdDSA": ("OKP", "Ed25519"),
}

# RFC 7518 §6 and RFC 8037 §2. `p` without `d` still leaks the key, so every member counts.
PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})

# The members that RFC 7638 §3.2 hashes, and which of them are numbers. All other members of a JWK are ignored.
_PUBLIC_MEMBERS = {"EC": ("crv", "kty", "x", "y"), "RSA": ("e", "kty", "n"), "OKP": ("crv", "kty", "x")}
_NUMBERS = {"EC": ("x", "y"), "RSA": ("n", "e"), "OKP": ("x",)}

_LARGEST_FIRST_BYTE = 0x7F

# Each of R and S (RFC 7518 §3.4).
_ES256_BYTES = 32
# Of a digest, since `hashlib` hashes faster than `cryptography`.
_ECDSA_SHA256 = ec.ECDSA(Prehashed(hashes.SHA256()))

_P256 = ec.SECP256R1()
_COORDINATE_BYTES = {"P-256": 32, "P-384": 48, "P-521": 66, "Ed25519": 32}

# FAPI 2.0 §5.4.1 sets the lower bound. Above 4096 bits, or with an exponent over 32 bits,
# a caller could choose how long a verification takes.
_RSA_BITS = range(2048, 4097)
_RSA_EXPONENT_BITS = 32

# y-coordinates of the points of order 1, 2, 4 and 8 on edwards25519: with such a key one signature fits every message.
_ED25519_P = 2**255 - 19
_ED25519_SMALL_ORDER = frozenset(
    {
        0,
        1,
        _ED25519_P - 1,
        2707385501144840649318225287225658788936804267575313519463743609750303402022,
        55188659117513257062467267217118295137698188065244968500265048394206261417927,
    }
)


@dataclass(slots=True, eq=False)  # hot path: a frozen one takes longer to make
class PublicKey:
    """A verification key and its RFC 7638 SHA-256 thumbprint (43 characters)."""

    thumbprint: str
    _key: Any

    def verify(self, algorithm: str, message: bytes, signature: bytes) -> bool:
        """Whether `signature` over `message` was made by this key; `False` for malformed signatures too."""
        try:
            if algorithm != "ES256":
                return bool(JWSRegistry.algorithms[algorithm].verify(message, signature, self._key))
            if len(signature) != 2 * _ES256_BYTES:
                return False
            # Hot path: nearly every client uses ES256, and joserfc adds a seventh to the time of the verification.
            self._key.verify(ecdsa_der(signature), sha256(message).digest(), _ECDSA_SHA256)
        except Exception:  # noqa: BLE001 - whatever the libraries below raise for hostile bytes means "no"
            return False
        return True


def matches_algorithm(members: Mapping[str, object], algorithm: str) -> bool:
    """Whether the `kty` and `crv` of a JWK are those that `algorithm` needs."""
    kty, crv = KEY_TYPES[algorithm]
    return members.get("kty") == kty and (crv is None or members.get("crv") == crv)


@dataclass(slots=True, eq=False)
class PublicJWK:
    """A public key parsed from a JWK, with all members present, sized and canonically encoded.

    Call `load` to check that it is a valid key.
    """

    _algorithm: str
    _members: Mapping[str, Any]
    _numbers: list[bytes]

    def load(self) -> PublicKey:
        """The key, ready to verify.

        Raises:
            ValueError: If it isn't a valid key, for example a point that is not on the curve.
        """
        try:
            return self._load_p256() if self._algorithm == "ES256" else self._load()
        except Exception as error:
            msg = "not a public key"
            raise ValueError(msg) from error

    def _load_p256(self) -> PublicKey:
        """Without joserfc, which takes five times as long: every new client waits for it."""
        x, y = self._numbers
        key = ec.EllipticCurvePublicKey.from_encoded_point(_P256, b"\x04" + x + y)
        # RFC 7638 §3.2; both members are known to be base64url.
        members = f'{{"crv":"P-256","kty":"EC","x":"{self._members["x"]}","y":"{self._members["y"]}"}}'
        return PublicKey(thumbprint=sha256_b64url(members), _key=key)

    def _load(self) -> PublicKey:
        names = _PUBLIC_MEMBERS[self._members["kty"]]
        key = import_key({name: self._members[name] for name in names})
        key.get_op_key("verify")
        return PublicKey(thumbprint=key.thumbprint(), _key=key)


def parse_public_jwk(members: Mapping[str, Any], algorithm: str) -> PublicJWK:
    """Parse the required members of a JWK that `matches_algorithm`.

    Raises:
        ValueError: If it can't be an acceptable public key for `algorithm`: incomplete, not canonically
            encoded, RSA outside 2048 to 4096 bits, or an Ed25519 point of small order.
    """
    try:
        numbers = [b64url_decode(members[name].encode("ascii")) for name in _NUMBERS[members["kty"]]]
    except (KeyError, AttributeError, ValueError):
        msg = "a member is missing or not base64url"
        raise ValueError(msg) from None
    if not _has_canonical_encoding(members, numbers):
        msg = "size, encoding or order"
        raise ValueError(msg)
    return PublicJWK(algorithm, members, numbers)


def import_public_key(members: Mapping[str, Any], algorithm: str) -> PublicKey:
    """The key in a JWK.

    Raises:
        ValueError: If it isn't a valid key for `algorithm`.
    """
    if not matches_algorithm(members, algorithm):
        msg = "kty or crv does not fit alg"
        raise ValueError(msg)
    return parse_public_jwk(members, algorithm).load()


def _has_canonical_encoding(members: Mapping[str, Any], numbers: list[bytes]) -> bool:
    """Otherwise a key would have several thumbprints (RFC 7518 §6.2.1.2, §6.3.1.1)."""
    if members["kty"] == "RSA":
        n, e = numbers
        return (
            not (n.startswith(b"\0") or e.startswith(b"\0"))
            and int.from_bytes(n, "big").bit_length() in _RSA_BITS
            and int.from_bytes(e, "big").bit_length() <= _RSA_EXPONENT_BITS
        )
    size = _COORDINATE_BYTES[members["crv"]]
    if members["kty"] == "OKP":
        return len(numbers[0]) == size and _is_canonical_ed25519(numbers[0])
    return len(numbers[0]) == len(numbers[1]) == size


def _is_canonical_ed25519(encoded: bytes) -> bool:
    y = int.from_bytes(encoded, "little") & (2**255 - 1)
    return y < _ED25519_P and y not in _ED25519_SMALL_ORDER


def ecdsa_der(signature: bytes) -> bytes:
    """R and S (RFC 7518 §3.4) as a sequence of two integers (RFC 3279 §2.2.3), for numbers of up to 48 bytes each.

    `cryptography` wants them so, and takes twice as long to make it.
    """
    size = len(signature) // 2
    r, s = signature[:size].lstrip(b"\0"), signature[size:].lstrip(b"\0")
    # With its first bit set it would be negative.
    r = b"\0" + r if not r or r[0] > _LARGEST_FIRST_BYTE else r
    s = b"\0" + s if not s or s[0] > _LARGEST_FIRST_BYTE else s
    # "0" is the tag of a sequence, 2 that of an integer.
    return b"0%c\x02%c%b\x02%c%b" % (len(r) + len(s) + 4, len(r), r, len(s), s)


def check_algorithms(option: str, algorithms: Iterable[str]) -> tuple[str, ...]:
    """The algorithm names as a tuple.

    Raises:
        ValueError: If the list is empty, or one is symmetric, unknown or `none`; the message names `option`.
    """
    names = one_or_more(option, algorithms, f"one or more of {', '.join(KEY_TYPES)}")
    unknown = [name for name in names if name not in KEY_TYPES]
    if unknown:
        msg = f"{option}: {unknown[0]!r} is not supported; choose from {', '.join(KEY_TYPES)}"
        raise ValueError(msg)
    return names
