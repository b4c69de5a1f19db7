"""The verified access token and its binding to a key."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import Any, Self

from dpop_asgi.core.encoding import b64url_decode
from dpop_asgi.core.strict_json import json_type
from dpop_asgi.errors import InvalidToken, Reason

# How far the clocks of the issuer and this host may differ, unless a verifier says otherwise (RFC 7519 §4.1.4).
LEEWAY_SECONDS = 5.0

_SHA256_BYTES = 32
_END_OF_TIME = 2.0**63
# What issuers call client and scopes: the first that is there counts. RFC 9068 §2.2 has `client_id` and `scope`, OpenID
# Connect `azp`; `cid` and `scp` are Okta's, `appid` and `scp` Microsoft's.
_CLIENTS = ("client_id", "azp", "cid", "appid")
_SCOPES = ("scope", "scp")
_TIMES = ("exp", "nbf", "iat")
_NUMBER = frozenset({int, float})

# Confirmation methods that are checked elsewhere (RFC 8705 §3.1, RFC 7800 §3.2-3.5). Beside a `jkt` they would stay
# unchecked, so tokens with one of them are rejected.
_OTHER_METHODS = frozenset({"x5t#S256", "jwk", "jwe", "jku"})


@dataclass(frozen=True, kw_only=True, slots=True)
class AccessToken:
    """What a token verifier vouches for. The verifier has checked signature, issuer, audience and times.

    Attributes:
        subject: `sub`, whom the token speaks for.
        client_id: the client it was issued to: `client_id`, else `azp`, `cid` or `appid`.
        scopes: the granted scope values: `scope`, else `scp`, a string or an array of strings.
        claims: all claims of the token.
        key_thumbprint: `cnf.jkt`, the RFC 7638 thumbprint that the token is bound to; `None` for an unbound token.
        expires_at: seconds since the epoch; `None` if the issuer didn't set it.
        leeway: seconds after `expires_at` for which the token is still accepted.
        good_until: `expires_at` plus `leeway`, or `inf`: from then on the token is rejected (RFC 7519 §4.1.4).
    """

    subject: str | None = None
    client_id: str | None = None
    scopes: frozenset[str] = frozenset()
    claims: Mapping[str, Any] = field(default_factory=dict, repr=False)
    key_thumbprint: str | None = None
    expires_at: float | None = None
    leeway: float = LEEWAY_SECONDS
    good_until: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Compute `good_until` once: it is read several times per request."""
        until = math.inf if self.expires_at is None else self.expires_at + self.leeway
        object.__setattr__(self, "good_until", until)

    @classmethod
    def from_claims(cls, claims: Mapping[str, Any], *, leeway: float = LEEWAY_SECONDS) -> Self:
        """The token that these claims describe (RFC 9068 §2.2, RFC 9449 §6.1); nothing is verified but their shape.

        Null counts as absent, except for `cnf`. Claims that are not read may be anything.

        Raises:
            InvalidToken: If they don't fit: `token_malformed`, `binding_malformed` or `binding_unsupported`.
        """
        for name in _TIMES:
            time = claims.get(name)
            # No time is later than NaN, which a user's JSON parser may let pass.
            if time is not None and (type(time) not in _NUMBER or not -_END_OF_TIME < time < _END_OF_TIME):
                raise malformed(name, time, expected="a number below 2**63")
        expires_at = claims.get("exp")
        return cls(
            subject=_text(claims, ("sub",)),
            client_id=_text(claims, _CLIENTS),
            scopes=_scopes(claims),
            claims=claims,
            key_thumbprint=_key_thumbprint(claims),
            expires_at=None if expires_at is None else float(expires_at),
            leeway=leeway,
        )


def malformed(claim: str, value: object, *, expected: str) -> InvalidToken:
    """The rejection of a claim: the log has the type of its value, but not the value."""
    return InvalidToken(Reason.TOKEN_MALFORMED, claim=claim, expected=expected, received=json_type(value))


def _text(claims: Mapping[str, Any], names: Iterable[str]) -> str | None:
    for name in names:
        value = claims.get(name)
        if type(value) is str:
            return value
        if value is not None:
            raise malformed(name, value, expected="a string")
    return None


def _scopes(claims: Mapping[str, Any]) -> frozenset[str]:
    for name in _SCOPES:
        value = claims.get(name)
        if type(value) is str:
            return frozenset(value.split())
        if type(value) is list and all(type(each) is str for each in value):
            # A space ends a scope in a list too (RFC 6749 §3.3), so that it doesn't matter who joins them again.
            return frozenset(" ".join(value).split())
        if value is not None:
            raise malformed(name, value, expected="a string or an array of strings")
    return frozenset()


def _key_thumbprint(claims: Mapping[str, Any]) -> str | None:
    """`cnf.jkt`. An unsupported confirmation must never pass as none (RFC 7800 §3.1, RFC 9449 §6)."""
    if "cnf" not in claims:
        return None
    confirmation = claims["cnf"]
    if not isinstance(confirmation, dict) or not confirmation:
        raise InvalidToken(Reason.BINDING_MALFORMED)
    if "jkt" not in confirmation or confirmation.keys() & _OTHER_METHODS:
        raise InvalidToken(Reason.BINDING_UNSUPPORTED, methods=sorted(confirmation.keys() & _OTHER_METHODS))
    if not _is_thumbprint(confirmation["jkt"]):
        raise InvalidToken(Reason.BINDING_MALFORMED)
    return str(confirmation["jkt"])


def _is_thumbprint(value: object) -> bool:
    try:
        return isinstance(value, str) and len(b64url_decode(value.encode("ascii"))) == _SHA256_BYTES
    except ValueError:
        return False


def check_binding(token: AccessToken, key_thumbprint: str) -> None:
    """Check that the token is bound to the key that signed the proof (RFC 9449 §4.3 item 12b, §7.1).

    Args:
        token: the verified access token.
        key_thumbprint: the key's SHA-256 thumbprint (RFC 7638), 43 characters.

    Raises:
        InvalidToken: If the token isn't bound, or is bound to another key (RFC 9449 figure 16).
    """
    bound_to = token.key_thumbprint
    if bound_to is None:
        raise InvalidToken(Reason.BINDING_MISSING)
    if not (bound_to.isascii() and compare_digest(bound_to, key_thumbprint)):
        raise InvalidToken(Reason.BINDING_MISMATCH)


def check_unbound(token: AccessToken) -> None:
    """Reject a bound token under Bearer (RFC 9449 §7.2).

    Raises:
        InvalidToken: If the token is bound, even if only its claims say so, as with a custom verifier.
    """
    if token.key_thumbprint is not None or "cnf" in token.claims:
        raise InvalidToken(Reason.BOUND_TOKEN_AS_BEARER)
