"""The checks of RFC 9449 §4.3, in their order, each with the rejection that follows from it.

The functions yield what fails: a reader that raises the first pays for no more, and a tool can list them all. The
signature (item 6) is not among them: it is checked last and on its own, since everything before it costs an attacker
more than us.
"""

from collections.abc import Iterator, Mapping
from hmac import compare_digest
from typing import Any, NamedTuple

from dpop_asgi.core import jwk
from dpop_asgi.core.htu import doubled_prefix, normalise
from dpop_asgi.core.policy import ProofPolicy
from dpop_asgi.errors import InvalidProof, Reason

# RFC 7515 §4.1.11, RFC 7797 §6: extensions that change what is signed.
_NOT_UNDERSTOOD = frozenset({"crit", "b64"})
# RFC 9449 §4.2, RFC 7519 §4.1. Any other claim may be anything.
_TEXT, _NUMBER = frozenset({str}), frozenset({int, float})
_CLAIMS = {
    **dict.fromkeys(("jti", "htm", "htu", "ath", "nonce"), _TEXT),
    **dict.fromkeys(("iat", "exp", "nbf"), _NUMBER),
}
# §4.2: `ath` as soon as there is an access token.
CLAIMS = ("jti", "htm", "htu", "iat")
CLAIMS_WITH_TOKEN = (*CLAIMS, "ath")
_TIMES = ("iat", "exp", "nbf")
# So that a line of the log has room for two URIs; and to write long ones takes longer than to compare them.
_SHOWN_CHARACTERS = 900


class ProofContext(NamedTuple):
    """What a proof is compared with.

    Attributes:
        method: of the request, as sent.
        target_uri: of the request, in the normal form of `htu.normalise`.
        token_hash: base64url SHA-256 of the access token; `None` where there is none yet, as at a token endpoint.
        now: seconds since the epoch.
        policy: the numbers.
        websocket: whether the request is a WebSocket handshake.
    """

    method: str
    target_uri: str
    token_hash: str | None
    now: float
    policy: ProofPolicy
    websocket: bool = False


def header_failures(header: Mapping[str, Any], policy: ProofPolicy) -> Iterator[InvalidProof]:
    """Which checks a header fails."""
    algorithm, members = header.get("alg"), header.get("jwk")
    if header.get("typ") != "dpop+jwt":  # item 4
        yield InvalidProof(Reason.PROOF_TYPE)
    if type(algorithm) is not str or algorithm not in policy.algorithms:  # item 5
        yield InvalidProof(Reason.PROOF_ALGORITHM)
        return
    if not _NOT_UNDERSTOOD.isdisjoint(header):
        yield InvalidProof(Reason.PROOF_CRITICAL)
    if type(members) is not dict:  # item 3
        yield InvalidProof(Reason.KEY_MISSING)
        return
    if not jwk.PRIVATE_MEMBERS.isdisjoint(members):  # item 7
        yield InvalidProof(Reason.KEY_PRIVATE)
    if not jwk.matches_algorithm(members, algorithm):  # RFC 8725 §3.1
        yield InvalidProof(Reason.KEY_UNFIT)


def claim_failures(
    claims: Mapping[str, Any], *, required: tuple[str, ...] = CLAIMS_WITH_TOKEN
) -> Iterator[InvalidProof]:
    """Which checks claims fail by themselves (item 3; RFC 9449 §4.2)."""
    for name in required:
        if name not in claims:
            yield InvalidProof(Reason.CLAIM_MISSING, claim=name)
    for name, value in claims.items():
        if name in _CLAIMS and type(value) not in _CLAIMS[name]:
            yield InvalidProof(Reason.CLAIM_MALFORMED, claim=name)
    if type(claims.get("jti")) is str and not claims["jti"].strip():
        yield InvalidProof(Reason.CLAIM_MALFORMED, claim="jti")


def request_failures(claims: Mapping[str, Any], context: ProofContext) -> Iterator[InvalidProof]:
    """Which checks claims fail in view of the request.

    `exp` and `nbf` are not defined for proofs; where a client sends them they hold, with the leeway that `iat` has.
    """
    now, policy, expected = context.now, context.policy, context.target_uri
    if claims["htm"] != context.method:  # item 8
        yield InvalidProof(Reason.METHOD_MISMATCH, expected=context.method)
    received = claims["htu"]
    # Spelled in another way, it is normalised once: anyone can send a long one.
    if received != expected and (received := normalise(received, websocket=context.websocket)) != expected:  # item 9
        yield InvalidProof(Reason.TARGET_MISMATCH, **_targets(expected, received))
    if claims["iat"] < now - policy.max_age:  # item 11
        yield InvalidProof(Reason.ISSUED_TOO_EARLY, **_times(claims, context))
    if claims["iat"] > now + policy.max_future:  # §11.1
        yield InvalidProof(Reason.ISSUED_IN_FUTURE, **_times(claims, context))
    if "exp" in claims and claims["exp"] + policy.max_future < now:  # RFC 7519 §4.1.4
        yield InvalidProof(Reason.PROOF_EXPIRED, **_times(claims, context))
    if "nbf" in claims and claims["nbf"] > now + policy.max_future:  # RFC 7519 §4.1.5
        yield InvalidProof(Reason.PROOF_NOT_YET_VALID, **_times(claims, context))
    if not _is_for_token(claims, context.token_hash):  # item 12a
        yield InvalidProof(Reason.TOKEN_HASH_MISMATCH)


def _is_for_token(claims: Mapping[str, Any], token_hash: str | None) -> bool:
    return token_hash is None or (claims["ath"].isascii() and compare_digest(claims["ath"], token_hash))


def _targets(expected: str, received: str | None) -> dict[str, object]:
    """Of what was received the normal form: it has no query, where clients may have put a secret."""
    facts: dict[str, object] = {
        "expected": expected[:_SHOWN_CHARACTERS],
        "received": received and received[:_SHOWN_CHARACTERS],
    }
    prefix = doubled_prefix(expected, received or "")
    if prefix:
        facts["hint"] = f"{prefix} is duplicated: public_url has it, and the path too: the proxy does not strip it"
    return facts


def _times(claims: Mapping[str, Any], context: ProofContext) -> dict[str, object]:
    policy = context.policy
    times = {name: claims[name] for name in _TIMES if name in claims}
    return {**times, "now": context.now, "max_age": policy.max_age, "max_future": policy.max_future}
