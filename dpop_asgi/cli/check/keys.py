"""Which of an issuer's keys can verify its tokens."""

from collections.abc import Iterator
from typing import Any

from dpop_asgi.cli.check.finding import Finding, error, ok, warning
from dpop_asgi.cli.check.text import printable
from dpop_asgi.tokens.issuer.key_set import KeySet, import_key
from dpop_asgi.tokens.trusted_issuer import DEFAULT_ALGORITHMS

_CHANGE = "Tokens signed with this key are rejected. Have the issuer sign with a key that can be used."


def key_findings(keys: KeySet) -> Iterator[Finding]:
    """The keys that can be used, and those that can't, each with its `kid` and the reason."""
    usable = []
    for members in keys.keys:
        if isinstance(members, dict) and members.get("use") == "enc":
            continue
        try:
            usable.append(f"{_name(members)} for {' or '.join(_algorithms(members))}")
        except ValueError as reason:
            what = f"The issuer's {_name(members)} can't be used: {printable(str(reason))}."
            yield warning("issuer", "issuer_key_unusable", what, change=_CHANGE)
    if usable:
        yield ok("issuer", "issuer_keys", f"Keys that can be used: {', '.join(usable)}.")
    else:
        what = f"None of the issuer's {len(keys.keys)} keys can be used, so every token is rejected."
        change = f"Have the issuer sign its access tokens with one of {', '.join(DEFAULT_ALGORITHMS)}."
        yield error("issuer", "issuer_keys_unusable", what, change=change)


def _algorithms(members: Any) -> list[str]:  # noqa: ANN401 - whatever an issuer sends
    """The accepted algorithms for which the verifier would use this key; a `ValueError` says why there are none."""
    import_key(members)
    alone = KeySet({"keys": [members]})
    algorithms = [algorithm for algorithm in DEFAULT_ALGORITHMS if alone.candidates(algorithm, None)]
    if not algorithms:
        msg = f"its alg is {printable(str(members.get('alg')))}, which isn't accepted"
        raise ValueError(msg)
    return algorithms


def _name(members: Any) -> str:  # noqa: ANN401 - as above
    kid = members.get("kid") if isinstance(members, dict) else None
    return f'key "{printable(kid)}"' if isinstance(kid, str) else "key without kid"
