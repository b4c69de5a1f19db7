"""Changes of JSON text."""

import json

from tests.differential.drafts import Change, Draft, Members
from tests.differential.drawn import Drawn
from tests.differential.mutations_text import Mutation


def _in_text(drawn: Drawn, draft: Draft, change: Change) -> None:
    """Change header or payload before the signature is made."""
    if drawn.chance():
        draft.header_text = change
    else:
        draft.claims_text = change


def whitespace(drawn: Drawn, draft: Draft) -> None:
    """Some is allowed between tokens (RFC 8259 §2), some is none."""
    space = drawn.pick((b" ", b"\n", b"\r\n", b"\t", b"  ", b"\x0b", b"\xc2\xa0", b"\x00", b"\xef\xbb\xbf", b"/**/"))
    place = drawn.below(4)

    def changed(raw: bytes) -> bytes:
        return (space + raw, raw + space, raw.replace(b'":', b'"' + space + b":"), raw[:1] + space + raw[1:])[place]

    _in_text(drawn, draft, changed)


def escaped_names(drawn: Drawn, draft: Draft) -> None:
    """`"\\u0068tm"` is `"htm"`."""
    name = drawn.pick(("htm", "htu", "iat", "jti", "ath", "nonce", "typ", "alg", "jwk", "kty"))
    spelled = f'"\\u{ord(name[0]):04{drawn.pick("xX")}}{name[1:]}"'.encode()
    again = drawn.chance()

    def changed(raw: bytes) -> bytes:
        plain = f'"{name}":'.encode()
        return raw.replace(plain, spelled + (b":1," + plain if again else b":"), 1)

    draft.header_text = draft.claims_text = changed


def names_twice(drawn: Drawn, draft: Draft) -> None:
    """The right value first or last."""
    members: Members = drawn.pick((draft.claims, draft.header))
    name, value = drawn.pick(members)
    other = drawn.pick((value, None, 0, "", [], {}, "none", draft.request.uri))
    members.insert(drawn.pick((0, len(members))), (name, other))


def names_twice_inside(drawn: Drawn, draft: Draft) -> None:
    """Below the top level, where a check of the top level would not look."""
    inner = drawn.pick(
        (b'{"a":1,"a":1}', b'[{"a":{},"a":{}}]', b'{"a":{"b":0,"b":1}}', b'{"":0,"":0}', b'{"a":1,"A":1}')
    )
    _in_text(drawn, draft, lambda raw: raw[:-1] + b',"extra":' + inner + b"}")


_CONSTANTS = (b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"1e308", b"0x10", b"01", b"1.", b".5", b"+1")
_NUMBERS = (b"-0", b"-", b"1e5", b"1E+5", b"1e")
_DIGITS = (b"9" * 19, b"9" * 20, b"-" + b"9" * 18, b"-" + b"9" * 19, b"9" * 5000)
_BRACKETS = (b"[" * 15 + b"]" * 15, b"[" * 16 + b"]" * 16, b'"' + b"[" * 200 + b'"', b"[[]" * 3, b"{}" * 2, b"[1,]")
_COMMAS = (b"[" + b"0," * 24 + b"0]", b"[" + b"0," * 40 + b"0]", b'"' + b"," * 300 + b'"', b'"\\",' + b"," * 300 + b'"')
_ESCAPES = (b'"\\x41"', b'"\\ud800"', b'"\\ud83d\\ude00"', b'"\\u00e9"')
_OCTETS = (b'"\xc3\xa9"', b'"\xff"', b'"\xed\xa0\x80"', b'"\xc0\xaf"', b'"a\nb"', b'"\x7f"', b'"\\u0000"')
_WORDS = (b'{"a":1,}', b"undefined", b"'a'")
_STRANGE = (
    *(*_CONSTANTS, *_NUMBERS, *_DIGITS, *_BRACKETS, *_COMMAS, *_WORDS, *_ESCAPES, *_OCTETS),
    *(b"True", b"nul", b'"', b""),
)


def strange_values(drawn: Drawn, draft: Draft) -> None:
    """A further member whose value some parsers read and others do not, or not in the same way."""
    raw_value = drawn.pick(_STRANGE)
    _in_text(drawn, draft, lambda raw: raw[:-1] + b',"extra":' + raw_value + b"}")


def other_documents(drawn: Drawn, draft: Draft) -> None:
    """No JSON object, or not in UTF-8."""
    change = drawn.pick(
        (
            lambda raw: b"[" + raw + b"]",
            lambda raw: json.dumps(raw.decode()).encode(),
            lambda raw: raw.decode().encode("utf-16"),
            lambda raw: raw.decode().encode("utf-16-le"),
            lambda raw: raw + raw,
            lambda raw: b"null",
            lambda raw: b"{}",
            lambda raw: raw[:-1],
            lambda raw: raw.replace(b'"', b"'"),
        )
    )
    _in_text(drawn, draft, change)


def size(drawn: Drawn, draft: Draft) -> None:
    """Around the largest value that is accepted."""
    length = sum(map(len, draft.proofs()))
    room = max(0, 8192 - length) * 3 // 4 - 12
    members = drawn.pick((draft.claims, draft.header))
    members.append(("extra", "x" * (room + drawn.below(9) - 4)))


def several_members(drawn: Drawn, draft: Draft) -> None:
    """Members that nobody knows, in any order."""
    draft.header.append(drawn.pick((("x5c", ["a"]), ("jku", "https://evil.example"), ("kid", "a"), ("alg2", None))))
    draft.claims.insert(0, drawn.pick((("aud", "a"), ("iss", 1), ("sub", None), ("cnf", {"jkt": "a"}), ("", ""))))


JSON_MUTATIONS: tuple[Mutation, ...] = (
    whitespace,
    escaped_names,
    names_twice,
    names_twice_inside,
    strange_values,
    other_documents,
    size,
    several_members,
)
