"""A library with one check less: the targets notice. Else their silence would say nothing."""

import json
import math
import time

import pytest

from dpop_asgi import IntrospectionVerifier, Reason, authenticator
from dpop_asgi.asgi.forwarded import Proxies
from dpop_asgi.asgi.preflight import Preflights
from dpop_asgi.asgi.public_paths import PublicRequests
from dpop_asgi.core import credentials, htu, jwk, proof, strict_json
from dpop_asgi.core.checks import request_failures
from dpop_asgi.core.nonce_window import AcceptedNonce
from dpop_asgi.nonces import NonceWindow
from dpop_asgi.replay import UsedProofs
from dpop_asgi.tokens import introspection, token_types
from dpop_asgi.tokens.issuer import http
from dpop_asgi.tokens.jwt import JWTVerifier
from dpop_asgi.tokens.signed_token import SignedToken
from tests.differential.stopwatch import aside
from tests.fuzz.catalogue import inputs, load
from tests.fuzz.worker import LIMIT_SECONDS, TooSlowError, check_time

ENOUGH = 1000


def busy(_):
    until = time.thread_time() + 1.1 * LIMIT_SECONDS
    while time.thread_time() < until:
        pass


def test_an_input_for_which_the_library_takes_too_long_is_a_finding():
    with pytest.raises(TooSlowError, match=r"^\d+ ms$"):
        check_time(busy, b"")


def test_the_time_of_the_judges_does_not_count():
    assert check_time(aside(busy), b"") < LIMIT_SECONDS


def accept_nonce(_, nonce, now):
    return AcceptedNonce(nonce, now, 0.0)


async def claim_always(_, **__):
    return True


def begins_alike(public, scope):
    return scope["path"].startswith(tuple(public.paths) or ("\0",))


def any_options(_, app, scope):
    return app if scope.get("method") == "OPTIONS" else None


def lax_json(raw, **_):
    return json.loads(raw)


def in_lower_case(uri, *, exact=htu.normalise, **options):
    return exact(uri.lower(), **options)


# What each library accepts, and what is replaced in it: where, its name, and by what.
LAX = {
    "signature": [(jwk.PublicKey, "verify", lambda *_: True)],
    "private_key": [(jwk, "PRIVATE_MEMBERS", frozenset())],
    "nonce": [(NonceWindow, "accept", accept_nonce)],
    "replay": [(UsedProofs, "claim", claim_always)],
    "binding": [(authenticator, "check_binding", lambda *_: None)],
    "time_of_a_token": [(JWTVerifier, "_check_times", lambda *_: (-math.inf, math.inf))],
    "audience": [(SignedToken, "audiences", {"https://api.example.com"})],
    "audience_of_an_answer": [(IntrospectionVerifier, "_check_audience", lambda *_: None)],
    "token_type": [(introspection, "check_token_type", lambda _: None)],
    "kind_of_token": [(token_types, "_OTHER_TOKENS", frozenset())],
    "json": [(module, "strict_json_object", lax_json) for module in (strict_json, proof)],
    "json_of_an_issuer": [(http, "strict_json_object", lax_json)],
    "path_in_lower_case": [(htu, "normalise", in_lower_case)],
    "size": [(credentials, "MAX_AUTHORIZATION_BYTES", 1_000_000)],
    "proxy": [(Proxies, "trust", lambda *_: True)],
    "path_of_the_app": [(credentials, "has_dot_segments", lambda _: False)],
    "path_that_begins_alike": [(PublicRequests, "match", begins_alike)],
    "options_request": [(Preflights, "guard", any_options)],
}
# By target, which of them it notices.
NOTICED = {
    "credentials": ["size"],
    "encoding": ["json"],
    "htu": ["path_in_lower_case"],
    "target_uri": ["proxy", "path_of_the_app"],
    "token": ["signature", "time_of_a_token", "audience"],
    "introspection": ["audience_of_an_answer", "token_type", "kind_of_token", "json_of_an_issuer"],
    "proof": ["signature"],
    "proof_signed": ["json", "private_key"],
    "proof_changed": ["signature", "private_key", "nonce", "replay", "binding"],
    "middleware": ["replay", "binding", "nonce", "path_that_begins_alike", "options_request", "path_of_the_app"],
}


# That a proof is too old is not among them: it is found again, when it is asked for how long it must be remembered.
ABOUT_THE_REQUEST = (
    Reason.METHOD_MISMATCH,
    Reason.TARGET_MISMATCH,
    Reason.ISSUED_IN_FUTURE,
    Reason.PROOF_EXPIRED,
    Reason.PROOF_NOT_YET_VALID,
    Reason.TOKEN_HASH_MISMATCH,
)


def without(reason):
    def others(claims, context):
        return (failure for failure in request_failures(claims, context) if failure.reason is not reason)

    return [(proof, "request_failures", others)]


def row(name, accepted, changes):
    return pytest.param(name, changes, id=f"{name}-{accepted}")


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        *(row(name, f"every_{lax}", LAX[lax]) for name, noticed in NOTICED.items() for lax in noticed),
        *(row("proof_changed", f"without-{reason}", without(reason)) for reason in ABOUT_THE_REQUEST),
        row("proof_signed", "without-method_mismatch", without(Reason.METHOD_MISMATCH)),
        row("middleware", "without-method_mismatch", without(Reason.METHOD_MISMATCH)),
    ],
)
def test_a_library_that_accepts_too_much_is_noticed(name, changes, monkeypatch):
    for change in changes:
        monkeypatch.setattr(*change)
    target = load(name)

    def try_all():
        for data in inputs(name, ENOUGH):
            target(data)

    with pytest.raises(AssertionError):
        try_all()
