"""Access tokens as signed by an issuer, by somebody else or by nobody: accepted exactly by RFC 9068 §4."""

import json
from typing import Any

from dpop_asgi import AccessToken, InvalidToken, JWTVerifier
from dpop_asgi.testing import ManualClock
from tests.differential import base64url, json_text, keys
from tests.differential.drafts import NOW, text
from tests.differential.drawn import Drawn
from tests.differential.library import drive
from tests.differential.stopwatch import aside
from tests.differential.verifier import RefusedError, check_signature
from tests.fuzz.catalogue import Target, demand

ISSUER = "https://id.example.com"
AUDIENCE = "https://api.example.com"
LEEWAY = 5
_KEYS = {"ES256": "ES256", "PS256": "PS256", "Ed25519": "Ed25519", "EdDSA": "Ed25519"}
_JKT = keys.jkt("ES256 of another client")
_TIMES = (NOW, NOW - 4, NOW - 5, NOW - 6, NOW + 5, NOW + 6, 1e308, -1e308, 10**18, 10**19)
_AUDIENCES = ([], {}, [AUDIENCE], [1, AUDIENCE], ["a"], AUDIENCE, AUDIENCE + "/", ISSUER, ISSUER + "/")
_JKTS = ({"jkt": _JKT}, {"jkt": _JKT + "="}, {"jkt": _JKT[:-1]}, {"jkt": None})
_BINDINGS = (*_JKTS, {"x5t#S256": "a"}, {"jkt": _JKT, "jwk": {}}, {"kid": "a"})
_OF_HEADERS = (
    "at+jwt",
    "application/AT+JWT",
    "JWT",
    "jwt",
    *_KEYS,
    "none",
    "HS256",
    "RS256",
    ["ES256"],
    "key-1",
    "key-9",
)
_VALUES: tuple[Any, ...] = (
    *(None, True, 0, 1, *_TIMES, "", " ", "a", "\ud800"),
    *(*_AUDIENCES, *_BINDINGS, *_OF_HEADERS),
)
_CLIENTS, _SCOPES = ("client_id", "azp", "cid", "appid"), ("scope", "scp")
_OF_ID_TOKENS = ("nonce", "at_hash", "c_hash")
_NAMES = (
    *("typ", "alg", "kid", "crit", "b64", "iss", "aud", "exp", "nbf", "iat", "sub", "cnf", ""),
    *_CLIENTS,
    *_SCOPES,
    *_OF_ID_TOKENS,
)
_TYPES = ("at+jwt", "JWT", None)


def make() -> Target:
    clock = ManualClock(NOW)
    names = dict.fromkeys(_KEYS.values())
    jwks = {"keys": [{**keys.public(name), "kid": f"key-{place}"} for place, name in enumerate(names)]}
    verifier = JWTVerifier(issuer=ISSUER, audience=AUDIENCE, jwks=jwks, types=_TYPES, leeway=LEEWAY, clock=clock)

    def one(data: bytes) -> None:
        clock.now = NOW
        verifier._cache.clear()
        token = drawn_token(Drawn(data))
        accepted = verified(verifier, token)
        if accepted is None:
            return
        demand(is_good(token, accepted), f"accepted: {token!r}")
        demand(verified(verifier, token) == accepted, "remembered as something else")
        clock.now = max(NOW, accepted.claims["exp"] + LEEWAY)
        demand(verified(verifier, token) is None, "remembered for longer than it is good")

    return one


def verified(verifier: JWTVerifier, token: str) -> AccessToken | None:
    try:
        return drive(verifier(token))
    except InvalidToken:
        return None


@aside
def drawn_token(drawn: Drawn) -> str:
    how, algorithm = drawn.below(4), drawn.pick(tuple(_KEYS))
    if how == 0:
        return drawn.rest().decode("latin-1")
    header = [
        ("typ", "at+jwt"),
        ("alg", algorithm),
        ("kid", f"key-{list(dict.fromkeys(_KEYS.values())).index(_KEYS[algorithm])}"),
    ]
    claims = [("iss", ISSUER), ("aud", AUDIENCE), ("exp", NOW + 60), ("sub", "alice"), ("cnf", {"jkt": _JKT})]
    signing_key = drawn.pick((*[_KEYS[algorithm]] * 6, "ES256 of another client", "Ed25519 of another client"))
    for _ in range(drawn.below(4)):
        _change(drawn, drawn.pick((header, claims)))
    parts = [text(header), text(claims)]
    if how == 1:
        parts[drawn.below(2)] = drawn.rest()
    signed = b".".join(map(base64url.encode, parts))
    token = signed + b"." + base64url.encode(keys.signer(signing_key)(signed))
    return (_damaged(drawn, token) if how == 2 else token).decode("latin-1")


def _change(drawn: Drawn, members: list[tuple[str, Any]]) -> None:
    name, how, value = drawn.pick(_NAMES), drawn.below(3), drawn.pick(_VALUES)
    if how != 1:
        members[:] = [member for member in members if member[0] != name]
    if how != 2:
        members.append((name, value))


def _damaged(drawn: Drawn, token: bytes) -> bytes:
    place = drawn.below(len(token))
    return token[:place] + drawn.piece(3) + token[place + drawn.below(3) :]


@aside
def is_good(token: str, accepted: AccessToken) -> bool:
    """RFC 9068 §4 by hand, and that the caller is told what the issuer said."""
    raw_header, raw_claims, signature = map(base64url.decode, token.encode().split(b"."))
    header, claims = json_text.read(raw_header), json_text.read(raw_claims)
    said, now = claims.value, NOW
    audience = said.get("aud")
    typ = str(header.value["typ"]).lower() if "typ" in header.value else None
    return (
        not header.names_twice
        and not claims.names_twice
        and (typ in {"at+jwt", "application/at+jwt"} or (typ in {"jwt", None} and "cnf" in said))
        and _first(said, _OF_ID_TOKENS) is None
        and said.get("iss") == ISSUER
        and AUDIENCE in (audience if isinstance(audience, list) else [audience])
        and now < said["exp"] + LEEWAY
        and now >= (now if said.get("nbf") is None else said["nbf"]) - LEEWAY
        and not {"crit", "b64"} & header.value.keys()
        and is_signed(header.value["alg"], token.encode().rpartition(b".")[0], signature)
        and json.dumps(accepted.claims) == json.dumps(said)
        and accepted.key_thumbprint == said.get("cnf", {"jkt": None})["jkt"]
        and (accepted.subject, accepted.client_id) == (said.get("sub"), _first(said, _CLIENTS))
        and accepted.scopes == _scopes(_first(said, _SCOPES))
    )


def _first(said: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((said[name] for name in names if said.get(name) is not None), None)


def _scopes(said: Any) -> set[str]:
    return {scope for part in ([said] if isinstance(said, str) else said or []) for scope in part.split()}


def is_signed(algorithm: str, message: bytes, signature: bytes) -> bool:
    """Whether the issuer's key for this algorithm made the signature."""
    try:
        check_signature(keys.public(_KEYS[algorithm]), algorithm, message, signature)
    except RefusedError:
        return False
    return True
