"""Finds the likely cause of a failed check."""

from dpop_asgi.cli.explain.case import Case
from dpop_asgi.cli.explain.causes import claims, credentials, key, nonce, proof, target, times, token
from dpop_asgi.cli.explain.causes.kinds import Advice, Causes
from dpop_asgi.cli.explain.findings import Check
from dpop_asgi.cli.printable import printable

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


def advice(case: Case, check: Check) -> Advice:
    """The first cause that applies."""
    found = (cause(case, check) for cause in CAUSES.get(check.reason, (_described,)))
    cause, fix = next(each for each in found if each is not None)
    return Advice(printable(cause), printable(fix))


def _described(_case: Case, check: Check) -> Advice:
    """Of a check that only the server makes."""
    return Advice(f"{check.reason.description}.", f"See docs/errors.md#{check.reason}.")
