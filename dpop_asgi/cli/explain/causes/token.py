"""Causes in the access token, and in its binding to a key."""

from dpop_asgi.cli.explain.case import Case
from dpop_asgi.cli.explain.causes.kinds import Advice, Cause, Causes, always
from dpop_asgi.cli.explain.causes.times import duration
from dpop_asgi.cli.explain.findings import Check
from dpop_asgi.core.jwk import KEY_TYPES
from dpop_asgi.errors import Reason

_THUMBPRINT_CHARACTERS = 43


def _claim(case: Case, name: str) -> object:
    return (case.token_claims or {}).get(name)


def _incomplete(case: Case, check: Check) -> Advice | None:
    if "claim" not in check.facts:
        return None
    name = str(check.facts["claim"])
    what = "lacks" if _claim(case, name) is None else "has the wrong type in"
    return Advice(f"The access token {what} {name}.", "Look at the issuer's settings.")


def _cut_off(case: Case, _check: Check) -> Advice | None:
    if case.token is None or case.token.count(".") >= 2:  # noqa: PLR2004 - three parts
        return None
    return Advice("The access token is cut off: it doesn't have three parts.", "Copy or send it whole.")


def _no_access_token(case: Case, _check: Check) -> Advice | None:
    if not {"nonce", "at_hash", "c_hash"} & (case.token_claims or {}).keys():
        return None
    return Advice("This looks like an ID token.", "Send the access token.")


def _other_typ(case: Case, _check: Check) -> Advice:
    typ = (case.token_header or {}).get("typ", "none")
    return Advice(
        f"The typ of the access token is {str(typ)[:30]}: the issuer doesn't follow RFC 9068, or not yet.",
        "Have the issuer set at+jwt (the setting may be called RFC 9068), or add it to DPOP_TOKEN_TYPES.",
    )


def _no_such_algorithm(case: Case, _check: Check) -> Advice | None:
    algorithm = str((case.token_header or {}).get("alg", "missing"))
    if algorithm in KEY_TYPES:
        return None
    return Advice(
        f"The alg of the access token is {algorithm[:20]}: not an asymmetric algorithm that is known here. Whoever "
        "can check a symmetric signature can also make one.",
        "Have the issuer sign with another, such as ES256 or RS256.",
    )


def _slash(name: str, expected: str) -> Cause:
    """A name that differs by a slash at its end."""

    def cause(case: Case, _check: Check) -> Advice | None:
        actual = _claim(case, name)
        wanted = getattr(case.rules, expected)
        if not isinstance(actual, str) or not wanted or actual.rstrip("/") != wanted.rstrip("/"):
            return None
        return Advice(f"{name} differs by a slash at the end.", "It is compared exactly: set it as the token has it.")

    return cause


def _expired(case: Case, _check: Check) -> Advice:
    exp = _claim(case, "exp")
    ago = f" {duration(case.now - exp)} ago" if isinstance(exp, (int, float)) else ""
    return Advice(f"The access token expired{ago}.", "Refresh it. If it is new, check the clocks.")


def _wrong_thumbprint(case: Case, _check: Check) -> Advice:
    confirmation = _claim(case, "cnf")
    jkt = confirmation.get("jkt") if isinstance(confirmation, dict) else None
    if isinstance(jkt, str):
        return Advice(
            f"cnf.jkt has {len(jkt)} characters: not the base64url SHA-256 thumbprint of a key, without padding.",
            f"Have the issuer put in the thumbprint of RFC 7638: {_THUMBPRINT_CHARACTERS} characters.",
        )
    return Advice("cnf isn't an object with a jkt that is a string.", "Look at the issuer's settings.")


def _certificate(case: Case, _check: Check) -> Advice | None:
    confirmation = _claim(case, "cnf")
    if not isinstance(confirmation, dict) or "x5t#S256" not in confirmation:
        return None
    return Advice(
        "The token is bound to a client certificate (mTLS).", "Have the issuer bind it to the DPoP key instead, by jkt."
    )


CAUSES: Causes = {
    Reason.TOKEN_MALFORMED: (
        _cut_off,
        _incomplete,
        always("The access token can't be read: altered, or not a JWT.", "Send it as the issuer returned it."),
    ),
    Reason.TOKEN_TYPE: (_no_access_token, _other_typ),
    Reason.TOKEN_ISSUER: (
        _slash("iss", "issuer"),
        always("The token is from another issuer than the server trusts.", "Get the token there, or trust its issuer."),
    ),
    Reason.TOKEN_ALGORITHM: (
        _no_such_algorithm,
        always("The issuer signs with an algorithm that isn't accepted.", "Set algorithms of JWTVerifier."),
    ),
    Reason.TOKEN_KEY_UNKNOWN: (
        always(
            "The key set has no key with the token's kid and alg: it is from another environment, or was withdrawn.",
            "Compare the token's kid with the issuer's keys.",
        ),
    ),
    Reason.TOKEN_SIGNATURE: (
        always("The token was altered, or signed by someone else.", "Send it as the issuer returned it."),
    ),
    Reason.TOKEN_AUDIENCE: (
        _slash("aud", "audience"),
        always("The token is for another API.", "Request a token for this API: scope, audience or resource."),
    ),
    Reason.TOKEN_EXPIRED: (_expired,),
    Reason.TOKEN_NOT_YET_VALID: (
        always("The token's nbf is in the future: the clocks differ.", "Check the clocks of issuer and server."),
    ),
    Reason.TOKEN_INACTIVE: (
        always("The issuer says that the token is not active: it has expired, or was revoked.", "Get a new token."),
    ),
    Reason.TOKEN_REJECTED: (
        always("The server's own verifier rejected the token.", "Look at what it logs: revoked, or of another kind?"),
    ),
    Reason.KEY_REVOKED: (
        always(
            "An operator of the server has revoked the client's key: dpop-asgi revoke lists it.",
            "Make a new key, and get a new token for it.",
        ),
    ),
    Reason.BINDING_MISSING: (
        always(
            "The token has no cnf: the issuer gave it out as a Bearer token, because the token request had no proof "
            "or DPoP isn't enabled for this client.",
            "Send a DPoP proof to the token endpoint, and enable DPoP for the client.",
        ),
    ),
    Reason.BINDING_MALFORMED: (_wrong_thumbprint,),
    Reason.BINDING_UNSUPPORTED: (
        _certificate,
        always("The token is bound by another method than DPoP.", "Have the issuer bind it to the DPoP key, by jkt."),
    ),
    Reason.BINDING_MISMATCH: (
        always(
            "The token is bound to another key: the client has made a new key and kept the token, or uses several.",
            "Sign with the key that was used at the token endpoint, or get a new token.",
        ),
    ),
    Reason.BOUND_TOKEN_AS_BEARER: (
        always("A DPoP-bound token was sent under Bearer.", "Send it under DPoP, with a proof."),
    ),
}
