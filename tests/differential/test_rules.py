"""Each rule by itself: it refuses a proof that the RFC lets pass, and what is just within it passes.

So the rules are the only difference, and none of them is wider than its name says.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.differential import keys
from tests.differential.comparison import compare
from tests.differential.drafts import NOW, Draft, draft, put
from tests.differential.drawn import Drawn
from tests.differential.mutations_key import small_order
from tests.differential.rules import RULES
from tests.differential.verifier import thumbprint

Change = Callable[[Draft], None]


def claims(**changes: Any) -> Change:
    return lambda made: [put(made.claims, name, value) for name, value in changes.items()] and None


def header(**changes: Any) -> Change:
    return lambda made: [put(made.header, name, value) for name, value in changes.items()] and None


def extra(raw: bytes) -> Change:
    """A further claim whose value is this JSON text."""

    def change(made: Draft) -> None:
        made.claims_text = lambda text: text[:-1] + b',"extra":' + raw + b"}"

    return change


def bytes_in_all(size: int) -> Change:
    """Three bytes are four letters, so some sizes take a longer header."""

    def change(made: Draft) -> None:
        for letters in range(4):
            put(made.header, "kid", "x" * letters)
            put(made.claims, "extra", "")
            put(made.claims, "extra", "x" * ((size - len(made.proofs()[0])) * 3 // 4))
            while len(made.proofs()[0]) < size:
                put(made.claims, "extra", dict(made.claims)["extra"] + "x")
            if len(made.proofs()[0]) == size:
                return
        raise AssertionError("no such size")

    return change


def loose_signature(made: Draft) -> None:
    made.segments = lambda segments: [*segments[:2], segments[2][:-1] + bytes([segments[2][-1] + 1])]


def key(name: str, algorithm: str, **members: str) -> Change:
    """Another key, to which the token is bound as it is spelled."""

    def change(made: Draft) -> None:
        jwk = {**keys.public(name), **members}
        made.signed_with = name
        put(made.header, "jwk", jwk)
        put(made.header, "alg", algorithm)
        made.request = replace(made.request, jkt=thumbprint(jwk))

    return change


def target(uri: str) -> Change:
    def change(made: Draft) -> None:
        made.request = replace(made.request, uri=uri)
        put(made.claims, "htu", uri)

    return change


def host(length: int) -> Change:
    return target(f"https://{'a' * length}/")


def without_nonces(value: Any) -> Change:
    def change(made: Draft) -> None:
        made.request = replace(made.request, nonces=None)
        put(made.claims, "nonce", value)

    return change


_X = keys.public("ES256")["x"]
_LOOSE_X = _X[:-1] + chr(ord(_X[-1]) + 1)

# For each rule what it refuses, and beside it what it does not.
CASES: dict[str, tuple[Change, Change]] = {
    "a proof is no larger than 8192 bytes": (bytes_in_all(8193), bytes_in_all(8192)),
    "base64url has one spelling (RFC 4648 §3.5)": (loose_signature, lambda _: None),
    "no name stands twice (RFC 7515 §4)": (extra(b'{"a":1,"a":1}'), extra(b'{"a":1,"A":{"a":1}}')),
    "header and payload have at most 16 opening brackets each": (
        extra(b"[" * 16 + b"]" * 16),
        extra(b"[" * 15 + b"]" * 15),
    ),
    "header and payload have at most 32 values each, about": (
        extra(b"[" + b"0," * 26 + b"0]"),
        extra(b"[" + b"0," * 25 + b"0]"),
    ),
    "header and payload have at most 256 quotation marks, escapes and opening brackets each": (
        extra(b'"' + b"\\n" * 230 + b'"'),
        extra(b'"' + b"\\n" * 229 + b'"'),
    ),
    "a whole number has at most 19 characters": (extra(b"9" * 20), extra(b"9" * 19)),
    "another number has at most 24 characters": (extra(b"0." + b"1" * 23), extra(b"0." + b"1" * 22)),
    "a number is finite": (extra(b"1e999"), extra(b"1e308")),
    "b64 is refused without crit too (RFC 7797 §6)": (header(b64=True), header(B64=True)),
    "a private member of another kind of key is refused too": (
        key("ES256", "ES256", k="AQAB"),
        key("ES256", "ES256", kid="AQAB"),
    ),
    "EdDSA is Ed25519": (key("Ed448", "EdDSA"), key("Ed25519", "EdDSA")),
    "members of a key have one spelling": (key("ES256", "ES256", x=_LOOSE_X), key("ES256", "ES256", x=_X)),
    "an RSA key has at most 4096 bits": (key("RSA of 4104 bits", "PS256"), key("RSA of another client", "PS256")),
    "an RSA exponent has at most 32 bits": (key("RSA with a long exponent", "PS256"), key("PS256", "PS256")),
    "an Ed25519 key is not of small order": (lambda made: small_order(Drawn(b""), made), key("Ed25519", "Ed25519")),
    "an authority has at most 260 characters": (host(261), host(260)),
    "the path of a request has no dot segments": (
        target("https://a.example/b/%2E./c"),
        target("https://a.example/..b/c."),
    ),
    "a jti is not blank": (claims(jti=" \t\u2003"), claims(jti=" a")),
    "exp and nbf are numbers": (claims(exp=str(int(NOW))), claims(exp=NOW)),
    "a nonce is a string even where none is asked for": (without_nonces(1), without_nonces("1")),
    "exp holds, with the leeway of iat": (claims(exp=NOW - 61), claims(exp=NOW - 60)),
    "nbf holds, with the leeway of iat": (claims(nbf=NOW + 61), claims(nbf=NOW + 60)),
}


def said(change):
    made = draft("ES256")
    change(made)
    return compare(made.proofs(), made.request)


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_rejects_what_the_rfc_lets_pass_and_nothing_beside_it(rule):
    beyond, within = CASES[rule]
    assert said(beyond) == rule
    assert said(within) == "accepted"
