"""The checks of RFC 9449 §4.3, in their order, and what is said of each: `CHECKS`.

The functions tell which checks fail, one after the other. A reader who stops at the first pays for no more; a tool can
have them all. The signature (item 6) is not among them: it is checked last and on its own, since everything before
costs an attacker more than us.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hmac import compare_digest
from itertools import chain
from typing import Any

from dpop_asgi.core import jose
from dpop_asgi.core.htu import doubled_prefix, normalise
from dpop_asgi.core.policy import ProofPolicy
from dpop_asgi.errors import InvalidProof, Reason

_NOT_UNDERSTOOD = frozenset({"crit", "b64"})
# RFC 9449 §4.2, RFC 7519 §4.1; a claim that is not here may be anything.
_NUMBER = frozenset({int, float})
_REQUIRED_CLAIMS = ("jti", "htm", "htu", "iat", "ath")
_NUMBERS = ("iat", "exp", "nbf")
_SHOWN_CHARACTERS = 900


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
        claimed_uri: `htu` of the proof in the normal form of `htu.normalise`, where it was spelled in another way than
            the target. It is not worked out twice: anybody can send a long one.
    """

    method: str
    target_uri: str
    token_hash: str
    now: float
    policy: ProofPolicy
    websocket: bool = False
    claimed_uri: str | None = None


def header_failures(header: Mapping[str, Any], policy: ProofPolicy) -> Iterator[Reason]:
    """Which checks a header fails."""
    algorithm, members = header.get("alg"), header.get("jwk")
    if header.get("typ") != "dpop+jwt":
        yield Reason.PROOF_TYPE
    if type(algorithm) is not str or algorithm not in policy.algorithms:
        yield Reason.PROOF_ALGORITHM
        return
    if not _NOT_UNDERSTOOD.isdisjoint(header):
        yield Reason.PROOF_CRITICAL
    if type(members) is not dict:
        yield Reason.KEY_MISSING
        return
    if not jose.PRIVATE_MEMBERS.isdisjoint(members):
        yield Reason.KEY_PRIVATE
    if not jose.fits(members, algorithm):
        yield Reason.KEY_UNFIT


def claim_failures(claims: Mapping[str, Any]) -> Iterator[Reason]:
    """Which checks claims fail by themselves."""
    jti, get = claims.get("jti"), claims.get
    # One after the other, and not by a table: that takes two to three times as long.
    required_ones_fit = (
        type(jti) is str
        and type(get("htm")) is str
        and type(get("htu")) is str
        and type(get("ath")) is str
        and type(get("iat")) in _NUMBER
    )
    if not required_ones_fit and any(name not in claims for name in _REQUIRED_CLAIMS):
        yield Reason.CLAIM_MISSING
    elif not (
        required_ones_fit
        and type(get("nonce", "")) is str
        and type(get("exp", 0)) in _NUMBER
        and type(get("nbf", 0)) in _NUMBER
        and claims["jti"].strip()
    ):
        yield Reason.CLAIM_MALFORMED


def _malformed(claims: Mapping[str, Any]) -> str:
    wrong_numbers = (name for name in _NUMBERS if type(claims.get(name, 0)) not in _NUMBER)
    wrong_texts = (name for name in ("htm", "htu", "ath", "nonce") if type(claims.get(name, "")) is not str)
    return next(chain(wrong_numbers, wrong_texts), "jti")


def request_failures(claims: Mapping[str, Any], situation: Situation) -> Iterator[Reason]:
    """Which checks claims fail in view of the request.

    `exp` and `nbf` are not defined for proofs; where a client sends them they hold, with the leeway that `iat` has.
    """
    now, policy = situation.now, situation.policy
    if claims["htm"] != situation.method:
        yield Reason.METHOD_MISMATCH
    if claims["htu"] != situation.target_uri and _is_for_another_target(claims, situation):
        yield Reason.TARGET_MISMATCH
    if claims["iat"] < now - policy.max_age:
        yield Reason.ISSUED_TOO_EARLY
    if claims["iat"] > now + policy.max_future:
        yield Reason.ISSUED_IN_FUTURE
    if "exp" in claims and claims["exp"] + policy.max_future < now:
        yield Reason.PROOF_EXPIRED
    if "nbf" in claims and claims["nbf"] > now + policy.max_future:
        yield Reason.PROOF_NOT_YET_VALID
    if not (claims["ath"].isascii() and compare_digest(claims["ath"], situation.token_hash)):
        yield Reason.TOKEN_HASH_MISMATCH


def _is_for_another_target(claims: Mapping[str, Any], situation: Situation) -> bool:
    situation.claimed_uri = normalise(claims["htu"], websocket=situation.websocket)
    return situation.claimed_uri != situation.target_uri


def _shown(uri: str | None) -> str | None:
    """Cut, so that a line of the log has room for two; and to write long ones takes longer than to compare them."""
    return uri and uri[:_SHOWN_CHARACTERS]


def _targets(_: Mapping[str, Any], situation: Situation) -> dict[str, object]:
    """Of what was received the normal form: it has no query, where clients may have put a secret."""
    expected, received = situation.target_uri, situation.claimed_uri
    facts: dict[str, object] = {"expected": _shown(expected), "received": _shown(received)}
    prefix = doubled_prefix(expected, received or "")
    if prefix:
        facts["hint"] = f"{prefix} is duplicated: public_url has it, and the path too (not stripped, or --root-path)"
    return facts


def _clock(claims: Mapping[str, Any], situation: Situation) -> dict[str, object]:
    policy = situation.policy
    times = {name: claims[name] for name in ("iat", "exp", "nbf") if name in claims}
    return {**times, "now": situation.now, "max_age": policy.max_age, "max_future": policy.max_future}


@dataclass(frozen=True, slots=True)
class Check:
    """Where the RFC asks for it, and from what failed it numbers and names for the log."""

    section: str
    facts: Callable[..., dict[str, object]] = lambda *_: {}


CHECKS: Mapping[Reason, Check] = {
    Reason.PROOF_TYPE: Check("RFC 9449 §4.3 item 4"),
    Reason.PROOF_ALGORITHM: Check("RFC 9449 §4.3 item 5"),
    Reason.PROOF_CRITICAL: Check("RFC 7515 §4.1.11, RFC 7797 §6"),
    Reason.KEY_MISSING: Check("RFC 9449 §4.3 item 3"),
    Reason.KEY_PRIVATE: Check("RFC 9449 §4.3 item 7"),
    Reason.KEY_UNFIT: Check("RFC 8725 §3.1"),
    Reason.CLAIM_MISSING: Check(
        "RFC 9449 §4.3 item 3",
        lambda claims: {"claim": next(name for name in _REQUIRED_CLAIMS if name not in claims)},
    ),
    Reason.CLAIM_MALFORMED: Check("RFC 9449 §4.2", lambda claims: {"claim": _malformed(claims)}),
    Reason.METHOD_MISMATCH: Check("RFC 9449 §4.3 item 8", lambda _, situation: {"expected": situation.method}),
    Reason.TARGET_MISMATCH: Check("RFC 9449 §4.3 item 9", _targets),
    Reason.ISSUED_TOO_EARLY: Check("RFC 9449 §4.3 item 11", _clock),
    Reason.ISSUED_IN_FUTURE: Check("RFC 9449 §11.1", _clock),
    Reason.PROOF_EXPIRED: Check("RFC 7519 §4.1.4", _clock),
    Reason.PROOF_NOT_YET_VALID: Check("RFC 7519 §4.1.5", _clock),
    Reason.TOKEN_HASH_MISMATCH: Check("RFC 9449 §4.3 item 12a"),
}


def refusal(reason: Reason, *of: object) -> InvalidProof:
    """With what is said of the check that failed."""
    return InvalidProof(reason, **CHECKS[reason].facts(*of))
