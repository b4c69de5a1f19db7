"""Hostile requests: what stands in `Authorization` and in the request line."""

from tests.conformance.hostile_proofs import ECHO

AUTHORIZATIONS = [
    "",
    ",",
    "DPoP ",
    "DPoP ==a",
    '"DPoP" TOKEN',
    "DPoP TOKEN extra",
    "DPoP TOKEN\\",
    f"DPoP {ECHO}",
    f"{ECHO} TOKEN",
    "DPoP ../../etc/passwd",
    "DPoP\xa0TOKEN",
    "D\xd0\xa0oP TOKEN",
    "DPoP " + "a" * 15_000,
    "a" * 30_000,
]

TARGETS = [
    b"*",
    b"resource",
    b"/",
    b"//resource",
    b"/../../etc/passwd",
    b"/%2e%2e/%2e%2e/etc/passwd",
    b"/%zz",
    b"/\xe9",
    b"/a\tb",
    b"/a\x00",
    b"/resource%00",
    b"/resource\\x",
    b"/%0d%0aX-Injected:%20yes",
    b"/" + ECHO.encode(),
    b"/" + b"a/" * 15_000,
    b"/" + b"%41" * 10_000,
    b"/" + b"../" * 10_000,
    b"http://",
    b"http://[::1",
    b"http://127.0.0.1:99999/other",
    b"ftp://127.0.0.1/other",
    b"127.0.0.1:80",
]
