"""Hostile requests: what stands in `Authorization`, in the token, in the request line, and what is no HTTP at all."""

import json

from tests.conformance.hostile_proofs import ECHO

AUTHORIZATIONS = [
    "",
    " ",
    ",",
    "=",
    "DPoP ",
    "DPoP =",
    "DPoP ==a",
    "DPoP a==b",
    "DPoP ,",
    "DPoP,TOKEN",
    "DPoP:TOKEN",
    "DPoP=TOKEN",
    '"DPoP" TOKEN',
    "DPoP TOKEN extra",
    "DPoP TOKEN,",
    "DPoP TOKEN\\",
    f"DPoP {ECHO}",
    f"{ECHO} TOKEN",
    "DPoP ../../etc/passwd",
    "DPoP %54OKEN",
    "DPoP\xa0TOKEN",
    "D\xd0\xa0oP TOKEN",
    "Digest username=x, realm=y, nonce=z",
    "Negotiate",
    "DPoP " + "a" * 15_000,
    "DPoP " * 500 + "TOKEN",
    "a" * 30_000,
]

_NOW_AND_LONG = 4_102_444_800

# The log has types and issuers as they were received; `ECHO` is what a `jti` and a nonce have, too.
_MARKUP = "<b onclick=alert('hostile')>"
TOKENS = {
    "header a list": {"header": {"typ": ["at+jwt"]}},
    "alg a list": {"header": {"alg": ["ES256"]}},
    "alg of the proof": {"header": {"alg": "HS256"}},
    "kid a list": {"header": {"kid": ["x"]}},
    "kid a path": {"header": {"kid": "../../../../dev/null"}},
    "kid with NUL": {"header": {"kid": "\0"}},
    "kid half a character": {"header": {"kid": "\ud800"}},
    "kid long": {"header": {"kid": "k" * 5000}},
    "crit": {"header": {"crit": ["x"]}},
    "iss a list": {"claims": {"iss": ["x"]}},
    "iss an object": {"claims": {"iss": {}}},
    "iss markup": {"claims": {"iss": _MARKUP}},
    "aud a number": {"claims": {"aud": 5}},
    "aud of objects": {"claims": {"aud": [{}, [], None]}},
    "exp a string": {"claims": {"exp": "x"}},
    "exp NaN": {"claims": {"exp": float("nan")}},
    "exp infinite": {"claims": {"exp": float("inf")}},
    "exp true": {"claims": {"exp": True}},
    "exp missing": {"without": ["exp"]},
    "exp negative": {"claims": {"exp": -1}},
    "nbf far ahead": {"claims": {"nbf": _NOW_AND_LONG}},
    "nbf a string": {"claims": {"nbf": "x"}},
    "typ long": {"header": {"typ": "T" * 5000}},
    "typ markup": {"header": {"typ": _MARKUP}},
    "typ half a character": {"header": {"typ": "\ud800"}},
    "nonce of an ID token": {"claims": {"nonce": "the-nonce-of-an-id-token"}},
    "at_hash a list": {"claims": {"at_hash": [ECHO]}},
    "scope a list of lists": {"claims": {"scope": [["a"]]}},
    "scp an object": {"claims": {"scp": {ECHO: ECHO}}, "without": ["scope"]},
    "azp a number": {"claims": {"azp": 10**24}, "without": ["client_id"]},
    "appid a list": {"claims": {"appid": [ECHO]}, "without": ["client_id"]},
    "sub a number": {"claims": {"sub": 5}},
    "cnf a list": {"claims": {"cnf": []}},
    "cnf a string": {"claims": {"cnf": ECHO}},
    "jkt a list": {"claims": {"cnf": {"jkt": []}}},
    "jkt half a character": {"claims": {"cnf": {"jkt": "\ud800" * 43}}},
    "jkt long": {"claims": {"cnf": {"jkt": "A" * 4000}}},
    "deep": {"claims": {"x": json.loads("[" * 200 + "]" * 200)}},
}

TARGETS = [
    b"*", b"resource", b"?x", b"/", b"//", b"//resource", b"///resource", b"/./.", b"/..", b"/../../etc/passwd",
    b"/%2e%2e/%2e%2e/etc/passwd", b"/%", b"/%zz", b"/%u0041", b"/%ff%fe", b"/\xe9", b"/\xff", b"/a b", b"/a\tb",
    b"/a\x00", b"/resource%00", b"/resource\\x", b"/resource;x", b"/%0d%0aX-Injected:%20yes", b"/" + ECHO.encode(),
    b"/{resource}", b"/" + b"a/" * 15_000, b"/" + b"%41" * 10_000, b"/" + b"../" * 10_000, b"http://", b"http://[",
    b"http://[::1", b"http://127.0.0.1:99999/other", b"http://user@127.0.0.1/other", b"https://127.0.0.1/other",
    b"ftp://127.0.0.1/other", b"http:/resource", b"file:///etc/passwd", b"127.0.0.1:80",
]  # fmt: skip

NO_HTTP = {
    "TLS": b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + bytes(154),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "an unknown version": b"GET /resource HTTP/9.9\r\nHost: localhost\r\n\r\n",
    "no version": b"GET /resource\r\n\r\n",
    "a field without a colon": b"GET /resource HTTP/1.1\r\nHost: localhost\r\nDPoP\r\n\r\n",
    "a space before the colon": b"GET /resource HTTP/1.1\r\nHost: localhost\r\nDPoP : x\r\n\r\n",
    "a NUL in a name": b"GET /resource HTTP/1.1\r\nHost: localhost\r\nDP\x00oP: x\r\n\r\n",
    "a method of two words": b"GE T /resource HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "two lengths": b"POST /resource HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a negative length": b"POST /resource HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    "random bytes": bytes(range(128, 256)) + b"\r\n\r\n",
}
