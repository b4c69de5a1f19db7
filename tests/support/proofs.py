"""One proof against one request, through everything that the core asks of it."""

from typing import Any

import pytest

from dpop_asgi import InvalidProof, ProofPolicy, Reason
from dpop_asgi.core.checks import ProofContext
from dpop_asgi.core.encoding import sha256_b64url
from dpop_asgi.core.proof import Proof, ProofReader

URI = "https://api.example.com/orders"
TOKEN = "an-opaque.access_token"
NOW = 1_700_000_000.0


def context(**changes: Any) -> ProofContext:
    usual = {
        "method": "GET",
        "target_uri": URI,
        "token_hash": sha256_b64url(TOKEN),
        "now": NOW,
        "policy": ProofPolicy(),
    }
    return ProofContext(**{**usual, **changes})


def judge(value: str | bytes, **changes: Any) -> Proof:
    """The proof, after all checks, signature included. `changes` are those of its context."""
    facts = context(**changes)
    proof = ProofReader(facts.policy).read(value.encode("latin-1") if isinstance(value, str) else value)
    proof.check(facts)
    proof.verify_signature()
    return proof


def reason_against(value: str | bytes, **changes: Any) -> Reason:
    """Why the proof is refused; a test fails when it is accepted."""
    with pytest.raises(InvalidProof) as refused:
        judge(value, **changes)
    return refused.value.reason
