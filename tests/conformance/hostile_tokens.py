"""Hostile access tokens by the reason why they are rejected: what is changed in a good one of the issuer."""

import json
from typing import Any

from dpop_asgi import Reason
from dpop_asgi.core.private_key import PrivateKey
from tests.conformance.hostile_makers import shared_secret
from tests.conformance.hostile_proofs import ECHO

# The log has types and issuers as they were received; `ECHO` is what a `jti` and a nonce have, too.
_MARKUP = "<b onclick=alert('hostile')>"
_URN = "urn:ietf:params:oauth:jwk-thumbprint:sha-256:"
_FAR_AHEAD = 4_102_444_800


def _header(name: str, *values: Any) -> dict[str, Any]:
    return {f"{name} {value!r:.40}": {"header": {name: value}} for value in values}


def _claim(name: str, *values: Any) -> dict[str, Any]:
    """`scope` counts before `scp`, and `client_id` before others."""
    others = ["scope"] if name == "scp" else ["client_id"] if name in {"azp", "appid"} else []
    return {f"{name} {value!r:.40}": {"claims": {name: value}, "without": others} for value in values}


BY_REASON: dict[Reason, dict[str, Any]] = {
    Reason.TOKEN_TYPE: {
        **_header("typ", "JWT", "dpop+jwt", "id_token", "", "at+jwt ", 5, None, ["at+jwt"], _MARKUP, "\ud800"),
        "typ long": {"header": {"typ": "T" * 5000}},
        "typ missing": {"without": ["typ"]},
        "nonce of an ID token": {"claims": {"nonce": "the-nonce-of-an-id-token"}},
        "at_hash a list": {"claims": {"at_hash": [ECHO]}},
    },
    Reason.TOKEN_ISSUER: {
        **_claim("iss", "https://other.example", "https://id.example.com/", "HTTPS://id.example.com", _MARKUP),
        **_claim("iss", ["https://id.example.com"], {}, None),
        "iss missing": {"without": ["iss"]},
    },
    Reason.TOKEN_ALGORITHM: {
        **_header("alg", "none", "None", "NONE", "HS256", "es256", "XS256", "", 5, ["ES256"], None),
        # Who takes a public key for a secret has it.
        "alg HS256, signed": {"header": {"alg": "HS256"}, "signed_by": shared_secret(b"public")},
    },
    Reason.TOKEN_AUDIENCE: {
        **_claim("aud", "https://other.example", "https://api.example.com/", ["https://other.example"], [], None, 5),
        **_claim("aud", [["https://api.example.com"]], {"https://api.example.com": 1}, [{}, [], None]),
        "aud missing": {"without": ["aud"]},
    },
    Reason.TOKEN_SIGNATURE: {"signed by another key": {"signed_by": PrivateKey.generate()}},
    Reason.TOKEN_KEY_UNKNOWN: {
        **_header("kid", "unknown", "../../../../dev/null", "\0", "\ud800"),
        "kid long": {"header": {"kid": "k" * 5000}},
    },
    Reason.TOKEN_EXPIRED: _claim("exp", -1, 0, 1_600_000_000),
    Reason.TOKEN_NOT_YET_VALID: _claim("nbf", _FAR_AHEAD),
    Reason.TOKEN_MALFORMED: {
        **_header("crit", ["exp"]),
        **_header("b64", False),
        **_header("kid", 5, ["kid"], {}, True),
        **_claim("exp", "tomorrow", True, None, [1], 10**24, float("nan"), float("inf")),
        "exp missing": {"without": ["exp"]},
        **_claim("nbf", "now", False),
        **_claim("iat", "now", {}),
        **_claim("sub", 5, ["alice"]),
        **_claim("client_id", 5, {}),
        **_claim("azp", 10**24),
        **_claim("appid", [ECHO]),
        **_claim("scope", 5, [5], [["a"]]),
        **_claim("scp", {ECHO: ECHO}, [["a"]]),
        "deep": {"claims": {"x": json.loads("[" * 200 + "]" * 200)}},
    },
    Reason.BINDING_MALFORMED: {
        **_claim("cnf", [], {}, None, ECHO, {"jkt": 5}, {"jkt": []}, {"jkt": ""}, {"jkt": "\ud800" * 43}),
        **_claim("cnf", {"jkt": "A" * 4000}, {"jkt": f"{_URN}{'A' * 43}"}),
    },
    Reason.BINDING_UNSUPPORTED: _claim("cnf", {"jkt#S512": "x" * 43}, {"x5t#S256": "x" * 43}),
}

TOKENS = {name: changes for rows in BY_REASON.values() for name, changes in rows.items()}
