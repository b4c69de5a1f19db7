"""Findings in words: short ones for checks that pass, what was compared for those that fail."""

from collections.abc import Callable, Mapping
from itertools import takewhile
from typing import Any

from dpop_asgi.cli.explain.case import Case
from dpop_asgi.cli.explain.causes.times import date, duration
from dpop_asgi.cli.explain.table import (
    ALG,
    ATH,
    AUDIENCE,
    AUTHORIZATION,
    BINDING,
    CLAIMS,
    CRIT,
    EXP,
    HEADER,
    HTM,
    HTU,
    IAT,
    ISSUER,
    JWK,
    NBF,
    NONCE,
    REPLAY,
    REVOCATION,
    SHAPE,
    SIGNATURE,
    TIMES,
    TOKEN,
    TOKEN_SIGNATURE,
    TOKEN_TYP,
    TYP,
    URL,
    Topic,
)

Facts = Mapping[str, Any]

_DATES = frozenset({"iat", "exp", "nbf", "now"})
_SECONDS = frozenset({"age", "max_age", "max_future", "leeway", "period", "seconds_left"})
# Facts of these checks that only matter where they fail.
_MOST_CHARACTERS = 300


def _iat(facts: Facts) -> str:
    age = facts["age"]
    ago = f"{duration(age)} ago" if age >= 0 else f"{duration(age)} ahead"
    return f"{ago}; at most {facts['max_age']:g} s ago, {facts['max_future']:g} s ahead"


def _nonce(facts: Facts) -> str:
    if facts.get("nonces") == "off":
        return "nonces are off"
    if "age" in facts:
        return f"{facts['proof']}, {facts['age']:g} s old, good for another {facts['seconds_left']:g} s"
    return f"{facts['proof']}, the one that the server issued last"


def _jwk(facts: Facts) -> str:
    kind = " ".join(str(facts[name]) for name in ("kty", "crv") if name in facts)
    return f"{kind}, {facts['thumbprint']}" if "thumbprint" in facts else kind


_PASSED: dict[Topic, Callable[[Facts], str]] = {
    AUTHORIZATION: lambda facts: f"{facts['scheme']}, a token of {facts['characters']} characters",
    HEADER: lambda facts: f"one header of {facts['bytes']} bytes",
    SHAPE: lambda _: "header, claims and signature can be read",
    TYP: lambda facts: str(facts["typ"]),
    ALG: lambda facts: str(facts["alg"]),
    CRIT: lambda _: "not used",
    JWK: _jwk,
    CLAIMS: lambda facts: str(facts["present"]),
    URL: lambda facts: str(facts["url"]),
    HTM: lambda facts: str(facts["signed"]),
    HTU: lambda facts: str(facts["signed"]),
    IAT: _iat,
    EXP: lambda facts: date(facts["exp"]) if "exp" in facts else "not used",
    NBF: lambda facts: date(facts["nbf"]) if "nbf" in facts else "not used",
    ATH: lambda _: "the hash of this token",
    NONCE: _nonce,
    SIGNATURE: lambda facts: f"{facts['alg']}, by the key in jwk",
    TOKEN: lambda facts: str(facts["kind"]),
    TOKEN_TYP: lambda facts: str(facts["typ"]),
    ISSUER: lambda facts: str(facts["iss"]),
    TOKEN_SIGNATURE: lambda facts: f"{facts['alg']}, by a key of the issuer",
    AUDIENCE: lambda facts: str(facts["aud"]),
    TIMES: lambda facts: date(facts["exp"]),
    BINDING: lambda facts: f"bound to {facts['bound_to']}",
    REVOCATION: lambda _: "the key is not revoked",
    REPLAY: lambda facts: "used by this very request" if facts["used"] else "not used yet",
}


def passed(topic: Topic, facts: Facts) -> str:
    """What was found, in a few words."""
    try:
        return _PASSED[topic](facts)
    except KeyError:
        return ""


def compared(facts: Facts) -> dict[str, str]:
    """The facts of a failed check, readable."""
    return {name.replace("_", " "): _value(name, value) for name, value in facts.items() if value is not None}


def _value(name: str, value: object) -> str:
    if isinstance(value, (int, float)) and name in _DATES:
        return f"{value:.0f}  {date(value)}"
    if isinstance(value, (int, float)) and name in _SECONDS:
        return f"{value:g} s" if abs(value) < 120 else f"{value:.0f} s ({duration(value)})"  # noqa: PLR2004 - minutes
    return str(value)[:_MOST_CHARACTERS]


def missing(topic: Topic, case: Case, facts: Facts) -> str:
    """Why a check isn't known to pass, and with what it would be."""
    message, rules = case.message, case.rules
    wanted = {
        AUTHORIZATION: (message.authorizations is None, "the token isn't known: pass --token"),
        HEADER: (message.proofs is None, "the proof isn't known: the shell hasn't put it in"),
        HTM: (message.method is None, "to compare, pass --method"),
        URL: (message.url is None, "to compare, pass --url"),
        HTU: (message.url is None, "to compare, pass --url"),
        ATH: (message.authorizations is None, "the token isn't known: pass --token"),
        NONCE: (case.server_nonce is None and rules.store is None, "pass the server's --nonce, or its --store"),
        TOKEN: (message.authorizations is None, "the token isn't known: pass --token"),
        TOKEN_SIGNATURE: (rules.jwks is None, "pass the issuer's keys: --jwks"),
        ISSUER: (rules.issuer is None, "set DPOP_ISSUER, as for the server"),
        AUDIENCE: (rules.audience is None, "set DPOP_AUDIENCE, as for the server"),
        BINDING: (message.authorizations is None, "the token isn't known: pass --token"),
        REVOCATION: (rules.store is None, "pass the server's --store"),
        REPLAY: (rules.store is None, "pass the server's --store"),
    }
    if topic is NONCE and "server" in facts:
        wanted[NONCE] = True, "it isn't the last one, but may be accepted too: pass the server's --store"
    applies, hint = wanted.get(topic, (False, ""))
    signed = facts.get("proof" if topic is NONCE else "signed")
    hint = f"{signed} is signed; {hint}" if signed and topic in {HTM, HTU, NONCE} else hint
    if case.token_claims is None and topic in {TOKEN_TYP, ISSUER, TOKEN_SIGNATURE, AUDIENCE, TIMES, BINDING}:
        return "" if message.authorizations is None else "the token can't be read here"
    if "store" in facts:
        return f"the store {facts['store']}"
    if topic is TOKEN and "kind" in facts:
        return str(facts["kind"])
    return hint if applies else "can't be checked yet"


def difference(one: str, other: str, width: int) -> tuple[str, str, str]:
    """Two texts and a line that marks where they differ, each cut to `width` around the first difference."""
    start = _in_common(one, other)
    rests = [text[start:][::-1] for text in (one, other)]
    marked = max(map(len, rests)) - _in_common(*rests)
    longest = max(len(one), len(other))
    first = max(0, min(start - width // 3, longest - width))
    marks = " " * (start - first) + "^" * max(1, min(marked, width - (start - first)))
    return _cut(one, first, width), _cut(other, first, width), marks


def _in_common(one: str, other: str) -> int:
    """The number of characters at the beginning that are the same."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _cut(text: str, first: int, width: int) -> str:
    shown = text[first : first + width]
    shown = f"…{shown[1:]}" if first else shown
    return f"{shown[:-1]}…" if first + width < len(text) else shown
