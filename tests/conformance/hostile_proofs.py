"""Hostile proofs by the reason why they are rejected: by the core, a server on a socket, and a token endpoint."""

from dpop_asgi import Reason
from dpop_asgi.core.encoding import b64url_decode, b64url_encode
from dpop_asgi.core.private_key import PrivateKey
from tests.conformance.hostile_makers import (
    OTHER_KEY,
    RSA,
    by_rsa,
    by_shared_secret,
    claims,
    header,
    header_with,
    in_der,
    parts,
    payload_with,
    segments,
    text,
    token_hash,
    twice,
    with_key,
    with_literal,
    with_more,
    with_signature,
    without,
)
from tests.support.keys import number, unpadded

ECHO = "<script>alert('hostile')</script>"
DEEP = 3000

_P384 = PrivateKey.generate("ES384").public_jwk
_ED448_X = b64url_encode(b"\x01" * 57)
_SMALL_ORDER = {"kty": "OKP", "crv": "Ed25519", "x": b64url_encode(b"\x01" + b"\x00" * 31)}
_NO_TEXT = (5, None, True, [], {})
_NO_TIME = ("1700000000", None, True, [], {})
_NO_NUMBERS = ("NaN", "Infinity", "-Infinity", "1e400", "9" * 4000, "-" + "9" * 20, "0x10", "01", "+1", "1.")

SHAPES = {
    "one dot": text("."),
    "two dots": text(".."),
    "a thousand dots": text("." * 1000),
    "letters": text("this-is-not-a-jwt"),
    "two parts": text("a.b"),
    "three letters": text("a.b.c"),
    "four parts": segments(lambda h, p, s: [h, p, s, "x"]),
    "five parts": text("a.b.c.d.e"),
    "in capitals": lambda peer: peer.proof().upper(),
    "quoted": lambda peer: f'"{peer.proof()}"',
    "two with a space": lambda peer: f"{peer.proof()} {peer.proof()}",
    "with a parameter": lambda peer: f"{peer.proof()};x=1",
    "with a scheme": lambda peer: f"DPoP {peer.proof()}",
    "unsigned": lambda peer: peer.proof(header={"alg": "none"}).rpartition(".")[0] + ".",
    "empty header": segments(lambda _, p, s: ["", p, s]),
    "empty payload": segments(lambda h, _, s: [h, "", s]),
    "empty signature": segments(lambda h, p, _: [h, p, ""]),
    "padded header": segments(lambda h, p, s: [f"{h}=", p, s]),
    "padded payload": segments(lambda h, p, s: [h, f"{p}=", s]),
    "padded signature": segments(lambda h, p, s: [h, p, f"{s}="]),
    "standard base64": lambda peer: peer.proof()[:-2] + "+/",
    "loose bits": lambda peer: peer.proof() + "x",
    "markup": text(ECHO),
    "a percent sign": lambda peer: peer.proof() + "%00",
    "a line feed, escaped": lambda peer: peer.proof() + "\\n",
    "header null": parts(b"null", b"{}", b"x"),
    "header a list": parts(b"[]", b"{}", b"x"),
    "header a string": parts(b'"typ"', b"{}", b"x"),
    "header no JSON": parts(b"{typ:1}", b"{}", b"x"),
    "header deep": parts(b"[" * DEEP, b"{}", b"x"),
    "header in UTF-16": header_with(lambda raw: raw.decode().encode("utf-16")),
    "header with a BOM": header_with(lambda raw: b"\xef\xbb\xbf" + raw),
    "header not UTF-8": header_with(lambda raw: raw.replace(b"dpop", b"dp\xffp")),
    "header with a tail": header_with(lambda raw: raw + b"{}"),
    **{f"header with {name} twice": header_with(twice(name)) for name in ("typ", "alg", "jwk")},
    "header with a name twice within": header_with(lambda raw: raw[:-1] + b',"x":{"a":1,"a":1}}'),
    "payload a list": payload_with(lambda raw: b"[" + raw + b"]"),
    "payload null": payload_with(lambda _: b"null"),
    "payload no JSON": payload_with(lambda raw: raw[:-1]),
    "payload deep": payload_with(lambda _: b'{"a":' * (DEEP // 5)),
    "payload of brackets": payload_with(lambda _: b"[" * DEEP),
    "payload not UTF-8": payload_with(lambda raw: raw.replace(b"GET", b"G\xffT")),
    "payload with htm twice": payload_with(twice("htm")),
    "payload with iat twice": payload_with(twice("iat")),
    **{f"iat {literal[:9]}": with_literal("iat", literal) for literal in _NO_NUMBERS},
    "exp infinite": with_literal("exp", "1e400"),
    "nbf infinite": with_literal("nbf", "-1e400"),
    "another claim NaN": with_literal("x", "NaN"),
}

OF_HEADERS = {
    Reason.PROOF_TYPE: {
        **{f"typ {value!r}": header(typ=value) for value in (5, None, True, [], {}, "")},
        **{f"typ {value!r}": header(typ=value) for value in ("JWT", "at+jwt", "DPoP+JWT", "dpop+jwt ", "dpop+jwtx")},
        "typ as media type": header(typ="application/dpop+jwt"),
        "typ missing": without("typ"),
        "header empty": parts(b"{}", b"{}", b"x"),
    },
    Reason.PROOF_ALGORITHM: {
        **{f"alg {value!r}": header(alg=value) for value in (5, None, True, ["ES256"], {}, "")},
        **{f"alg {value!r}": header(alg=value) for value in ("none", "None", "nOnE", "es256", "ES256 ", "XS256")},
        **{f"alg {value!r}": header(alg=value) for value in ("ES384", "ES256K", "RS256")},
        "alg missing": without("alg"),
        **{f"signed as HS{bits}": by_shared_secret(bits) for bits in ("256", "384", "512")},
    },
    Reason.PROOF_CRITICAL: {
        **{f"crit {value!r}": header(crit=value) for value in (["exp"], ["jwk"], [], 5, [{}], None)},
        "b64 false": header(b64=False, crit=["b64"]),
        "b64 alone": header(b64=True),
    },
    Reason.KEY_MISSING: {
        **{f"jwk {value!r}": header(jwk=value) for value in (None, 5, "x", [])},
        "jwk missing": without("jwk"),
    },
    Reason.KEY_PRIVATE: {
        "jwk whole": lambda peer: header(jwk=peer.client.key.private_jwk)(peer),
        "jwk d empty": with_key(d=""),
        "jwk d null": lambda peer: header(jwk={**peer.client.key.public_jwk, "d": None})(peer),
        **{f"jwk with {name}": with_key(**{name: "AQ"}) for name in ("d", "p", "q", "dp", "dq", "qi", "oth", "k")},
        "jwk of RSA with p": by_rsa(p="AQ"),
        "jwk symmetric": header(jwk={"kty": "oct", "k": "c2VjcmV0"}),
    },
    Reason.KEY_UNFIT: {
        **{f"jwk {value!r}": header(jwk=value) for value in ({}, {"kty": "EC"}, {"kty": []}, {"kty": "oct"})},
        "jwk without kty": with_key(kty=None),
        "jwk kty in small letters": with_key(kty="ec"),
        "jwk kty a list": with_key(kty=["EC"]),
        **{f"jwk crv {crv!r}": with_key(crv=crv) for crv in ("P-384", "p-256", "secp256k1", ECHO, 256, {"P-256": 1})},
        "jwk of RSA for ES256": header(jwk=RSA.public_jwk),
        "jwk of EC for PS256": header(alg="PS256"),
        "jwk of EC for Ed25519": header(alg="Ed25519"),
        "jwk X25519": header(jwk={"kty": "OKP", "crv": "X25519", "x": "A" * 43}, alg="EdDSA"),
        "jwk Ed448": header(jwk={"kty": "OKP", "crv": "Ed448", "x": _ED448_X}, alg="EdDSA"),
    },
    Reason.KEY_INVALID: {
        "jwk without x": with_key(x=None),
        "jwk without y": with_key(y=None),
        "jwk off the curve": with_key(y=b64url_encode(b"\x01" * 32)),
        "jwk at infinity": with_key(x=b64url_encode(b"\x00" * 32), y=b64url_encode(b"\x00" * 32)),
        "jwk beyond the field": with_key(x=b64url_encode(b"\xff" * 32)),
        "jwk with coordinates of P-384": with_key(x=_P384["x"], y=_P384["y"]),
        "jwk x short": with_key(x="AQ"),
        "jwk x long": with_key(x="A" * 4000),
        "jwk x with a leading zero": lambda peer: with_key(
            x=b64url_encode(b"\0" + b64url_decode(peer.client.key.public_jwk["x"].encode()))
        )(peer),
        "jwk x padded": lambda peer: with_key(x=peer.client.key.public_jwk["x"] + "=")(peer),
        **{f"jwk x {value[:1]!a}": with_key(x=value) for value in ("\u20ac" * 43, "!" * 43)},
        "jwk x empty": with_key(x=""),
        "jwk x a number": with_key(x=2**60),
        **{
            f"jwk of RSA with e {name}": by_rsa(e=value)
            for name, value in {
                "empty": "",
                "1": number(1),
                "even": number(2),
                "of 33 bits": number(2**33 + 1),
                "huge": number(2**2047 + 1),
                "with a zero byte": unpadded(b"\0\1\0\1"),
            }.items()
        },
        **{
            f"jwk of RSA with n {name}": by_rsa(n=value)
            for name, value in {
                "null": None,
                "empty": "",
                "of 1024 bits": number(2**1023 + 1),
                "of 2047 bits": number(2**2047 - 1),
                "of 4097 bits": number(2**4096 + 1),
                "huge": number(2**16383 + 1),
                "with a zero byte": unpadded(b"\0" + b64url_decode(RSA.public_jwk["n"].encode())),
            }.items()
        },
        "jwk of small order": header(jwk=_SMALL_ORDER, alg="Ed25519"),
    },
    Reason.SIGNATURE_INVALID: {
        "signature one byte": with_signature(lambda _: b"\0"),
        "signature of zeros": with_signature(lambda raw: bytes(len(raw))),
        "signature of ones": with_signature(lambda raw: b"\xff" * len(raw)),
        "signature too long": with_signature(lambda raw: raw * 40),
        "signature one byte short": with_signature(lambda raw: raw[:-1]),
        "signature one byte more": with_signature(lambda raw: raw + b"\0"),
        "signature in DER": with_signature(in_der),
        "signature first bit flipped": with_signature(lambda raw: bytes([raw[0] ^ 0x80]) + raw[1:]),
        "signature last bit flipped": with_signature(lambda raw: raw[:-1] + bytes([raw[-1] ^ 1])),
        "signature of another key": lambda peer: peer.proof(signed_by=OTHER_KEY),
        "signature of another proof": lambda peer: f"{peer.proof().rpartition('.')[0]}.{peer.proof().split('.')[2]}",
        "header changed after signing": segments(lambda h, p, s: [with_more(h), p, s]),
        "payload changed after signing": segments(lambda h, p, s: [h, with_more(p), s]),
    },
}

OF_CLAIMS = {
    Reason.CLAIM_MISSING: {
        **{f"{name} missing": without(name) for name in ("jti", "htm", "htu", "iat")},
        "jti missing, and all others": payload_with(lambda _: b"{}"),
    },
    Reason.CLAIM_MALFORMED: {
        **{
            f"{name} {value!r}": claims(**{name: value})
            for name in ("jti", "htm", "htu", "ath", "nonce")
            for value in _NO_TEXT
            # A client that has no nonce sends none.
            if (name, value) != ("nonce", None)
        },
        **{f"jti {value!r}": claims(jti=value) for value in ("", "  ", "\t\n")},
        **{f"{name} {value!r}": claims(**{name: value}) for name in ("iat", "exp", "nbf") for value in _NO_TIME},
    },
    Reason.METHOD_MISMATCH: {
        **{f"htm {value!r}": claims(htm=value) for value in ("", "*", "get", "GET ", "HEAD", "\ud800")},
    },
    Reason.TARGET_MISMATCH: {
        **{f"htu {value!r}": claims(htu=value) for value in ("", "\ud800", "http://", "http://[", "http:", ECHO)},
        **{f"htu {value!r}": claims(htu=value) for value in ("javascript:alert()", "http://a\nb/", "http://a:b/")},
        "htu long": claims(htu="http://a/" + "a/" * 2500),
        "htu of dots": claims(htu="http://a/" + "../" * 1500),
        "htu of escapes": claims(htu="http://a/" + "%2e" * 1500),
    },
    Reason.TOKEN_HASH_MISMATCH: {
        **{f"ath {value!r}": claims(ath=value) for value in ("", "\ud800", "not-the-right-hash")},
        "ath padded": lambda peer: peer.proof(claims={"ath": token_hash(peer) + "="}),
        "ath in hex": lambda peer: peer.proof(claims={"ath": b64url_decode(token_hash(peer).encode()).hex()}),
    },
    Reason.ISSUED_TOO_EARLY: {
        **{f"iat {value!r}": claims(iat=value) for value in (0, -0.0, -1, -(2**59), -1e308)},
    },
    Reason.ISSUED_IN_FUTURE: {f"iat {value!r}": claims(iat=value) for value in (2**62, 1e300, 1e308)},
    Reason.PROOF_EXPIRED: {"exp 0": claims(exp=0)},
    Reason.PROOF_NOT_YET_VALID: {"nbf far ahead": claims(nbf=2**62)},
}

BY_REASON = {Reason.PROOF_MALFORMED: SHAPES, **OF_HEADERS, **OF_CLAIMS}
HEADERS = {name: make for rows in OF_HEADERS.values() for name, make in rows.items()}
CLAIMS = {name: make for rows in OF_CLAIMS.values() for name, make in rows.items()}
