"""Answers of an introspection endpoint: accepted exactly by RFC 7662 and RFC 9449 §6.2."""

import json
from typing import Any

import httpx2

from dpop_asgi import AccessToken, DPoPError, IntrospectionVerifier
from dpop_asgi.core.encoding import sha256_b64url
from dpop_asgi.testing import ManualClock
from dpop_asgi.tokens.issuer.http import json_in
from tests.differential import json_text
from tests.differential.drafts import NOW, text
from tests.differential.drawn import Drawn
from tests.differential.library import drive
from tests.differential.stopwatch import aside
from tests.fuzz.catalogue import Target, demand
from tests.fuzz.targets.token import _JKT as JKT
from tests.fuzz.targets.token import _VALUES as CLAIMS
from tests.fuzz.targets.token import AUDIENCE, ISSUER, LEEWAY

_TYPES = ("DPoP", "dpop", "Bearer", "access_token", "N_A", "refresh_token", "Refresh", "ID", "id_token", True, False)
_CLAIMS, _KINDS = ("iss", "aud", "exp", "nbf", "sub", "client_id", "scope"), ("token_type", "token_use", "typ")
_NAMES = ("active", *_CLAIMS, *_KINDS, "cnf", "")

QUESTION = httpx2.Request("POST", ISSUER)


def make() -> Target:
    clock = ManualClock(NOW)
    known = {"issuer": ISSUER, "audience": AUDIENCE, "client_id": "api", "client_secret": "secret"}
    verifier = IntrospectionVerifier(**known, leeway=LEEWAY, clock=clock)

    def one(data: bytes) -> None:
        clock.now = NOW
        raw = drawn_answer(Drawn(data))
        try:
            answer = drive(json_in(httpx2.Response(200, content=raw, request=QUESTION)))
        except (ValueError, RecursionError):
            return
        try:
            outcome = verifier._judged(answer, NOW)
        except DPoPError:
            return
        if outcome.token is None:
            demand(outcome.good_until <= NOW + 1.0, "a rejection is remembered for longer than a second")
            return
        demand(is_good(raw, outcome.token), f"accepted: {raw!r}")
        ends = min(NOW + 30.0, outcome.token.claims.get("exp") or NOW + 30.0)
        demand(outcome.good_until <= ends, "remembered for longer than it is good")
        token_hash = sha256_b64url("a token")
        verifier._cache.keep(token_hash, outcome)
        clock.now = ends
        demand(verifier.cached_token(token_hash) is None, "remembered beyond its end")

    return one


@aside
def drawn_answer(drawn: Drawn) -> bytes:
    if drawn.below(4) == 3:
        return drawn.rest()
    members: list[tuple[str, Any]] = [
        ("active", True),
        ("iss", ISSUER),
        ("aud", AUDIENCE),
        ("exp", NOW + 60),
        ("sub", "alice"),
        ("token_type", "DPoP"),
        ("cnf", {"jkt": JKT}),
    ]
    for _ in range(drawn.below(4)):
        name, how = drawn.pick(_NAMES), drawn.below(3)
        value = drawn.pick(_TYPES) if drawn.chance() else drawn.pick(CLAIMS)
        if how != 1:
            members[:] = [member for member in members if member[0] != name]
        if how != 2:
            members.append((name, value))
    return text(members)


@aside
def is_good(raw: bytes, accepted: AccessToken) -> bool:
    """The two RFCs by hand, and that the caller is told what the issuer said."""
    read = json_text.read(raw)
    said = dict(read.value)
    audience, binding = said.get("aud"), said.get("cnf")
    kinds = {str(said.get(name)).lower() for name in ("token_type", "token_use", "typ")}
    return (
        not read.names_twice
        and said.pop("active", None) is True
        and said.get("iss") in (None, ISSUER)
        and (audience in (None, []) or AUDIENCE in (audience if isinstance(audience, list) else [audience]))
        and (said.get("exp") is None or said["exp"] + LEEWAY > NOW)
        and (said.get("nbf") is None or said["nbf"] - LEEWAY <= NOW)
        and _is_known(said.get("token_type"), bound=bool(binding))
        and not kinds & {"refresh", "refresh_token", "id", "id_token"}
        and json.dumps(accepted.claims) == json.dumps(said)
        and accepted.key_thumbprint == (binding["jkt"] if "cnf" in said else None)
    )


def _is_known(token_type: Any, *, bound: bool) -> bool:
    kind = str(token_type).lower().removeprefix("urn:ietf:params:oauth:token-type:")
    return token_type is None or (str(token_type).lower() == "dpop" if bound else kind in {"bearer", "access_token"})
