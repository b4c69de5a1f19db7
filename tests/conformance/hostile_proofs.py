"""Hostile proofs by where the hostility sits; each row is a name and what makes the value of `DPoP` for a client."""

import json
from typing import Any

from dpop_asgi.core.encoding import b64url_decode, b64url_encode
from dpop_asgi.core.private_key import PrivateKey
from dpop_asgi.testing import Client, jwt
from tests.conformance.peer import Peer

_NO_NUMBERS = ("NaN", "Infinity", "-Infinity", "1e400", "9" * 4000, "0x10", "+1")
ECHO = "<script>alert('hostile')</script>"
DEEP = 3000

_RSA = PrivateKey.generate("PS256")
_OTHER = Client()
_ED448_X = b64url_encode(b"\x01" * 57)
_SMALL_ORDER = {"kty": "OKP", "crv": "Ed25519", "x": b64url_encode(b"\x01" + b"\x00" * 31)}


def signed(peer: Peer, *, header: Any = None, claims: Any = None) -> str:
    """A proof with a good signature, after `header` and `claims` have had their way with the JSON bytes."""
    parts = [b64url_decode(part.encode()) for part in peer.proof().split(".")[:2]]
    changes = [header or (lambda raw: raw), claims or (lambda raw: raw)]
    first, second = [change(part) for change, part in zip(changes, parts, strict=True)]
    return jwt(first, second, peer.client.key)


def literally(name: str, literal: str) -> Any:
    """Set a member to JSON that `json.dumps` would not write."""

    def change(raw: bytes) -> bytes:
        return json.dumps({**json.loads(raw), name: "LITERAL"}).replace('"LITERAL"', literal).encode()

    return change


def with_literal(name: str, literal: str) -> Any:
    return lambda peer: signed(peer, claims=literally(name, literal))


def twice(name: str) -> Any:
    """Let a member stand a second time, with the same value."""

    def change(raw: bytes) -> bytes:
        return b"{" + json.dumps({name: json.loads(raw)[name]}).encode()[1:-1] + b"," + raw[1:]

    return change


def parts(*segments: bytes) -> Any:
    """A value of three or other parts, whatever they are."""
    return lambda _: ".".join(b64url_encode(segment) for segment in segments)


def text(value: str) -> Any:
    return lambda _: value


def with_key(**changes: Any) -> Any:
    """A `jwk` with members changed; `None` takes one away."""

    def make(peer: Peer) -> str:
        members = {**peer.client.key.public_jwk, **changes}
        return peer.proof(header={"jwk": {name: value for name, value in members.items() if value is not None}})

    return make


def by_rsa(**members: Any) -> Any:
    """A proof that an RSA key did sign, with further members beside it."""
    changes = {"jwk": {**_RSA.public_jwk, **members}, "alg": "PS256"}
    return lambda peer: peer.proof(header=changes, signed_by=_RSA)


def with_signature(change: Any) -> Any:
    def make(peer: Peer) -> str:
        head, _, signature = peer.proof().rpartition(".")
        return f"{head}.{b64url_encode(change(b64url_decode(signature.encode())))}"

    return make


def header(**changes: Any) -> Any:
    return lambda peer: peer.proof(header=changes)


def claims(**changes: Any) -> Any:
    return lambda peer: peer.proof(claims=changes)


SHAPES = {
    "one dot": text("."),
    "two dots": text(".."),
    "a thousand dots": text("." * 1000),
    "letters": text("this-is-not-a-jwt"),
    "one part": text("a"),
    "two parts": text("a.b"),
    "three letters": text("a.b.c"),
    "four parts": lambda peer: f"{peer.proof()}.x",
    "five parts": text("a.b.c.d.e"),
    "empty header": lambda peer: "." + peer.proof().partition(".")[2],
    "empty payload": lambda peer: "{0}..{2}".format(*peer.proof().split(".")),
    "empty signature": lambda peer: peer.proof().rpartition(".")[0] + ".",
    "standard base64": lambda peer: peer.proof()[:-2] + "+/",
    "loose bits": lambda peer: peer.proof() + "x",
    "markup": text(ECHO),
    "a percent sign": lambda peer: peer.proof() + "%00",
    "a line feed, escaped": lambda peer: peer.proof() + "\\n",
    "header null": parts(b"null", b"{}", b"x"),
    "header a list": parts(b"[]", b"{}", b"x"),
    "header a number": parts(b"5", b"{}", b"x"),
    "header a string": parts(b'"typ"', b"{}", b"x"),
    "header empty": parts(b"{}", b"{}", b"x"),
    "header no JSON": parts(b"{typ:1}", b"{}", b"x"),
    "header deep": parts(b"[" * DEEP, b"{}", b"x"),
    "header in UTF-16": lambda peer: signed(peer, header=lambda raw: raw.decode().encode("utf-16")),
    "header with a BOM": lambda peer: signed(peer, header=lambda raw: b"\xef\xbb\xbf" + raw),
    "header not UTF-8": lambda peer: signed(peer, header=lambda raw: raw.replace(b"dpop", b"dp\xffp")),
    "header with a tail": lambda peer: signed(peer, header=lambda raw: raw + b"{}"),
    "header with typ twice": lambda peer: signed(peer, header=twice("typ")),
    "header with jwk twice": lambda peer: signed(peer, header=twice("jwk")),
    "payload a list": lambda peer: signed(peer, claims=lambda raw: b"[" + raw + b"]"),
    "payload null": lambda peer: signed(peer, claims=lambda _: b"null"),
    "payload empty": lambda peer: signed(peer, claims=lambda _: b"{}"),
    "payload no JSON": lambda peer: signed(peer, claims=lambda raw: raw[:-1]),
    "payload deep": lambda peer: signed(peer, claims=lambda _: b'{"a":' * (DEEP // 5)),
    "payload of brackets": lambda peer: signed(peer, claims=lambda _: b"[" * DEEP),
    "payload not UTF-8": lambda peer: signed(peer, claims=lambda raw: raw.replace(b"GET", b"G\xffT")),
    "payload with htm twice": lambda peer: signed(peer, claims=twice("htm")),
    "payload with iat twice": lambda peer: signed(peer, claims=twice("iat")),
}

HEADERS = {
    **{f"typ {value!r}": header(typ=value) for value in (5, None, [], {}, "", "JWT", "DPOP+JWT", "dpop+jwt ")},
    "typ as media type": header(typ="application/dpop+jwt"),
    **{f"alg {value!r}": header(alg=value) for value in (5, None, ["ES256"], {}, "", "none", "None", "nOnE", "HS256")},
    **{f"alg {value!r}": header(alg=value) for value in ("es256", "ES256 ", "XS256", "ES384", "RS256", "Ed25519")},
    **{f"crit {value!r}": header(crit=value) for value in (["exp"], [], 5, [{}], ["b64"])},
    "b64 false": header(b64=False, crit=["b64"]),
    **{f"jwk {value!r}": header(jwk=value) for value in (None, 5, "x", [], {}, {"kty": "EC"}, {"kty": []})},
    "jwk symmetric": header(jwk={"kty": "oct", "k": "c2VjcmV0"}),
    "jwk without y": with_key(y=None),
    "jwk without kty": with_key(kty=None),
    "jwk kty in small letters": with_key(kty="ec"),
    "jwk kty a list": with_key(kty=["EC"]),
    "jwk of another curve": with_key(crv="P-384"),
    "jwk of an unknown curve": with_key(crv=ECHO),
    "jwk curve a number": with_key(crv=256),
    "jwk off the curve": with_key(y=b64url_encode(b"\x01" * 32)),
    "jwk at infinity": with_key(x=b64url_encode(b"\x00" * 32), y=b64url_encode(b"\x00" * 32)),
    "jwk x short": with_key(x="AQ"),
    "jwk x long": with_key(x="A" * 4000),
    "jwk x with a leading zero": lambda peer: with_key(
        x=b64url_encode(b"\0" + b64url_decode(peer.client.key.public_jwk["x"].encode()))
    )(peer),
    "jwk x padded": lambda peer: with_key(x=peer.client.key.public_jwk["x"] + "=")(peer),
    "jwk x not ASCII": with_key(x="\u20ac" * 43),
    "jwk x a number": with_key(x=2**60),
    "jwk d": lambda peer: header(jwk=peer.client.key.private_jwk)(peer),
    "jwk d empty": with_key(d=""),
    "jwk k": with_key(k="x"),
    "jwk of RSA with p": by_rsa(p="AQ"),
    "jwk of RSA with dp": by_rsa(dp="AQ"),
    "jwk of RSA with e 1": header(jwk={**_RSA.public_jwk, "e": "AQ"}, alg="PS256"),
    "jwk of RSA with e even": header(jwk={**_RSA.public_jwk, "e": "Ag"}, alg="PS256"),
    "jwk of RSA with n short": header(jwk={"kty": "RSA", "e": "AQAB", "n": b64url_encode(b"\xff" * 128)}, alg="PS256"),
    "jwk of RSA with n long": header(jwk={"kty": "RSA", "e": "AQAB", "n": b64url_encode(b"\xff" * 2048)}, alg="PS256"),
    "jwk of RSA for ES256": header(jwk=_RSA.public_jwk),
    "jwk X25519": header(jwk={"kty": "OKP", "crv": "X25519", "x": "A" * 43}, alg="EdDSA"),
    "jwk Ed448": header(jwk={"kty": "OKP", "crv": "Ed448", "x": _ED448_X}, alg="EdDSA"),
    "jwk of small order": header(jwk=_SMALL_ORDER, alg="Ed25519"),
    "signature empty bytes": with_signature(lambda _: b"\0"),
    "signature of zeros": with_signature(lambda raw: bytes(len(raw))),
    "signature too long": with_signature(lambda raw: raw * 40),
    "signature one byte short": with_signature(lambda raw: raw[:-1]),
    "signature of another key": lambda peer: peer.proof(signed_by=_OTHER.key),
    "signature last bit flipped": with_signature(lambda raw: raw[:-1] + bytes([raw[-1] ^ 1])),
    "signed as HS256": header(alg="HS256", jwk={"kty": "oct", "k": b64url_encode(b"x" * 32)}),
}

CLAIMS = {
    **{f"jti {value!r}": claims(jti=value) for value in (5, None, True, [], {}, "", "  ")},
    **{f"htm {value!r}": claims(htm=value) for value in (5, None, [], {}, "", "get", "GET ", "\ud800")},
    **{
        f"htu {value!r}": claims(htu=value) for value in (5, None, [], {}, "", "\ud800", "http://", "http://[", "http:")
    },
    **{f"htu {value!r}": claims(htu=value) for value in (ECHO, "javascript:alert()", "http://a\nb/", "http://a:b/")},
    "htu long": claims(htu="http://a/" + "a/" * 2500),
    "htu of dots": claims(htu="http://a/" + "../" * 1500),
    "htu of escapes": claims(htu="http://a/" + "%2e" * 1500),
    **{f"ath {value!r}": claims(ath=value) for value in (5, None, [], {}, "", "\ud800", "not-the-right-hash")},
    "ath padded": lambda peer: peer.proof(claims={"ath": _hash(peer) + "="}),
    "ath in hex": lambda peer: peer.proof(claims={"ath": b64url_decode(_hash(peer).encode()).hex()}),
    **{f"nonce {value!r}": claims(nonce=value) for value in (5, True, [], {})},
    **{
        f"iat {value!r}": claims(iat=value)
        for value in (None, True, [], {}, "1700000000", 0, -1, 2**62, -(2**62), 1e308)
    },
    **{f"iat {literal[:9]}": with_literal("iat", literal) for literal in _NO_NUMBERS},
    "exp infinite": with_literal("exp", "1e400"),
    "nbf infinite": with_literal("nbf", "-1e400"),
    "another claim infinite": with_literal("x", "1e400"),
    "another claim NaN": with_literal("x", "NaN"),
    **{f"exp {value!r}": claims(exp=value) for value in (0, "x", True, [], float("nan"))},
    **{f"nbf {value!r}": claims(nbf=value) for value in (2**62, "x", True, [], float("inf"))},
}


def _hash(peer: Peer) -> str:
    payload = json.loads(b64url_decode(peer.proof().split(".")[1].encode()))
    return str(payload["ath"])
