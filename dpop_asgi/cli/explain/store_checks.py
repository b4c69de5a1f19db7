"""Nonce and replay: what the workers agreed on, as far as it is known. The store is only read."""

from dpop_asgi.cli.explain.case import Case
from dpop_asgi.cli.explain.findings import Findings
from dpop_asgi.cli.explain.message import shortened
from dpop_asgi.cli.explain.table import NONCE, REPLAY, REVOCATION
from dpop_asgi.core.nonce_window import AcceptedNonce, SlotNonces
from dpop_asgi.core.ports import Store
from dpop_asgi.errors import InvalidToken, Reason, UseNonce
from dpop_asgi.nonces import NoncePolicy, NonceWindows
from dpop_asgi.replay import UsedProofs
from dpop_asgi.revocation import Revocations, RevocationWatches

# From this status on, the request wasn't accepted.
_ERRORS = 400


async def check_nonce(case: Case, findings: Findings) -> AcceptedNonce | None:
    """Whether the proof's nonce is one of the store's, or the one that the server issued last.

    Raises:
        StoreError: If the store does not respond.
    """
    policy = case.rules.nonces
    if case.claims is None:
        return None
    nonce = case.claims.get("nonce")
    findings.note(NONCE, proof=shortened(nonce) if isinstance(nonce, str) else "none")
    if policy is None:
        findings.note(NONCE, nonces="off")
        findings.passed(*NONCE.reasons)
        return None
    try:
        accepted = await _accepted(case, findings, policy, nonce)
    except UseNonce as failure:
        findings.stopped(failure, NONCE.reasons)
        return None
    if accepted is not None:
        findings.passed(*NONCE.reasons)
    return accepted


async def _accepted(case: Case, findings: Findings, policy: NoncePolicy, nonce: object) -> AcceptedNonce | None:
    """The nonce, if it is accepted; `None` if that can't be known."""
    if case.rules.store is None:
        return _is_issued(case, findings, policy, nonce)
    store, namespace = case.rules.store, case.rules.namespace
    watches = RevocationWatches(store, namespace=namespace, clock=lambda: case.now, refusal=InvalidToken)
    windows = NonceWindows(store, policy, namespace=namespace, clock=lambda: case.now, watches=watches)
    findings.note(NONCE, slot=policy.slot(case.now), period=policy.period, grace=policy.grace)
    accepted = await windows.check(nonce, case.now)
    slots_ago = round((accepted.age - case.now % policy.period) / policy.period)
    findings.note(NONCE, slots_ago=slots_ago, age=round(accepted.age, 1))
    findings.note(NONCE, seconds_left=round(accepted.until - case.now, 1))
    return accepted


def _is_issued(case: Case, findings: Findings, policy: NoncePolicy, nonce: object) -> AcceptedNonce | None:
    """The same without a store: a window with a single nonce, the one that the server issued last."""
    response = case.message.response
    # A response may repeat the nonce that is good; another one replaces it, and says nothing about it.
    repeated = response.nonce if response is not None and response.nonce == nonce else None
    server_nonce = case.server_nonce or repeated
    if server_nonce is None:
        return None
    findings.note(NONCE, server=shortened(server_nonce))
    issued = SlotNonces(policy)
    issued.add(policy.slot(case.now), server_nonce)
    return issued.accept(nonce, case.now)


async def check_revocation(case: Case, findings: Findings) -> None:
    """Whether the proof's key is revoked.

    Raises:
        StoreError: If the store does not respond.
    """
    store = case.rules.store
    if store is None or case.key is None:
        return
    findings.note(REVOCATION, key=case.key.thumbprint)
    revoked = await Revocations(store, namespace=case.rules.namespace, clock=lambda: case.now).revoked_keys()
    if case.key.thumbprint in revoked:
        findings.failed(Reason.KEY_REVOKED)
    else:
        findings.passed(Reason.KEY_REVOKED)


async def check_replay(case: Case, findings: Findings, nonce: AcceptedNonce | None) -> None:
    """Whether the store has a record of the proof.

    Raises:
        StoreError: If the store does not respond.
    """
    store, claims = case.rules.store, case.claims or {}
    if store is None or case.key is None or case.target_uri is None or type(claims.get("jti")) is not str:
        return
    findings.note(REPLAY, jti=shortened(claims["jti"]), key=case.key.thumbprint)
    is_unused, response = await _is_unused(case, store, nonce), case.message.response
    if is_unused or (response is not None and response.status < _ERRORS):
        # If the request was accepted, the record is its own.
        findings.note(REPLAY, used=not is_unused)
        findings.passed(Reason.PROOF_REPLAYED)
    else:
        findings.failed(Reason.PROOF_REPLAYED)


async def _is_unused(case: Case, store: Store, nonce: AcceptedNonce | None) -> bool:
    claims = case.claims or {}
    return await UsedProofs(store, namespace=case.rules.namespace).claim(
        key_thumbprint=case.key.thumbprint if case.key else "",
        target_uri=case.target_uri or "",
        jti=claims["jti"],
        seconds_left=0.0,
        nonce=claims["nonce"] if isinstance(claims.get("nonce"), str) else None,
        incarnation=None if nonce is None else nonce.incarnation,
    )
