"""Causes in the key of the proof. Its members are looked at, and never shown."""

from base64 import urlsafe_b64decode

from dpop_asgi.cli.explain.case import Case
from dpop_asgi.cli.explain.causes.kinds import Advice, Causes, always
from dpop_asgi.cli.explain.findings import Check
from dpop_asgi.core.encoding import b64url_decode
from dpop_asgi.core.jwk import KEY_TYPES, PRIVATE_MEMBERS
from dpop_asgi.errors import Reason

_NEEDED = {"EC": ("crv", "x", "y"), "RSA": ("n", "e"), "OKP": ("crv", "x")}
_SIZES = {"P-256": 32, "P-384": 48, "P-521": 66, "Ed25519": 32}
_SMALLEST_RSA, _LARGEST_RSA = 2048, 4096
_EXPORT = "Export the public key with a JOSE library instead of by hand."


def _reference(case: Case, _check: Check) -> Advice | None:
    found = [name for name in ("kid", "jku", "x5c", "x5u", "x5t") if name in (case.header or {})]
    if not found:
        return None
    return Advice(f"The header only refers to the key ({', '.join(found)}).", "Put the whole public key into jwk.")


def _text_instead(case: Case, _check: Check) -> Advice | None:
    if not isinstance((case.header or {}).get("jwk"), str):
        return None
    return Advice("jwk is a string: the key was turned into JSON twice, or is a PEM.", "Make jwk a JSON object.")


def _private(case: Case, _check: Check) -> Advice:
    found = " ".join(sorted(PRIVATE_MEMBERS & case.members.keys()))
    if case.members.get("kty") == "oct":
        return Advice("jwk is a symmetric key.", "Use a key pair, such as P-256 for ES256.")
    return Advice(
        f"jwk contains the private key ({found}). It has been sent, so it is compromised. It isn't shown here.",
        "Make a new key, get a new token for it, and put only the public members into jwk.",
    )


def _wrong_pair(case: Case, _check: Check) -> Advice:
    needs = " ".join(filter(None, KEY_TYPES.get(case.algorithm, ())))
    has = " ".join(str(case.members[name])[:20] for name in ("kty", "crv") if name in case.members) or "neither"
    return Advice(
        f"{case.algorithm} goes with {needs}, but jwk has {has}.", f"Use the alg that belongs to the key, or {needs}."
    )


def _incomplete(case: Case, _check: Check) -> Advice | None:
    missing = [name for name in _NEEDED.get(str(case.members.get("kty")), ()) if name not in case.members]
    return Advice(f"jwk lacks {' and '.join(missing)}.", _EXPORT) if missing else None


def _not_base64url(case: Case, _check: Check) -> Advice | None:
    for name in ("x", "y", "n", "e"):
        try:
            b64url_decode(str(case.members.get(name, "")).encode("ascii"))
        except ValueError:
            return Advice(f"{name} isn't base64url without padding, in its one form.", _EXPORT)
    return None


def _sizes(case: Case, _check: Check) -> Advice | None:
    size = _SIZES.get(str(case.members.get("crv")))
    for name in ("x", "y"):
        if size is None or name not in case.members:
            continue
        actual = len(_bytes(case, name))
        if actual < size:
            return Advice(f"{name} has {actual} of {size} bytes: zeros at its beginning were left out.", _EXPORT)
        if actual > size:
            return Advice(f"{name} has {actual} bytes instead of {size}: a zero was put before it.", _EXPORT)
    return None


def _rsa(case: Case, _check: Check) -> Advice | None:
    bits = int.from_bytes(_bytes(case, "n"), "big").bit_length()
    if case.members.get("kty") != "RSA":
        return None
    if not _SMALLEST_RSA <= bits <= _LARGEST_RSA:
        return Advice(f"The RSA key has {bits} bits.", "Use 2048 to 4096 bits, or better P-256 with ES256.")
    return Advice("n or e begins with a zero byte, or e is longer than 32 bits.", _EXPORT)


def _bytes(case: Case, name: str) -> bytes:
    text = str(case.members.get(name, ""))
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


CAUSES: Causes = {
    Reason.KEY_MISSING: (
        _reference,
        _text_instead,
        always("The header has no jwk with the client's public key.", "Put the whole public key into jwk."),
    ),
    Reason.KEY_PRIVATE: (_private,),
    Reason.KEY_UNFIT: (_wrong_pair,),
    Reason.KEY_INVALID: (
        _incomplete,
        _not_base64url,
        _sizes,
        _rsa,
        always("The coordinates aren't a point on the curve: x and y are of different keys, or altered.", _EXPORT),
    ),
}
