"""Causes in the claims of the proof."""

import hashlib
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable

from dpop_asgi.cli.explain.case import Case
from dpop_asgi.cli.explain.causes.kinds import Advice, Causes, always
from dpop_asgi.cli.explain.findings import Check
from dpop_asgi.errors import Reason

_DRAFT_NAMES = {"htm": "http_method", "htu": "http_uri"}
_SHA256 = "base64url, without padding, of SHA-256 over the token's characters"
_REDIRECTED = frozenset({("POST", "GET"), ("PUT", "GET"), ("PATCH", "GET"), ("DELETE", "GET")})


def _draft(case: Case, check: Check) -> Advice | None:
    claims, missing = case.claims or {}, str(check.facts["claim"])
    used = {name: draft for name, draft in _DRAFT_NAMES.items() if draft in claims and name in missing}
    names = [f"{draft} instead of {name}" for name, draft in used.items()]
    if not names:
        return None
    return Advice(f"The proof has {' and '.join(names)}: names of an old draft.", "Update the client's library.")


def _ath_alone(_case: Case, check: Check) -> Advice | None:
    if check.facts["claim"] != "ath":
        return None
    return Advice(
        "ath is missing: the proof was made for a token endpoint, or the library was not given the access token.",
        f"Pass the access token when the proof is made. ath is {_SHA256}.",
    )


def _missing(_case: Case, check: Check) -> Advice:
    return Advice(f"The proof lacks {check.facts['claim']}.", "Every proof needs jti, htm, htu, iat and ath.")


def _null(case: Case, check: Check) -> Advice | None:
    names = [name for name in str(check.facts["claim"]).split(", ") if (case.claims or {}).get(name, "") is None]
    if not names:
        return None
    return Advice(f"{' and '.join(names)} is null: an unset value was put in.", "Leave out claims that have no value.")


def _number_as_text(case: Case, check: Check) -> Advice | None:
    texts = [name for name in ("iat", "exp", "nbf") if isinstance((case.claims or {}).get(name), str)]
    if not texts or texts[0] not in str(check.facts["claim"]):
        return None
    return Advice(f"{texts[0]} is a string.", "Make it a number: seconds since 1970, without quotation marks.")


def _malformed(case: Case, check: Check) -> Advice:
    name = str(check.facts["claim"]).partition(", ")[0]
    value = (case.claims or {}).get(name)
    what = "empty" if isinstance(value, str) else f"a {_JSON_TYPES.get(type(value), 'value of another type')}"
    return Advice(f"{name} is {what}.", "iat, exp and nbf are numbers, the others are strings that aren't empty.")


_JSON_TYPES = {int: "number", float: "number", bool: "boolean", list: "list", dict: "object"}


def _case_of_method(case: Case, _check: Check) -> Advice | None:
    signed, method = (case.claims or {}).get("htm"), case.message.method
    if not isinstance(signed, str) or signed.upper() != str(method).upper():
        return None
    return Advice("The methods differ in case only, and are compared exactly.", f"Sign the method as sent: {method}.")


def _websocket(case: Case, _check: Check) -> Advice | None:
    if not case.message.websocket:
        return None
    return Advice("This is a WebSocket handshake, which is a GET.", "Sign GET.")


def _redirect_or_other(case: Case, _check: Check) -> Advice:
    signed, method = str((case.claims or {}).get("htm"))[:20], str(case.message.method)
    if method == "OPTIONS":
        return Advice("This is a CORS preflight, not the request itself.", "Put CORSMiddleware outside of DPoP.")
    if "HEAD" in {signed, method} and "GET" in {signed, method}:
        return Advice("HEAD and GET are different methods.", f"Sign {method}.")
    if (signed, method) in _REDIRECTED:
        return Advice(
            f"A {signed} has become a {method}: the client followed a redirect, and sent its proof again.",
            "Call the final URL, or make a new proof for the request after a redirect.",
        )
    return Advice(f"The proof was made for another request: it signs {signed}.", f"Make a proof with htm {method}.")


def _hashed_something_else(case: Case, _check: Check) -> Advice | None:
    ath, token = str((case.claims or {}).get("ath")), case.token or ""
    for what, make in _OTHER_HASHES.items():
        if ath == make(token):
            return Advice(f"ath is {what}.", f"It has to be {_SHA256}.")
    return None


def _digest(text: str, name: str = "sha256") -> bytes:
    return hashlib.new(name, text.encode()).digest()


def _url(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


_OTHER_HASHES: dict[str, Callable[[str], str]] = {
    "the SHA-256 of the token in hexadecimal": lambda token: _digest(token).hex(),
    "base64url of the hexadecimal SHA-256": lambda token: _url(_digest(token).hex().encode()),
    "the right hash with padding": lambda token: urlsafe_b64encode(_digest(token)).decode(),
    "the right hash in plain base64": lambda token: b64encode(_digest(token)).decode(),
    "the right hash in plain base64 without padding": lambda token: b64encode(_digest(token)).decode().rstrip("="),
    "the hash of `DPoP <token>`, scheme included": lambda token: _url(_digest(f"DPoP {token}")),
    "the hash of `Bearer <token>`, scheme included": lambda token: _url(_digest(f"Bearer {token}")),
    "the hash of the token and a line break": lambda token: _url(_digest(f"{token}\n")),
    "the left half of the hash, as OpenID Connect has it in at_hash": lambda token: _url(_digest(token)[:16]),
    "the SHA-384 of the token": lambda token: _url(_digest(token, "sha384")),
    "the SHA-512 of the token": lambda token: _url(_digest(token, "sha512")),
    "the token itself": lambda token: token,
}

CAUSES: Causes = {
    Reason.CLAIM_MISSING: (_draft, _ath_alone, _missing),
    Reason.CLAIM_MALFORMED: (_null, _number_as_text, _malformed),
    Reason.METHOD_MISMATCH: (_case_of_method, _websocket, _redirect_or_other),
    Reason.TOKEN_HASH_MISMATCH: (
        _hashed_something_else,
        always(
            "The proof was made for another access token: the token was refreshed, or the client has several.",
            "Make a new proof with the token that is sent.",
        ),
    ),
}
