"""Nonce and replay: what the workers agreed on, as far as it is known. The store is only read."""

from dpop_asgi.cli.explain.case import Case
from dpop_asgi.cli.explain.findings import Findings
from dpop_asgi.cli.explain.message import shortened
from dpop_asgi.cli.explain.table import NONCE, REPLAY, REVOCATION
from dpop_asgi.core.nonce_window import AcceptedNonce, SlotNonces
from dpop_asgi.core.ports import Replaceable, Store
from dpop_asgi.errors import InvalidToken, Reason, UseNonce
from dpop_asgi.nonces import NoncePolicy, NonceWindows
from dpop_asgi.proof_state import REMEMBER_FOR
from dpop_asgi.replay import MARGIN_SECONDS, UsedProofs
from dpop_asgi.revocation import Revocations, RevocationWatches

# From this status on, the request wasn't accepted.
_ERRORS = 400
# What can be seen without knowing which nonces are valid.
_OF_ANY_NONCE = (Reason.NONCE_MISSING, Reason.NONCE_MALFORMED)


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
    # Of an unknown one: it is there, and well-formed.
    findings.passed(*(NONCE.reasons if accepted is not None else _OF_ANY_NONCE if _is_compared(case) else ()))
    return accepted


def _is_compared(case: Case) -> bool:
    return case.rules.store is not None or case.server_nonce is not None


async def _accepted(case: Case, findings: Findings, policy: NoncePolicy, nonce: object) -> AcceptedNonce | None:
    """The nonce, if it is accepted; `None` if that can't be known."""
    if case.rules.store is None:
        return _is_issued(case, findings, policy, nonce)
    findings.note(NONCE, slot=policy.slot(case.now), period=policy.period, grace=policy.grace)
    try:
        accepted = await _windows(case, case.rules.store, policy).check(nonce, case.now)
    except UseNonce as failure:
        if failure.reason in _OF_ANY_NONCE or await _has_all(case, case.rules.store, policy, failure.facts.get("tag")):
            raise
        findings.note(NONCE, store="has no nonces of that time, or no longer: it keeps them for some minutes")
        return None
    slots_ago = round((accepted.age - case.now % policy.period) / policy.period)
    findings.note(NONCE, slots_ago=slots_ago, age=round(accepted.age, 1))
    findings.note(NONCE, seconds_left=round(accepted.until - case.now, 1))
    return accepted


def _windows(case: Case, store: Replaceable, policy: NoncePolicy) -> NonceWindows:
    namespace = case.rules.namespace
    watches = RevocationWatches(store, namespace=namespace, clock=lambda: case.now, refusal=InvalidToken)
    return NonceWindows(store, policy, namespace=namespace, clock=lambda: case.now, watches=watches)


async def _has_all(case: Case, store: Replaceable, policy: NoncePolicy, tag: object) -> bool:
    """Whether the store still has every nonce that was valid at that time.

    One that it lacks is invented by whoever asks, and different each time.
    """
    slot = policy.slot(case.now)
    for begins in (each * policy.period for each in range(slot - policy.grace, slot + 2)):
        within = begins + policy.period / 2
        one, other = [await _windows(case, store, policy).to_issue(within, tag=tag) for _ in range(2)]
        if one != other:
            return False
    return True


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
    try:
        return issued.accept(nonce, case.now)
    except UseNonce as failure:
        is_challenge = response is not None and response.error == "use_dpop_nonce"
        if failure.reason in _OF_ANY_NONCE or is_challenge:
            raise
        # The nonces of the slots before, and of the one after, are accepted too.
        return None


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
    is_forgotten = is_unused and _is_forgotten(case)
    if response is not None and response.status < _ERRORS:
        # The request was accepted: the record is its own, and may have expired.
        findings.note(REPLAY, used=not is_unused or is_forgotten)
        findings.passed(Reason.PROOF_REPLAYED)
    elif is_forgotten:
        findings.note(REPLAY, store="no longer knows: it forgets a used proof once that is too old")
    elif is_unused:
        findings.note(REPLAY, used=False)
        findings.passed(Reason.PROOF_REPLAYED)
    else:
        findings.failed(Reason.PROOF_REPLAYED)


def _is_forgotten(case: Case) -> bool:
    """Whether a record of the proof would have expired by now."""
    iat = (case.claims or {}).get("iat")
    remember_for = max(REMEMBER_FOR, case.rules.policy.max_age)
    return isinstance(iat, (int, float)) and case.read_at > iat + remember_for + MARGIN_SECONDS


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
