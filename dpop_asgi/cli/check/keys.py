"""Which of an issuer's keys can verify its tokens."""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from dpop_asgi.cli.check.finding import Finding, error, ok, warning
from dpop_asgi.cli.check.text import printable
from dpop_asgi.core import jwk
from dpop_asgi.tokens.issuer.key_set import KeySet
from dpop_asgi.tokens.jwt import JWTVerifier

_ALGORITHMS: tuple[str, ...] = inspect.signature(JWTVerifier).parameters["algorithms"].default

_CHANGE = "Tokens signed with this key are rejected. Have the issuer sign with a key that can be used."


def key_findings(keys: KeySet) -> Iterator[Finding]:
    """The keys that can be used, and those that can't, each with its `kid` and the reason."""
    signing = [members for members in keys.keys if members.get("use") != "enc"]
    usable = {index: algorithms for index, members in enumerate(signing) if (algorithms := _algorithms(members))}
    for index, members in enumerate(signing):
        if index not in usable:
            what = f"The issuer's {_name(members)} can't be used: {_reason(members)}."
            yield warning("issuer", "issuer_key_unusable", what, change=_CHANGE)
    if usable:
        shown = ", ".join(f"{_name(signing[index])} for {' or '.join(names)}" for index, names in usable.items())
        yield ok("issuer", "issuer_keys", f"Keys that can be used: {shown}.")
    else:
        what = f"None of the issuer's {len(keys.keys)} keys can be used, so every token is rejected."
        change = f"Have the issuer sign its access tokens with one of {', '.join(_ALGORITHMS)}."
        yield error("issuer", "issuer_keys_unusable", what, change=change)


def _algorithms(members: Mapping[str, Any]) -> list[str]:
    """The accepted algorithms for which the verifier would use this key."""
    alone = KeySet({"keys": [members]})
    return [algorithm for algorithm in _ALGORITHMS if alone.candidates(algorithm, None)]


def _reason(members: Mapping[str, Any]) -> str:
    algorithm, operations = members.get("alg"), members.get("key_ops", ["verify"])
    kind = "/".join(printable(str(members[name])) for name in ("kty", "crv") if name in members) or "no kty"
    if members.get("use", "sig") != "sig":
        return f"its use is {printable(str(members['use']))}, not sig"
    if algorithm is not None and algorithm not in _ALGORITHMS:
        return f"its alg {printable(str(algorithm))} isn't accepted"
    if not isinstance(operations, list) or "verify" not in operations:
        return "its key_ops lack verify"
    if not any(jwk.matches_algorithm(members, each) for each in _ALGORITHMS):
        return f"no accepted algorithm has keys of its kind ({kind})"
    if algorithm is not None and not jwk.matches_algorithm(members, str(algorithm)):
        return f"its alg {printable(str(algorithm))} doesn't fit its kind ({kind})"
    return "it is incomplete, malformed, too short or too long (RSA: 2048 to 4096 bits)"


def _name(members: Mapping[str, Any]) -> str:
    kid = members.get("kid")
    return f'key "{printable(kid)}"' if isinstance(kid, str) else "key without kid"
