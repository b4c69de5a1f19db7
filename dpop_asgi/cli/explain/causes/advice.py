"""Finds the likely cause of a failed check."""

from dpop_asgi.cli.explain.case import Case
from dpop_asgi.cli.explain.causes import claims, credentials, key, nonce, proof, target, times, token
from dpop_asgi.cli.explain.causes.kinds import Advice, Always, Cause, Causes
from dpop_asgi.cli.explain.findings import Check
from dpop_asgi.cli.printable import printable
from dpop_asgi.errors import Reason

CAUSES: Causes = {
    **credentials.CAUSES,
    **proof.CAUSES,
    **key.CAUSES,
    **claims.CAUSES,
    **target.CAUSES,
    **times.CAUSES,
    **nonce.CAUSES,
    **token.CAUSES,
}


# Checks that depend on the server's settings, and the fact with which their causes can be looked for here.
_BY_SETTINGS = {
    Reason.PROOF_ALGORITHM: "alg",
    Reason.TARGET_MISMATCH: "seen_by",
    Reason.ISSUED_TOO_EARLY: "age",
    Reason.ISSUED_IN_FUTURE: "age",
}


def advice(case: Case, check: Check) -> Advice:
    """The first cause that applies."""
    found = (cause(case, check) for cause in _causes(check))
    cause, fix = next(each for each in found if each is not None)
    return Advice(printable(cause), printable(fix))


def _causes(check: Check) -> tuple[Cause, ...]:
    known = CAUSES.get(check.reason, ())
    if "seen_by" in check.facts and _BY_SETTINGS.get(check.reason) not in check.facts:
        # What is here passes, or can't be read: to look for the fault in it would mislead.
        known = tuple(cause for cause in known if isinstance(cause, Always))
    return (*known, _described)


def _described(_case: Case, check: Check) -> Advice:
    """Of a check that only the server makes, or that fails there only."""
    return Advice(f"{check.reason.description}.", f"See docs/errors.md#{check.reason}.")
