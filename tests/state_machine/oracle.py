"""How a request must be answered, said without the code that it judges: from clocks, slots and what the store holds."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from dpop_asgi import Reason
from tests.state_machine.fleet import Attempt, Proof, Rules, Token, Worker

TOKEN_LEEWAY = 5.0

# To the instant at which the last fifth of a slot begins nobody is held more exactly than numbers are.
_ROUNDING = 1e-6
_DEAD_NONCE = frozenset({Reason.NONCE_EXPIRED, Reason.NONCE_UNKNOWN})


@dataclass(frozen=True)
class Verdict:
    """What may be answered.

    Attributes:
        accepted: 200.
        unavailable: 503.
        reasons: 401, for one of these.
        spends: the request passes every other check, so the store is asked to remember its proof.
        at: when it is answered, by the worker's clock.
    """

    accepted: bool = False
    unavailable: bool = False
    reasons: frozenset[Reason] = frozenset()
    spends: bool = False
    at: float = 0.0


@dataclass(frozen=True)
class _Spent:
    """A proof that the store was asked to remember, and how often it had lost everything by then."""

    proof: Proof
    losses: int


class Oracle:
    """Knows the clocks, what each worker was told of nonces, and which proofs the store holds.

    Args:
        rules: of the fleet.
        store: its fault, and the nonces that stand in it.
    """

    def __init__(self, rules: Rules, store: Any) -> None:
        self.rules = rules
        self.store = store
        self.losses = 0
        self._spent: dict[tuple[str, str, str], _Spent] = {}

    def judge(self, attempt: Attempt, worker: Worker) -> Verdict:
        """What the worker must answer now."""
        arrived = now = worker.clock()
        faults, proof = self._before_nonce(attempt, now), attempt.proof
        if proof is None:
            return self._refused(faults, worker, now) if faults else Verdict(accepted=True, at=now)
        if not faults and self.rules.nonces is not None:
            waits = not self.has_window(worker, arrived)
            if waits and not self.store.fault.answers("nonce"):
                return Verdict(unavailable=True, at=now)
            now += self.store.fault.delay("nonce") if waits else 0.0
            faults = self._of_nonce(proof, worker, arrived, asked_store=waits)
        grown_old = self._grown_old(proof, arrived, now)
        faults = faults or self._of_credentials(proof, attempt.token, now) or grown_old
        if Reason.NONCE_EXPIRED in grown_old:
            # The store itself may have forgotten this nonce before it answered.
            faults |= _DEAD_NONCE
        return self._refused(faults, worker, now) if faults else self._spending(proof, worker, arrived, now)

    def has_window(self, worker: Worker, now: float) -> bool:
        """Whether the worker needs no answer from the store to judge nonces and to hand one out."""
        nonces = self.rules.nonces
        if nonces is None:
            return True
        slot = math.floor(now / nonces.period)
        return all(needed in worker.view.told for needed in range(slot - nonces.grace, slot + 2))

    def offered(self, told: Mapping[int, str], now: float) -> set[str | None]:
        """The nonce that a worker hands out who was told these: in the last fifth of a slot the next."""
        if self.rules.nonces is None:
            return set()
        slots = now / self.rules.nonces.period + 0.2
        return {told.get(math.floor(slots + rounding)) for rounding in (-_ROUNDING, _ROUNDING)}

    def dies_at(self, proof: Proof) -> float:
        """The instant after which no worker by its own clock accepts this proof any more."""
        return min(proof.issued_at + self.rules.policy.max_age, self._nonce_dies_at(proof))

    def _nonce_dies_at(self, proof: Proof) -> float:
        nonces, slot = self.rules.nonces, self.store.ever.get(proof.nonce)
        return math.inf if nonces is None or slot is None else (slot + 1 + nonces.grace) * nonces.period

    def note(self, proof: Proof, *, accepted: bool, at: float) -> None:
        """The store was asked to remember the proof, and wrote it unless something stood there.

        What stands there does so until its own death, also where a lost reply let another proof pass meanwhile.
        """
        if not self._stands(proof) or (accepted and at > self.dies_at(self._spent[_identity(proof)].proof)):
            self._spent[_identity(proof)] = _Spent(proof, self.losses)

    def _stands(self, proof: Proof) -> bool:
        spent = self._spent.get(_identity(proof))
        return spent is not None and spent.losses == self.losses

    def _before_nonce(self, attempt: Attempt, now: float) -> frozenset[Reason]:
        proof, policy = attempt.proof, self.rules.policy
        if attempt.scheme == "Bearer":
            return self._as_bearer(attempt.token, now)
        assert proof is not None
        questions = [
            (proof.method == attempt.method, Reason.METHOD_MISMATCH),
            (proof.path == attempt.path, Reason.TARGET_MISMATCH),
            (proof.issued_at >= now - policy.max_age, Reason.ISSUED_TOO_EARLY),
            (proof.issued_at <= now + policy.max_future, Reason.ISSUED_IN_FUTURE),
            (proof.token is attempt.token, Reason.TOKEN_HASH_MISMATCH),
        ]
        return _first(questions)

    def _as_bearer(self, token: Token, now: float) -> frozenset[Reason]:
        if self.rules.mode == "required":
            return frozenset({Reason.BEARER_NOT_ACCEPTED})
        return _first([*_of_token(token, now), (token.bound_to is None, Reason.BOUND_TOKEN_AS_BEARER)])

    def _of_nonce(self, proof: Proof, worker: Worker, now: float, *, asked_store: bool) -> frozenset[Reason]:
        """Alive are the slots from `grace` before the present one to the one after it, by the worker's clock."""
        nonces = self.rules.nonces
        assert nonces is not None
        if proof.nonce is None:
            return frozenset({Reason.NONCE_MISSING})
        if " " in proof.nonce:
            return frozenset({Reason.NONCE_MALFORMED})
        known = {**self.store.nonces, **worker.view.slots} if asked_store else worker.view.slots
        slot, present = known.get(proof.nonce), math.floor(now / nonces.period)
        alive = slot is not None and present - nonces.grace <= slot <= present + 1
        return frozenset() if alive else _DEAD_NONCE

    def _of_credentials(self, proof: Proof, token: Token, now: float) -> frozenset[Reason]:
        return _first(
            [
                (proof.signed, Reason.SIGNATURE_INVALID),
                *_of_token(token, now),
                (token.bound_to is not None, Reason.BINDING_MISSING),
                (token.bound_to is proof.client, Reason.BINDING_MISMATCH),
            ]
        )

    def _grown_old(self, proof: Proof, arrived: float, now: float) -> frozenset[Reason]:
        """While a slow store was asked, the proof may have died."""
        too_early = proof.issued_at + self.rules.policy.max_age < now
        late = now > arrived
        return _first(
            [
                (not (late and self._nonce_dies_at(proof) < now), Reason.NONCE_EXPIRED),
                (not (late and too_early), Reason.ISSUED_TOO_EARLY),
            ]
        )

    def _refused(self, reasons: frozenset[Reason], worker: Worker, now: float) -> Verdict:
        """A challenge needs a nonce; where none can be had the request is not refused but put off."""
        if not self.has_window(worker, now) and not self.store.fault.answers("nonce"):
            return Verdict(unavailable=True, at=now)
        return Verdict(reasons=reasons, at=now)

    def _spending(self, proof: Proof, worker: Worker, arrived: float, now: float) -> Verdict:
        fault, accepts = self.store.fault, self.rules.on_store_failure == "accept"
        if not fault.answers("proof"):
            return Verdict(accepts, not accepts, spends=True, at=now)
        # A slow store is late once in a request.
        now += fault.delay("proof") if now == arrived else 0.0
        faults = self._grown_old(proof, arrived, now) or _first(_of_token(proof.token, now))
        if not self._stands(proof):
            return replace(self._refused(faults, worker, now), accepted=not faults, spends=True)
        faults |= {Reason.PROOF_REPLAYED}
        # Another proof with the same jti: how long it is remembered beyond its death is nobody's promise.
        spent = self._spent[_identity(proof)].proof
        may_pass = spent is not proof and now > self.dies_at(spent) and len(faults) == 1
        return replace(self._refused(faults, worker, now), accepted=may_pass, spends=True)


def _identity(proof: Proof) -> tuple[str, str, str]:
    return proof.client.thumbprint, proof.path, proof.jti


def _of_token(token: Token, now: float) -> list[tuple[bool, Reason]]:
    return [(token.genuine, Reason.TOKEN_SIGNATURE), (now < token.expires_at + TOKEN_LEEWAY, Reason.TOKEN_EXPIRED)]


def _first(questions: list[tuple[bool, Reason]]) -> frozenset[Reason]:
    """The reason of the first question that is answered with no."""
    return frozenset([reason for holds, reason in questions if not holds][:1])
