"""Requests within every limit on sizes, made of runs: of this piece so many, then of that one.

Everything that is read before the signature can be of any shape; else the request is one that gets as far as it can
without a nonce: the key is one, the times are right, `ath` is that of the token.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain, repeat
from typing import Any, Self

from dpop_asgi import ProofPolicy
from dpop_asgi.core.credentials import MAX_AUTHORIZATION_BYTES
from dpop_asgi.core.encoding import b64url_encode, sha256_b64url
from tests.differential import keys

NOW = 1_700_000_000.0
HOST = "rs.example"
SERVERS: dict[str, dict[str, Any]] = {
    "public_url": {"public_url": f"https://{HOST}"},
    "hosts": {"allowed_hosts": [HOST]},
    "x-forwarded": {"allowed_hosts": [HOST], "trusted_proxies": ["10.0.0.0/8", "fd00::/8"]},
}
_LONGEST_TARGET = 8192
_MOST_FIELDS = 100
_LONGEST_FIELD = 2000

Run = tuple[str, int]

_PATH = ("a", "/", ".", "../", "%2e%2e/", "%41", "%c3", "%2F", "%", "[", "|", ";,", "=")
_JSON_TEXT = ("x", ",", "[", "\\n", "\\u0000", "\\ud800", "\\\\", '\\"', "\u00e9", "\u20ac", "\U0001f600", "\u2003")
_JSON_VALUES = ("1", "-1", "1.5", "1e308", "-1.2345678e-200", "1234567890123456789", "null", '"a"', "{}", "[]")
_JSON_GARBAGE = (" ", "\n", ",", '"', '",', "{", "[", '{"a":', "1", "\\,", "\u00e9", "\0", "}", '"a":1,')

# What a run of each part can be made of.
PIECES: Mapping[str, tuple[str, ...]] = {
    "token": ("a", ".", "=", "~", " ", "!", "\xff"),
    "scheme": ("", "x", "-", "\t"),
    "path": _PATH,
    "htu": (*_PATH, "?", "#", "\u00e9", "\\u0000", " "),
    "origin": ("", "h", "://", "A", "a.", "%41", ":", "[", "1", ",", "\u212a"),
    "text": _JSON_TEXT,
    "nonce": _JSON_TEXT,
    "method": ("", "G", "\\u0047"),
    "claims": (*_JSON_VALUES, '{"a":1}', "[1,1]", '{"a":[1]}'),
    "list": _JSON_VALUES,
    "header": (*_JSON_VALUES, '{"a":1}', '["b64"]'),
    "jwk": ("A", "_", "\u00e9", "-", "!"),
    "garbage": _JSON_GARBAGE,
    "signature": ("A", "_", ".", "!", ",", "="),
    "host": ("", "a", "A", ".", ":", "1", "[", "%41"),
    "fields": ("x", "cookie", "accept", "dpop", "authorization", "host", "origin"),
    "hops": ("10.0.0.1", "fd00::1", "203.0.113.9", "x", ""),
}


@dataclass(frozen=True)
class Shape:
    """A request.

    Attributes:
        server: which one it is sent to, see `SERVERS`.
        parts: of which runs each part consists, where it is not the ordinary one. See `PIECES`.
        rsa: whether the key is one of 4096 bits.
    """

    server: str = "public_url"
    parts: Mapping[str, Iterable[Run]] = field(default_factory=dict)
    rsa: bool = False

    def text(self, part: str, otherwise: str = "") -> str:
        return "".join(piece * count for piece, count in self.parts[part]) if part in self.parts else otherwise

    def pieces(self, part: str) -> Iterable[str]:
        return chain.from_iterable(repeat(piece, count) for piece, count in self.parts.get(part, ()))

    def shortened(self, share: float) -> Self:
        runs = self.parts.items()
        return replace(self, parts={part: [(piece, int(n * share) or 1) for piece, n in of] for part, of in runs})


ORDINARY = Shape()


def scope_of(shape: Shape) -> dict[str, Any]:
    path = ("/" + shape.text("path", "orders"))[:_LONGEST_TARGET].encode()
    return {
        "type": "http",
        "method": "GET",
        "scheme": "https",
        "path": "/",
        "raw_path": path,
        "query_string": b"",
        "headers": list(_fields(shape)),
        "client": ("10.0.0.9", 50000),
    }


def _fields(shape: Shape) -> Iterable[tuple[bytes, bytes]]:
    authorization = _authorization(shape)
    yield b"host", shape.text("host", HOST).encode()
    yield b"authorization", authorization
    yield b"dpop", _proof(shape, authorization.partition(b" ")[2].lstrip(b" "))
    for number, name in zip(range(_MOST_FIELDS), shape.pieces("fields"), strict=False):
        yield (f"x-{number}" if name == "x" else name).encode(), b"v" * 20
    if "hops" in shape.parts:
        # What a client writes, the proxy passes on with the client's address behind it.
        yield b"x-forwarded-for", ", ".join(shape.pieces("hops"))[:_LONGEST_FIELD].encode() + b", 203.0.113.9"


def _authorization(shape: Shape) -> bytes:
    value = f"DPoP{shape.text('scheme')} {shape.text('token', 'a-token')}"
    return value.encode("latin-1", "replace")[:MAX_AUTHORIZATION_BYTES]


def _proof(shape: Shape, token: bytes) -> bytes:
    """As long as it may be: what is too much is left out of the ends of the runs."""
    most = ProofPolicy().max_bytes
    for tenths in range(10, 0, -1):
        less = shape.shortened(tenths / 10)
        parts = (b64url_encode(text.encode("utf-8", "replace")) for text in (_header(less), _claims(less, token)))
        proof = ".".join((*parts, less.text("signature", "A" * 86))).encode("ascii")
        if len(proof) <= most:
            return proof
    return proof[:most]


def _header(shape: Shape) -> str:
    algorithm = "PS256" if shape.rsa else "ES256"
    jwk = dict(keys.public(algorithm))
    if "jwk" in shape.parts:
        jwk["n" if shape.rsa else "x"] = shape.text("jwk")
    return (
        json.dumps({"typ": "dpop+jwt", "alg": algorithm, "jwk": jwk}, ensure_ascii=False)[:-1]
        + _members(shape, "header")
        + "}"
    )


def _claims(shape: Shape, token: bytes) -> str:
    if "garbage" in shape.parts:
        return shape.text("garbage")
    nonce = f',"nonce":"{shape.text("nonce")}"' if "nonce" in shape.parts else ""
    items = f',"y":[{",".join(shape.pieces("list"))}]' if "list" in shape.parts else ""
    return (
        f'{{"htm":"{shape.text("method", "GET")}","iat":{NOW},"ath":"{sha256_b64url(token)}"'
        f',"htu":"{shape.text("origin", f"https://{HOST}")}/{shape.text("htu", shape.text("path", "orders"))}"'
        f',"jti":"{shape.text("text", "j")}"{nonce}{items}{_members(shape, "claims")}}}'
    )


def _members(shape: Shape, part: str) -> str:
    return "".join(f',"{number}":{value}' for number, value in enumerate(shape.pieces(part)))
