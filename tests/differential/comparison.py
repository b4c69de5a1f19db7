"""Library and verifier by hand must agree, but for the rules that are listed."""

from functools import cache

from tests.differential import rules
from tests.differential.library import Library
from tests.differential.stopwatch import aside
from tests.differential.verifier import RefusedError, Request
from tests.differential.verifier import verify as verify_by_hand

_verify = aside(verify_by_hand)
_applying = aside(rules.applying)


@cache
def _library(*, nonces: bool) -> Library:
    return Library(nonces=nonces)


def compare(proofs: list[bytes], request: Request) -> str:
    """What both say: `accepted`, `refused`, or the name of the rule by which only the library refuses.

    Raises:
        AssertionError: when they disagree, or the library accepts a proof twice.
    """
    library = _library(nonces=request.nonces is not None)
    reason = library.reason(proofs, request)
    try:
        parts = _verify(proofs, request)
    except RefusedError as refused:
        if reason is None:
            raise AssertionError(f"accepted, although: {refused}") from None
        return "refused"
    applying = _applying(rules.Proof(proofs[0], parts, request))
    if applying:
        reasons = {rule.reason for rule in applying.values()}
        assert reason in reasons, f"{reason}, although the rules are {list(applying)}"
        return next(iter(applying))
    assert reason is None, f"refused as {reason}, although no rule applies"
    assert library.next_reason(proofs, request) == "proof_replayed"
    library.store.spent.clear()
    assert library.next_reason(proofs, request) is None, "refused with a header that is known"
    return "accepted"
