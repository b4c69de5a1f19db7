"""Causes in the shape of the proof, in its header, and in its signature."""

import re

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from dpop_asgi.cli.explain.case import Case
from dpop_asgi.cli.explain.causes.kinds import Advice, Causes, always
from dpop_asgi.cli.explain.findings import Check
from dpop_asgi.core.jwk import KEY_TYPES
from dpop_asgi.errors import Reason

_PARTS, _JWE_PARTS = 3, 5
# Bytes of R, and of S, by curve (RFC 7518 §3.4).
_HALVES = {"ES256": 32, "ES384": 48, "ES512": 66}
_NEW_ONE = "Make a new proof with a JOSE library: three parts, base64url without padding."


def _text(case: Case) -> str:
    return (case.proof or b"").decode("utf-8", "replace")


def _number_of_parts(case: Case, _check: Check) -> Advice | None:
    parts = _text(case).count(".") + 1
    if parts == _JWE_PARTS:
        return Advice("It has five parts: an encrypted JWT (JWE).", "Send a signed JWT (JWS).")
    if parts < _PARTS:
        return Advice(f"It has {parts} of 3 parts: it is cut off, or not signed.", "Copy or send it whole.")
    return None if parts == _PARTS else Advice(f"It has {parts} parts instead of 3: not a compact JWS.", _NEW_ONE)


def _scheme_inside(case: Case, _check: Check) -> Advice | None:
    if not re.match(r"(dpop|bearer)[ :]", _text(case), re.IGNORECASE):
        return None
    return Advice("The value begins with a scheme, as in Authorization.", "Send the proof alone in the DPoP header.")


def _foreign_characters(case: Case, _check: Check) -> Advice | None:
    text = _text(case)
    found = next((name for mark, name in _FOREIGN.items() if mark in text), None)
    return None if found is None else Advice(f"It contains {found}.", _NEW_ONE)


_FOREIGN = {
    "=": "padding (=): base64url goes without it in a JWT",
    "+": "+ or /: plain base64 instead of base64url",
    "/": "+ or /: plain base64 instead of base64url",
    '"': "quotation marks",
    "%": "escapes (%): it was URL-encoded",
    " ": "white space",
}


def _cut_off(case: Case, _check: Check) -> Advice | None:
    if case.header is None or case.claims is None:
        return None
    return Advice("The signature isn't base64url: its end is missing, or something was added.", _NEW_ONE)


def _unreadable_json(case: Case, _check: Check) -> Advice:
    parts = {"header": case.header, "claims": case.claims}
    names = " and ".join(name for name, part in parts.items() if part is None) or "signature"
    return Advice(
        f"Its {names} can't be read: not base64url of a JSON object, cut off, or with duplicate names.", _NEW_ONE
    )


def _other_typ(case: Case, _check: Check) -> Advice:
    typ = (case.header or {}).get("typ")
    fix = "Set it to exactly dpop+jwt."
    if typ is None:
        return Advice("The header has no typ.", fix)
    if str(typ) in {"at+jwt", "application/at+jwt"}:
        return Advice("This is an access token: it was sent in DPoP instead of the proof.", "Send a proof.")
    if isinstance(typ, str) and "dpop+jwt" in typ.lower():
        return Advice("typ is spelled in another way: it is compared character by character.", fix)
    return Advice("typ is the one of another kind of JWT: the library's default was not changed.", fix)


def _no_signature(case: Case, _check: Check) -> Advice | None:
    algorithm = case.algorithm
    if algorithm == "none":
        return Advice("The proof isn't signed (alg none).", "Sign it with the client's private key.")
    if algorithm.startswith("HS"):
        return Advice(
            "A symmetric algorithm (HMAC) proves nothing: whoever checks it could have made it.",
            "Use an asymmetric key, such as ES256.",
        )
    return None


def _not_in_the_list(case: Case, _check: Check) -> Advice:
    algorithm, accepted = case.algorithm, " ".join(case.rules.policy.algorithms)
    use = f"Use one of {accepted}"
    if not algorithm:
        return Advice("The header has no alg.", f"{use}.")
    if algorithm in {"RS256", "RS384", "RS512"}:
        return Advice(
            f"{algorithm} isn't in the list that the server accepts: FAPI 2.0 forbids RSA with PKCS #1 v1.5.",
            f"{use}, PS256 with the same key; or add {algorithm} to algorithms.",
        )
    if algorithm in KEY_TYPES:
        return Advice(f"{algorithm} isn't in the list that the server accepts.", f"{use}, or add it to algorithms.")
    if algorithm.lower() in map(str.lower, KEY_TYPES):
        return Advice("alg is in the wrong case: it is compared character by character.", f"{use}.")
    return Advice("alg is not an algorithm that is known here.", f"{use}.")


def _der(case: Case, _check: Check) -> Advice | None:
    half, key = _HALVES.get(case.algorithm), case.key
    try:
        numbers = decode_dss_signature(case.signature or b"")
        raw = b"".join(number.to_bytes(half or 0, "big") for number in numbers)
    except (ValueError, OverflowError):
        return None
    if key is None or not key.verify(case.algorithm, case.signing_input, raw):
        return None
    return Advice(
        "The signature is right, but in DER, as OpenSSL makes it.",
        f"JWTs have R and S one after the other, {2 * (half or 0)} bytes for {case.algorithm}.",
    )


def _other_algorithm(case: Case, _check: Check) -> Advice | None:
    key, kind = case.key, KEY_TYPES.get(case.algorithm)
    others = [name for name in KEY_TYPES if KEY_TYPES[name] == kind and name != case.algorithm]
    for name in others:
        if key is not None and key.verify(name, case.signing_input, case.signature or b""):
            return Advice(f"alg says {case.algorithm}, but it was signed with {name}.", "Let both be the same.")
    return None


def _short_signature(case: Case, _check: Check) -> Advice | None:
    size, half = len(case.signature or b""), _HALVES.get(case.algorithm)
    if half is None or size >= 2 * half:
        return None
    return Advice(f"The signature has {size} of {2 * half} bytes: it is cut off.", "Copy or send the proof whole.")


CAUSES: Causes = {
    Reason.PROOF_TOO_LARGE: (
        always("The proof carries more than it needs to.", "Leave out extra claims, and parameters such as x5c."),
    ),
    Reason.PROOF_MALFORMED: (_scheme_inside, _number_of_parts, _foreign_characters, _cut_off, _unreadable_json),
    Reason.PROOF_TYPE: (_other_typ,),
    Reason.PROOF_ALGORITHM: (_no_signature, _not_in_the_list),
    Reason.PROOF_CRITICAL: (
        always("The header has crit or b64: extensions that aren't supported.", "Leave them out of the header."),
    ),
    Reason.SIGNATURE_INVALID: (
        _short_signature,
        _der,
        _other_algorithm,
        always(
            "It was signed with another key than the one in jwk, or changed after it was signed.",
            "Put the public key of the signing key into jwk, and send the proof as the library returns it.",
        ),
    ),
    Reason.PROOF_REPLAYED: (
        always(
            "The proof was used before: the client keeps proofs or retries with the same one, or a proxy sent the "
            "request twice.",
            "Make a new proof, with a new jti, for every request and every retry.",
        ),
    ),
}
