"""The decision at token and PAR endpoints, where there is no access token yet: which key does the client hold?

The checks are those of `Authenticator`, in the same order, without the ones that are about the access token.
"""

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from dpop_asgi.core.checks import ProofContext
from dpop_asgi.core.credentials import IncomingRequest, only_proof
from dpop_asgi.core.decision import Observer
from dpop_asgi.core.policy import ProofPolicy
from dpop_asgi.core.ports import Clock, Store
from dpop_asgi.errors import DPoPError
from dpop_asgi.nonces import NoncePolicy
from dpop_asgi.observers import Seen
from dpop_asgi.proof_state import REMEMBER_FOR, ProofState
from dpop_asgi.recorder import check_alive

_PROOF_POLICY = ProofPolicy()
_NONCE_POLICY = NoncePolicy()


@dataclass(frozen=True, slots=True)
class VerifiedProof:
    """What an accepted proof says.

    Attributes:
        key_thumbprint: of the key that the client holds (RFC 7638, SHA-256, base64url): `cnf.jkt` of bound tokens.
        nonce: the server nonce in the proof; `None` without nonces.
    """

    key_thumbprint: str
    nonce: str | None = field(default=None, repr=False)


class CheckedProof:
    """A proof that has passed every check but the last: whether it was used before.

    Attributes:
        verified: what it says. Nothing may be done for it before `record`.
        is_recorded: whether it is.
    """

    def __init__(self, verified: VerifiedProof, record: Callable[[], Awaitable[None]]) -> None:
        self.verified: VerifiedProof = verified
        self.is_recorded: bool = False
        self._record = record

    async def record(self) -> VerifiedProof:
        """Record it as used, unless that was done.

        Raises:
            Refusal: If it was used before, or has expired since it was checked.
            StoreError: If the store can't tell.
        """
        if not self.is_recorded:
            await self._record()
            self.is_recorded = True
        return self.verified


class ProofVerifier(ProofState):
    """Verifies the proofs of requests to an authorization server, which have no access token (RFC 9449 §5, §10.1).

    Args:
        store: shared by all workers: a `RedisStore`, or a `MemoryStore` for a single process.
        proof_policy: the limits for proofs.
        nonces: how nonces rotate; `None` switches them off.
        namespace: prefix of the keys in the store. It isn't shared with a resource server on another origin, whose
            nonces are its own (RFC 9449 §9).
        observer: called with each `Decision`.
        clock: seconds since the epoch.

    Raises:
        ValueError: If an option is invalid; the message names it.
    """

    def __init__(
        self,
        *,
        store: Store,
        proof_policy: ProofPolicy = _PROOF_POLICY,
        nonces: NoncePolicy | None = _NONCE_POLICY,
        namespace: str = "dpop-as",
        observer: Observer | None = None,
        clock: Clock = time.time,
    ) -> None:
        super().__init__(
            store=store,
            proof_policy=proof_policy,
            nonces=nonces,
            namespace=namespace,
            # The client isn't authenticated yet: anyone could fill a cache.
            cached_keys=0,
            remember_for=REMEMBER_FOR,
            on_store_failure="refuse",
            observer=observer,
            clock=clock,
        )

    async def verify(self, request: IncomingRequest) -> VerifiedProof:
        """Run every check on the one proof of `request`, and record it as used.

        Raises:
            Refusal: If a check fails; the first one decides.
            StoreError: If the store can't tell whether the proof is new, or which nonces are valid.
        """
        return await (await self.check(request)).record()

    async def check(self, request: IncomingRequest) -> CheckedProof:
        """The same in two steps: something else, such as the client's authentication, may come before the record.

        Raises:
            Refusal: If a check fails; the first one decides.
            StoreError: If the store can't tell which nonces are valid.
        """
        self.self_check.start()
        seen = None if self._observer is None else Seen(self._observer, request, has_token=False)
        with _observed(seen):
            return await self._check(request, seen)

    async def _check(self, request: IncomingRequest, seen: Seen | None) -> CheckedProof:
        proof = self._reader.read(only_proof([value for name, value in request.headers if name == b"dpop"]))
        target_uri, now = request.resolved_uri(), self._clock()
        if seen is not None:
            seen.read(proof, now)
        last_instant = proof.check(ProofContext(request.method, target_uri, None, now, self.proof_policy))
        nonce = None
        if self._nonces is not None:
            nonce = await self._nonces.check(proof.claims.get("nonce"), now, client=proof.header.segment)
        thumbprint = proof.verify_signature()

        async def record() -> None:
            recording: Awaitable[bool] = self._recorder.record(
                proof, thumbprint, target_uri, last_instant, nonce, request
            )
            with _observed(seen):
                if seen is not None:
                    seen.nonce, recording = nonce, seen.recording(recording)
                await recording
                # Again: while a slow store responded, the proof may have expired, and the store may have forgotten it.
                check_alive(self._clock(), last_instant, nonce)
            if seen is not None:
                seen.accepted()

        return CheckedProof(VerifiedProof(thumbprint, None if nonce is None else nonce.value), record)

    def replacement_nonce(self, proof: VerifiedProof) -> str | None:
        """The `DPoP-Nonce` for a response to this proof, or `None` if its own is the newest (RFC 9449 §8.2)."""
        return self._replacement_for(proof.nonce)


@contextmanager
def _observed(seen: Seen | None) -> Iterator[None]:
    try:
        yield
    except DPoPError as error:
        if seen is not None:
            seen.rejected(error)
        raise
