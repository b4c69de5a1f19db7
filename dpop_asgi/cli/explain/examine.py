"""Runs every check on one request, in the order of the middleware."""

from dataclasses import replace

from dpop_asgi.cli.explain.case import Case
from dpop_asgi.cli.explain.causes.advice import advice
from dpop_asgi.cli.explain.credentials_checks import check_credentials, check_url
from dpop_asgi.cli.explain.findings import Check, Findings
from dpop_asgi.cli.explain.proof_checks import check_claims, check_header, check_shape, check_signature
from dpop_asgi.cli.explain.store_checks import check_nonce, check_replay, check_revocation
from dpop_asgi.cli.explain.token_checks import check_bound, check_token


async def examine(case: Case) -> list[Check]:
    """Every check, with its outcome, and what to do about those that failed.

    Raises:
        StoreError: If the store does not respond.
    """
    findings = Findings()
    check_credentials(case, findings)
    check_shape(case, findings)
    check_header(case, findings)
    check_url(case, findings)
    check_claims(case, findings)
    nonce = await check_nonce(case, findings)
    check_signature(case, findings)
    await check_token(case, findings)
    check_bound(case, findings)
    await check_revocation(case, findings)
    await check_replay(case, findings, nonce)
    _believe_the_server(case, findings)
    return [_explained(case, check) for check in findings.checks()]


def _believe_the_server(case: Case, findings: Findings) -> None:
    """A rejection that nothing here explains: the server has seen something else, or knows more."""
    response = case.message.response
    reason = None if response is None else response.reason
    if reason is not None and case.message.is_rejected and findings.outcome(reason) != "fail":
        findings.failed(reason, seen_by="the server")


def _explained(case: Case, check: Check) -> Check:
    if check.outcome != "fail":
        return check
    cause, fix = advice(case, check)
    return replace(check, cause=cause, fix=fix)


def verdict(checks: list[Check]) -> bool | None:
    """Whether the request would be accepted; `None` if that can't be known."""
    outcomes = {check.outcome for check in checks}
    return False if "fail" in outcomes else None if "unknown" in outcomes else True
