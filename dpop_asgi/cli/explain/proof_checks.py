"""The checks of RFC 9449 §4.3 on a proof: those of `core.checks`, which the middleware stops at, all of them.

Where a part is missing or wrong, something that passes stands in for it, so that the rest can be checked too.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from dpop_asgi.cli.explain.case import Case
from dpop_asgi.cli.explain.findings import Findings
from dpop_asgi.cli.explain.message import shortened
from dpop_asgi.cli.explain.table import (
    ALG,
    ATH,
    CLAIMS,
    CRIT,
    EXP,
    HEADER,
    HTM,
    HTU,
    IAT,
    JWK,
    NBF,
    SHAPE,
    SIGNATURE,
    TYP,
)
from dpop_asgi.core.checks import ProofContext, claim_failures, header_failures, request_failures
from dpop_asgi.core.encoding import b64url_decode
from dpop_asgi.core.htu import normalise
from dpop_asgi.core.jwk import KEY_TYPES, matches_algorithm, parse_public_jwk
from dpop_asgi.core.strict_json import strict_json_object
from dpop_asgi.errors import Reason

_Part = TypeVar("_Part")
_PARTS = 3


def check_shape(case: Case, findings: Findings) -> None:
    """Size and encoding. Fills in every part that can be read, of half a proof too."""
    value, limit = case.proof, case.rules.policy.max_bytes
    if value is None:
        return
    findings.note(HEADER, bytes=len(value), limit=limit)
    parts = value.split(b".")
    case.header = _read(parts, 0, _json)
    case.claims = _read(parts, 1, _json)
    case.signature = _read(parts, 2, b64url_decode)
    case.signing_input = b".".join(parts[:2])
    read = {"header": case.header, "claims": case.claims, "signature": case.signature or None}
    unreadable = [name for name, part in read.items() if part is None]
    if len(value) > limit:
        findings.failed(Reason.PROOF_TOO_LARGE)
    if unreadable or len(parts) != _PARTS:
        reason = Reason.PROOF_REPEATED if b"," in value else Reason.PROOF_MALFORMED
        findings.failed(reason, parts=len(parts), unreadable=" and ".join(unreadable) or "none")
    findings.passed(Reason.PROOF_TOO_LARGE, *SHAPE.reasons)


def _json(segment: bytes) -> dict[str, Any]:
    return strict_json_object(b64url_decode(segment))


def _read(parts: list[bytes], number: int, read: Callable[[bytes], _Part]) -> _Part | None:
    try:
        return read(parts[number])
    except (IndexError, ValueError, RecursionError):
        return None


def check_header(case: Case, findings: Findings) -> None:
    """`typ`, `alg`, `crit` and `jwk`. Fills in the key."""
    header, policy = case.header, case.rules.policy
    if header is None:
        return
    findings.note(TYP, typ=_shown(header.get("typ", "none")))
    findings.note(ALG, alg=_shown(header.get("alg", "none")), accepted=" ".join(policy.algorithms))
    findings.note(JWK, **_key_facts(case.members))
    algorithm = _usable_algorithm(case)
    accepted = replace(policy, algorithms=(*policy.algorithms, algorithm or policy.algorithms[0]))
    failures = [
        *header_failures(header, policy),
        *header_failures({**header, "alg": algorithm or policy.algorithms[0]}, accepted),
    ]
    reasons = {failure.reason: failure for failure in failures}
    if algorithm != case.algorithm:
        # Judged by an algorithm that stands in for the one in the proof.
        reasons.pop(Reason.KEY_UNFIT, None)
    failed = findings.listed(
        reasons.values(), (*TYP.reasons, *ALG.reasons, *CRIT.reasons, Reason.KEY_MISSING, Reason.KEY_PRIVATE)
    )
    if Reason.KEY_MISSING not in failed and Reason.KEY_UNFIT not in failed and algorithm is not None:
        if algorithm == case.algorithm:
            findings.passed(Reason.KEY_UNFIT)
        _load_key(case, findings, algorithm)


def _usable_algorithm(case: Case) -> str | None:
    """The proof's `alg`, or if there is no such algorithm, one that the key could be used with."""
    if case.algorithm in KEY_TYPES:
        return case.algorithm
    return next((name for name in KEY_TYPES if matches_algorithm(case.members, name)), None)


def _load_key(case: Case, findings: Findings, algorithm: str) -> None:
    try:
        case.key = parse_public_jwk(case.members, algorithm).load()
        findings.note(JWK, thumbprint=case.key.thumbprint)
        findings.passed(Reason.KEY_INVALID)
    except ValueError:
        findings.failed(Reason.KEY_INVALID)


def _key_facts(members: Mapping[str, Any]) -> dict[str, object]:
    """What kind of key it is: never a member that could be private."""
    return {name: _shown(members[name]) for name in ("kty", "crv") if name in members}


def _shown(value: object) -> str:
    """Header parameters with a few known values: anything else is cut, and may be a secret."""
    if not isinstance(value, str):
        return f"a {type(value).__name__}"
    return value if len(value) <= 20 and value.isprintable() else shortened(value)  # noqa: PLR2004 - of a word


# Which claim a check is about.
_CLAIM_OF = {
    Reason.METHOD_MISMATCH: "htm",
    Reason.TARGET_MISMATCH: "htu",
    Reason.ISSUED_TOO_EARLY: "iat",
    Reason.ISSUED_IN_FUTURE: "iat",
    Reason.PROOF_EXPIRED: "exp",
    Reason.PROOF_NOT_YET_VALID: "nbf",
    Reason.TOKEN_HASH_MISMATCH: "ath",
}
_OPTIONAL = frozenset({"exp", "nbf"})


def check_claims(case: Case, findings: Findings) -> None:
    """The claims by themselves, and in view of the request."""
    if case.claims is None:
        return
    failures = list(claim_failures(case.claims))
    findings.listed(failures, CLAIMS.reasons)
    wrong = {str(failure.facts["claim"]) for failure in failures}
    sound = {name: value for name, value in case.claims.items() if name not in wrong}
    findings.note(CLAIMS, present=" ".join(name for name in ("jti", "htm", "htu", "iat", "ath") if name in sound))
    _note_claims(case, findings, sound)
    known = {"iat", "exp", "nbf", *_known(case)}
    usable = known & (sound.keys() | (_OPTIONAL - wrong))
    comparable = [reason for reason, name in _CLAIM_OF.items() if name in usable]
    findings.listed(_request_failures(case, sound, known), comparable)


def _known(case: Case) -> list[str]:
    parts = {"htm": case.message.method, "htu": case.target_uri, "ath": case.token}
    return [name for name, part in parts.items() if part is not None]


def _request_failures(case: Case, sound: Mapping[str, Any], known: set[str]) -> Any:  # noqa: ANN401 - see core.checks
    """Of `core.checks`, with claims that pass in place of those that can't be compared."""
    context = ProofContext(
        method=case.message.method or "GET",
        target_uri=case.target_uri or "https://unknown.invalid/",
        token_hash=case.token_hash,
        now=case.now,
        policy=case.rules.policy,
        websocket=case.message.websocket,
    )
    passing = {"htm": context.method, "htu": context.target_uri, "iat": case.now, "ath": context.token_hash or ""}
    return request_failures({**passing, **{name: sound[name] for name in known & sound.keys()}}, context)


def _note_claims(case: Case, findings: Findings, sound: Mapping[str, Any]) -> None:
    policy, now = case.rules.policy, case.now
    if "htm" in sound:
        findings.note(HTM, signed=_shown(sound["htm"]), request=_shown(case.message.method or "unknown"))
    if "htu" in sound:
        signed = normalise(sound["htu"], websocket=case.message.websocket)
        findings.note(HTU, signed=signed or "not an absolute http(s) URL", request=case.target_uri or "unknown")
    if "iat" in sound:
        iat = sound["iat"]
        findings.note(IAT, iat=iat, now=round(now, 3), age=round(now - iat, 3))
        findings.note(IAT, max_age=policy.max_age, max_future=policy.max_future)
    for topic in (EXP, NBF):
        if topic.name in sound:
            findings.note(topic, **{topic.name: sound[topic.name], "now": round(now, 3), "leeway": policy.max_future})
    if "ath" in sound:
        findings.note(ATH, signed=shortened(sound["ath"]))
        if case.token_hash is not None:
            findings.note(ATH, token=shortened(case.token_hash))


def check_signature(case: Case, findings: Findings) -> None:
    """Whether the key in the proof made the signature."""
    if case.key is None or not case.signature or case.algorithm not in KEY_TYPES:
        return
    findings.note(SIGNATURE, alg=case.algorithm, bytes=len(case.signature))
    if case.key.verify(case.algorithm, case.signing_input, case.signature):
        findings.passed(Reason.SIGNATURE_INVALID)
    else:
        findings.failed(Reason.SIGNATURE_INVALID)
