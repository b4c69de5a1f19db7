"""The checks of a `JWTVerifier` on the access token, and its binding.

The verifier stops at the first failure. Whatever failed is then replaced by something that passes, and the token is
verified again, so that every check is reached. Without the issuer's keys, a key made here stands in for them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from dpop_asgi.cli.explain.case import Case, Rules
from dpop_asgi.cli.explain.findings import Findings
from dpop_asgi.cli.explain.table import AUDIENCE, BINDING, ISSUER, TIMES, TOKEN, TOKEN_SIGNATURE, TOKEN_TYP
from dpop_asgi.client.proofs import jwt
from dpop_asgi.core.access_token import AccessToken, check_binding, check_unbound
from dpop_asgi.core.encoding import b64url_decode
from dpop_asgi.core.jwk import KEY_TYPES
from dpop_asgi.core.private_key import PrivateKey
from dpop_asgi.core.strict_json import strict_json_object
from dpop_asgi.errors import InvalidToken, Reason
from dpop_asgi.tokens.by_shape import is_signed
from dpop_asgi.tokens.jwt import JWTVerifier
from dpop_asgi.tokens.signed_token import SignedToken
from dpop_asgi.tokens.trusted_issuer import DEFAULT_ALGORITHMS, TrustedIssuer

# For a name that the token doesn't have.
_STAND_IN = "none"
_AT_JWT = "at+jwt"
_ALGORITHM = "ES256"
_TOPICS = (TOKEN, ISSUER, TOKEN_TYP, TOKEN_SIGNATURE, AUDIENCE, TIMES)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Trial:
    """What the verifier is given. It starts with what is known, and becomes what would be accepted."""

    token: str = field(repr=False)
    header: Mapping[str, Any]
    claims: Mapping[str, Any] = field(repr=False)
    issuer: str
    audience: str
    algorithms: tuple[str, ...]
    types: tuple[str | None, ...]
    jwks: Mapping[str, Any] | None = field(repr=False)
    now: float

    async def verify(self) -> None:
        """Raises what the verifier raises."""
        trusted = TrustedIssuer(
            issuer=self.issuer,
            audience=self.audience,
            algorithms=self.algorithms,
            types=self.types,
            jwks=self.jwks or {"keys": []},
        )
        await JWTVerifier(issuers=[trusted], clock=lambda: self.now)(self.token)

    def signed_again(self, **header: str) -> "_Trial":
        """With a signature that verifies if there is such an algorithm, and these header parameters."""
        changed = {**self.header, **header}
        key = PrivateKey.generate(changed["alg"] if _is_known(changed) else _ALGORITHM)
        token = jwt(json.dumps(changed).encode(), json.dumps(dict(self.claims)).encode(), key)
        jwks = {"keys": [{**key.public_jwk, **({"kid": changed["kid"]} if "kid" in changed else {})}]}
        return replace(self, token=token, header=changed, jwks=jwks)


async def check_token(case: Case, findings: Findings) -> None:
    """Verify the token. Fills in its claims."""
    if case.token is None:
        return
    if not _is_jwt(case.token, case.rules):
        findings.note(TOKEN, kind="opaque: only its issuer can read it")
        return
    try:
        signed = SignedToken.parse(case.token)
        case.token_claims = signed.claims
        case.token_header = _header(case.token)
    except InvalidToken as failure:
        findings.failed(failure.reason, **failure.facts)
        return
    _note(case, findings)
    await _try(case, findings, _first_trial(case))


def _is_jwt(token: str, rules: Rules) -> bool:
    """Whether the server would verify it as one. Without introspection, it may have a verifier of its own."""
    if rules.introspects:
        return is_signed(token)
    return token.startswith("eyJ") or token.count(".") == 2  # noqa: PLR2004 - three parts


def _header(token: str) -> dict[str, Any]:
    return strict_json_object(b64url_decode(token.partition(".")[0].encode("ascii")))


def _first_trial(case: Case) -> _Trial:
    claims, rules = case.token_claims or {}, case.rules
    trial = _Trial(
        token=case.token or "",
        header=case.token_header or {},
        claims=claims,
        issuer=rules.issuer or _text(claims.get("iss")),
        audience=rules.audience or _audience(claims),
        algorithms=tuple(KEY_TYPES) if rules.jwks is None else DEFAULT_ALGORITHMS,
        types=rules.types,
        jwks=rules.jwks,
        now=case.now,
    )
    return trial.signed_again() if rules.jwks is None else trial


def _is_known(header: Mapping[str, Any]) -> bool:
    """Whether it names an algorithm that a server can accept: an asymmetric one."""
    return str(header.get("alg")) in KEY_TYPES


async def _try(case: Case, findings: Findings, trial: _Trial) -> None:
    """Verify, and mend what failed, until the token is accepted or can't be mended."""
    unknown, failed = _unknown(case), set[Reason]()
    while True:
        try:
            await trial.verify()
        except InvalidToken as failure:
            if failure.reason not in unknown:
                findings.failed(failure.reason, **{"expected": None, **_readable(failure.facts)})
            mended = None if failure.reason in failed else _mended(trial, failure.reason)
            if mended is None:
                return
            if mended.jwks is not trial.jwks and failure.reason is not Reason.TOKEN_SIGNATURE:
                # From here on, the issuer's keys aren't looked at.
                unknown |= {Reason.TOKEN_KEY_UNKNOWN, Reason.TOKEN_SIGNATURE}
            trial = mended
            failed.add(failure.reason)
        else:
            findings.passed(*({reason for topic in _TOPICS for reason in topic.reasons} - unknown))
            return


def _readable(facts: Mapping[str, object]) -> dict[str, object]:
    return {name: " ".join(map(str, value)) if isinstance(value, tuple) else value for name, value in facts.items()}


def _unknown(case: Case) -> set[Reason]:
    """Checks that can't be made with what is known."""
    rules = case.rules
    unknown = set() if rules.jwks is not None else {*TOKEN_SIGNATURE.reasons}
    if not _is_known(case.token_header or {}):
        # No list of a server can have it.
        unknown.discard(Reason.TOKEN_ALGORITHM)
    claims = case.token_claims or {}
    unknown |= set() if rules.issuer or _text(claims.get("iss")) is _STAND_IN else {Reason.TOKEN_ISSUER}
    return unknown | (set() if rules.audience or _audience(claims) is _STAND_IN else {Reason.TOKEN_AUDIENCE})


def _mended(trial: _Trial, reason: Reason) -> _Trial | None:
    """With something in place of what failed that passes; `None` if nothing would."""
    claims = trial.claims
    if reason is Reason.TOKEN_EXPIRED:
        return replace(trial, now=claims["exp"])
    if reason is Reason.TOKEN_NOT_YET_VALID:
        return replace(trial, now=claims["nbf"])
    if reason is Reason.TOKEN_ISSUER:
        return None if (issuer := _text(claims.get("iss"))) is _STAND_IN else replace(trial, issuer=issuer)
    if reason is Reason.TOKEN_AUDIENCE:
        return None if (audience := _audience(claims)) is _STAND_IN else replace(trial, audience=audience)
    return _signed_again(trial, reason)


def _signed_again(trial: _Trial, reason: Reason) -> _Trial | None:
    if reason is Reason.TOKEN_ALGORITHM and not _is_known(trial.header):
        return trial.signed_again(alg=_ALGORITHM)
    if reason is Reason.TOKEN_ALGORITHM:
        return replace(trial, algorithms=(*trial.algorithms, str(trial.header["alg"])))
    if reason is Reason.TOKEN_TYPE:
        return trial.signed_again(typ=next(filter(None, trial.types), _AT_JWT))
    return trial.signed_again() if reason in TOKEN_SIGNATURE.reasons else None


def _text(value: object) -> str:
    return value if isinstance(value, str) and value else _STAND_IN


def _audience(claims: Mapping[str, Any]) -> str:
    audience = claims.get("aud")
    return _text(audience[0] if isinstance(audience, list) and audience else audience)


def _note(case: Case, findings: Findings) -> None:
    claims, header = case.token_claims or {}, case.token_header or {}
    findings.note(TOKEN, kind="a signed JWT")
    findings.note(TOKEN_TYP, typ=_short(header.get("typ")))
    findings.note(ISSUER, iss=_short(claims.get("iss")), expected=case.rules.issuer)
    findings.note(TOKEN_SIGNATURE, alg=_short(header.get("alg")))
    audience = claims.get("aud")
    findings.note(AUDIENCE, aud=_short(" ".join(map(str, audience)) if isinstance(audience, list) else audience))
    findings.note(AUDIENCE, expected=case.rules.audience)
    for name in ("exp", "nbf"):
        if type(claims.get(name)) in {int, float}:
            findings.note(TIMES, **{name: claims[name]}, now=round(case.now, 3))


def _short(value: object) -> str:
    """Of a claim that is a name: at most as much as a line has room for."""
    return "none" if value is None else str(value)[:60] if isinstance(value, str) else f"a {type(value).__name__}"


def check_bound(case: Case, findings: Findings) -> None:
    """Whether the token is bound to the proof's key (RFC 9449 §4.3 item 12b)."""
    if case.token_claims is None:
        return
    try:
        _check_bound(case, findings, AccessToken.from_claims(case.token_claims))
        findings.passed(Reason.BINDING_MALFORMED, Reason.BINDING_UNSUPPORTED, Reason.BOUND_TOKEN_AS_BEARER)
        findings.passed(Reason.BINDING_MISSING)
    except InvalidToken as failure:
        if failure.reason in BINDING.reasons:
            findings.stopped(failure, BINDING.reasons)


def _check_bound(case: Case, findings: Findings, token: AccessToken) -> None:
    findings.note(BINDING, bound_to=token.key_thumbprint)
    if case.rules.mode == "mixed" and _is_bearer(case):
        check_unbound(token)
    elif case.key is not None:
        findings.note(BINDING, proof_key=case.key.thumbprint)
        check_binding(token, case.key.thumbprint)
        findings.passed(Reason.BINDING_MISMATCH)
    elif token.key_thumbprint is None:
        check_binding(token, "")


def _is_bearer(case: Case) -> bool:
    return any(value.lower().startswith("bearer ") for value in case.message.authorizations or ())
