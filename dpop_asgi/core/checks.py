"""The checks of RFC 9449 §4.3 as one table, `CHECKS`.

A reader stops at the first row that fails; a tool can walk them all. The signature (item 6) is no row: it is checked
last and on its own, since everything before costs an attacker more than us.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hmac import compare_digest
from typing import Any

from dpop_asgi.core import jose
from dpop_asgi.core.htu import normalise
from dpop_asgi.core.policy import ProofPolicy
from dpop_asgi.errors import InvalidProof, Reason

_REQUIRED_CLAIMS = ("jti", "htm", "htu", "iat", "ath")
_REQUIRED = frozenset(_REQUIRED_CLAIMS)
# RFC 9449 §4.2, RFC 7519 §4.1; a claim that is not here may be anything.
_TEXT, _NUMBER = frozenset({str}), frozenset({int, float})
_CLAIM_KINDS: Mapping[str, frozenset[type]] = {
    **dict.fromkeys(("jti", "htm", "htu", "ath", "nonce"), _TEXT),
    **dict.fromkeys(("iat", "exp", "nbf"), _NUMBER),
}


@dataclass(slots=True)  # not frozen, as it is made for each request: that would cost a microsecond
class Situation:
    """What a proof is compared with.

    Attributes:
        method: of the request, as sent.
        target_uri: of the request, in the normal form of `htu.normalise`.
        token_hash: base64url SHA-256 of the access token.
        now: seconds since the epoch.
        policy: the numbers.
        websocket: whether the request is a WebSocket handshake.
    """

    method: str
    target_uri: str
    token_hash: str
    now: float
    policy: ProofPolicy
    websocket: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    """One row of the table: why it refuses, where the RFC says so, when it passes, and numbers for the log.

    Both functions take what is looked at, header or claims, and what it is held against: policy or situation.
    """

    reason: Reason
    section: str
    passes: Callable[..., bool]
    facts: Callable[..., dict[str, object]] = lambda _, __: {}


def _has_jwk(header: Mapping[str, Any], _: ProofPolicy) -> bool:
    return type(header.get("jwk")) is dict


def _is_listed(header: Mapping[str, Any], policy: ProofPolicy) -> bool:
    return type(header.get("alg")) is str and header["alg"] in policy.algorithms


HEADER_CHECKS = (
    Check(Reason.PROOF_TYPE, "RFC 9449 §4.3 item 4", lambda header, _: header.get("typ") == "dpop+jwt"),
    Check(Reason.PROOF_ALGORITHM, "RFC 9449 §4.3 item 5", _is_listed),
    Check(
        Reason.PROOF_CRITICAL, "RFC 7515 §4.1.11, RFC 7797 §6", lambda header, _: not header.keys() & {"crit", "b64"}
    ),
    Check(Reason.KEY_MISSING, "RFC 9449 §4.3 item 3", _has_jwk),
    Check(
        Reason.KEY_PRIVATE, "RFC 9449 §4.3 item 7", lambda header, _: not header["jwk"].keys() & jose.PRIVATE_MEMBERS
    ),
    Check(Reason.KEY_UNFIT, "RFC 8725 §3.1", lambda header, _: jose.fits(header["jwk"], header["alg"])),
)


def _malformed(claims: Mapping[str, Any]) -> str | None:
    for name, value in claims.items():
        kinds = _CLAIM_KINDS.get(name)
        if kinds is not None and type(value) not in kinds:
            return name
    return "jti" if claims["jti"].isspace() or not claims["jti"] else None


CLAIM_CHECKS = (
    Check(
        Reason.CLAIM_MISSING,
        "RFC 9449 §4.3 item 3",
        lambda claims, _: claims.keys() >= _REQUIRED,
        lambda claims, _: {"claim": next(name for name in _REQUIRED_CLAIMS if name not in claims)},
    ),
    Check(
        Reason.CLAIM_MALFORMED,
        "RFC 9449 §4.2",
        lambda claims, _: _malformed(claims) is None,
        lambda claims, _: {"claim": _malformed(claims)},
    ),
)


def _same_target(claims: Mapping[str, Any], situation: Situation) -> bool:
    htu = claims["htu"]
    return htu == situation.target_uri or normalise(htu, websocket=situation.websocket) == situation.target_uri


def _targets(claims: Mapping[str, Any], situation: Situation) -> dict[str, object]:
    # Only the normal form: it has no query, where clients may have put a secret.
    return {"expected": situation.target_uri, "received": normalise(claims["htu"], websocket=situation.websocket)}


def _clock(claims: Mapping[str, Any], situation: Situation) -> dict[str, object]:
    policy = situation.policy
    times = {name: claims[name] for name in ("iat", "exp", "nbf") if name in claims}
    return {**times, "now": situation.now, "max_age": policy.max_age, "max_future": policy.max_future}


def _same_hash(claims: Mapping[str, Any], situation: Situation) -> bool:
    return compare_digest(claims["ath"].encode("utf-8", "surrogatepass"), situation.token_hash.encode("ascii"))


# `exp` and `nbf` are not defined for proofs; where a client sends them they hold, with the leeway that `iat` has.
REQUEST_CHECKS = (
    Check(
        Reason.METHOD_MISMATCH,
        "RFC 9449 §4.3 item 8",
        lambda claims, situation: claims["htm"] == situation.method,
        lambda _, situation: {"expected": situation.method},
    ),
    Check(Reason.TARGET_MISMATCH, "RFC 9449 §4.3 item 9", _same_target, _targets),
    Check(
        Reason.ISSUED_TOO_EARLY,
        "RFC 9449 §4.3 item 11",
        lambda claims, situation: claims["iat"] >= situation.now - situation.policy.max_age,
        _clock,
    ),
    Check(
        Reason.ISSUED_IN_FUTURE,
        "RFC 9449 §11.1",
        lambda claims, situation: claims["iat"] <= situation.now + situation.policy.max_future,
        _clock,
    ),
    Check(
        Reason.PROOF_EXPIRED,
        "RFC 7519 §4.1.4",
        lambda claims, situation: "exp" not in claims or claims["exp"] + situation.policy.max_future >= situation.now,
        _clock,
    ),
    Check(
        Reason.PROOF_NOT_YET_VALID,
        "RFC 7519 §4.1.5",
        lambda claims, situation: "nbf" not in claims or claims["nbf"] <= situation.now + situation.policy.max_future,
        _clock,
    ),
    Check(Reason.TOKEN_HASH_MISMATCH, "RFC 9449 §4.3 item 12a", _same_hash),
)

CHECKS = HEADER_CHECKS + CLAIM_CHECKS + REQUEST_CHECKS


def ask(checks: tuple[Check, ...], subject: Mapping[str, Any], against: ProofPolicy | Situation) -> None:
    """Walk the rows of a part of the table.

    Raises:
        InvalidProof: at the first that fails.
    """
    for check in checks:
        if not check.passes(subject, against):
            raise InvalidProof(check.reason, **check.facts(subject, against))
