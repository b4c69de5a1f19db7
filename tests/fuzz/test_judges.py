"""A library with one check less: the targets notice. Else their silence would say nothing."""

import json
import math
import time

import pytest

from dpop_asgi import IntrospectionVerifier, Reason
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
from tests.fuzz.catalogue import load
from tests.fuzz.inputs import inputs
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


def every_signature(monkeypatch):
    monkeypatch.setattr(jwk.PublicKey, "verify", lambda *_: True)


def every_private_key(monkeypatch):
    monkeypatch.setattr(jwk, "PRIVATE_MEMBERS", frozenset())


def every_nonce(monkeypatch):
    def accept(_, nonce, now):
        return AcceptedNonce(nonce, now, 0.0)

    monkeypatch.setattr(NonceWindow, "accept", accept)


def every_replay(monkeypatch):
    async def claim(_, **__):
        return True

    monkeypatch.setattr(UsedProofs, "claim", claim)


def every_binding(monkeypatch):
    monkeypatch.setattr("dpop_asgi.authenticator.check_binding", lambda *_: None)


def every_time_of_a_token(monkeypatch):
    monkeypatch.setattr(JWTVerifier, "_check_times", lambda *_: (-math.inf, math.inf))


def every_audience(monkeypatch):
    monkeypatch.setattr(SignedToken, "audiences", {"https://api.example.com"})


def every_audience_of_an_answer(monkeypatch):
    monkeypatch.setattr(IntrospectionVerifier, "_check_audience", lambda *_: None)


def every_token_type(monkeypatch):
    monkeypatch.setattr(introspection, "_check_token_type", lambda _: None)


def every_kind_of_token(monkeypatch):
    monkeypatch.setattr(token_types, "_OTHER_TOKENS", frozenset())


def every_json(monkeypatch):
    for module in (strict_json, proof):
        monkeypatch.setattr(module, "strict_json_object", lambda raw, **_: json.loads(raw))


def every_json_of_an_issuer(monkeypatch):
    monkeypatch.setattr(http, "strict_json_object", lambda raw, **_: json.loads(raw))


def every_path_in_lower_case(monkeypatch):
    exact = htu.normalise
    monkeypatch.setattr(htu, "normalise", lambda uri, **options: exact(uri.lower(), **options))


def every_size(monkeypatch):
    monkeypatch.setattr(credentials, "MAX_AUTHORIZATION_BYTES", 1_000_000)


def every_proxy(monkeypatch):
    monkeypatch.setattr(Proxies, "trust", lambda *_: True)


def every_path_of_the_app(monkeypatch):
    monkeypatch.setattr(credentials, "has_dot_segments", lambda _: False)


def every_path_that_begins_alike(monkeypatch):
    monkeypatch.setattr(
        PublicRequests, "match", lambda self, scope: scope["path"].startswith(tuple(self.paths) or ("\0",))
    )


def every_options_request(monkeypatch):
    monkeypatch.setattr(Preflights, "guard", lambda _, app, scope: app if scope.get("method") == "OPTIONS" else None)


ABOUT_THE_REQUEST = (
    Reason.METHOD_MISMATCH, Reason.TARGET_MISMATCH, Reason.ISSUED_TOO_EARLY, Reason.ISSUED_IN_FUTURE,
    Reason.PROOF_EXPIRED, Reason.PROOF_NOT_YET_VALID, Reason.TOKEN_HASH_MISMATCH,
)  # fmt: skip


def without(reason):
    def remove(monkeypatch):
        def others(claims, context):
            return (failure for failure in request_failures(claims, context) if failure.reason is not reason)

        monkeypatch.setattr(proof, "request_failures", others)

    return remove


@pytest.mark.parametrize(
    ("name", "accept"),
    [
        *(
            pytest.param(name, accept, id=f"{name}-{accept.__name__}")
            for name, accept in [
                ("credentials", every_size), ("encoding", every_json), ("htu", every_path_in_lower_case),
                ("target_uri", every_proxy), ("token", every_signature), ("token", every_time_of_a_token),
                ("token", every_audience), ("introspection", every_audience_of_an_answer),
                ("introspection", every_token_type), ("introspection", every_kind_of_token),
                ("introspection", every_json_of_an_issuer), ("nonce", every_nonce), ("proof", every_signature),
                ("proof_signed", every_json), ("proof_signed", every_private_key), ("proof_changed", every_signature),
                ("proof_changed", every_private_key), ("proof_changed", every_nonce), ("proof_changed", every_replay),
                ("proof_changed", every_binding), ("middleware", every_replay), ("middleware", every_binding),
                ("middleware", every_nonce), ("middleware", every_path_that_begins_alike),
                ("middleware", every_options_request), ("middleware", every_path_of_the_app),
                ("target_uri", every_path_of_the_app),
            ]
        ),
        *(
            pytest.param("proof_changed", without(reason), id=f"proof_changed-without-{reason}")
            for reason in ABOUT_THE_REQUEST
            # That a proof is too old is found again, when it is asked for how long it must be remembered.
            if reason != Reason.ISSUED_TOO_EARLY
        ),
        pytest.param("proof_signed", without(Reason.METHOD_MISMATCH), id="proof_signed-without-method_mismatch"),
        pytest.param("middleware", without(Reason.METHOD_MISMATCH), id="middleware-without-method_mismatch"),
    ],
)  # fmt: skip
def test_a_library_that_accepts_too_much_is_noticed(name, accept, monkeypatch):
    accept(monkeypatch)
    target = load(name)

    def try_all():
        for data in inputs(name, ENOUGH):
            target(data)

    with pytest.raises(AssertionError):
        try_all()
