"""Records a proof as used, or decides what happens if the store can't."""

import asyncio
from os import urandom

from dpop_asgi.core.credentials import IncomingRequest, Use
from dpop_asgi.core.nonce_window import AcceptedNonce
from dpop_asgi.core.policy import OnStoreFailure
from dpop_asgi.core.ports import Clock, Store
from dpop_asgi.core.proof import Proof
from dpop_asgi.errors import InvalidProof, Reason, StoreError, StoreUnavailable, UseNonce
from dpop_asgi.nonces import NonceWindows
from dpop_asgi.outage_log import OutageLog
from dpop_asgi.replay import VALUE_BYTES, UsedProofs
from dpop_asgi.revocation import RevocationWatch, RevocationWatches

_UNRECORDED = "replay: proofs are accepted without being recorded", "replay: proofs are recorded again"


class Recorder:
    """The last check of the decision.

    Args:
        store: shared by all workers.
        nonces: the nonce windows, told whether their store responds; `None` while nonces are off.
        namespace: prefix of the keys in the store.
        remember_for: seconds after its `iat` that a used proof is remembered.
        on_store_failure: see `Authenticator`.
        watches: what is revoked; `None` if the store does not support that.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        store: Store,
        nonces: NonceWindows | None,
        *,
        namespace: str,
        remember_for: float,
        on_store_failure: OnStoreFailure,
        watches: RevocationWatches | None,
        clock: Clock,
    ) -> None:
        self._store = store
        self._used = UsedProofs(store, namespace=namespace)
        self._nonces = nonces
        self._watches = watches
        self._remember_for = remember_for
        self._refuses = on_store_failure == "refuse"
        self._log = OutageLog(*_UNRECORDED)
        self._clock = clock

    async def record(
        self,
        proof: Proof,
        thumbprint: str,
        target_uri: str,
        until: float,
        nonce: AcceptedNonce | None,
        request: IncomingRequest,
    ) -> bool:
        """Record the proof as used. Returns `False` if it is accepted without being recorded.

        Sets `request.use` for authenticators inside, which rely on this one only if it never returns `False`.

        Raises:
            Refusal: If it was used before, or its nonce or its key is revoked.
        """
        now = self._clock()
        # Time has passed if the issuer was called.
        check_alive(now, until, nonce)
        watch = None if self._watches is None else self._watches.to_ask(thumbprint, nonce, now)
        reading = None if watch is None else await watch.before(thumbprint, nonce, now)
        value = None
        incarnation = None if nonce is None else nonce.incarnation
        if request.use is not None or not self._refuses:
            value, incarnation = self._shared(request, nonce, incarnation)
        try:
            is_first_use = await self._used.claim(
                key_thumbprint=thumbprint,
                target_uri=target_uri,
                jti=proof.claims["jti"],
                seconds_left=proof.claims["iat"] + self._remember_for - now,
                nonce=proof.claims.get("nonce"),
                incarnation=incarnation,
                value=value,
            )
        except StoreError as failure:
            is_recorded = self._accepts_unrecorded(nonce, failure)
        else:
            is_recorded = True
            self._log.succeeded()
            if self._nonces is not None and nonce is not None:
                self._nonces.recorded(nonce)
            if not is_first_use:
                raise InvalidProof(Reason.PROOF_REPLAYED)
            if watch is not None and reading is not None:
                await self._settle(watch, reading)
        if watch is not None and reading is not None:
            await watch.after(reading, thumbprint, nonce, now)
        # Those inside may rely on this one, if it never accepts an unrecorded proof.
        request.use = None if self._refuses else request.use
        return is_recorded

    def _shared(
        self, request: IncomingRequest, nonce: AcceptedNonce | None, incarnation: str | None
    ) -> tuple[str, str | None]:
        """What is written for a use that others record, too, and the incarnation that the reply has to be from."""
        use = request.use
        if use is None:
            use = request.use = Use(urandom(VALUE_BYTES).hex(), self._store, incarnation)
        elif nonce is None and use.store is self._store:
            # Of a nonce that was checked outside. With another store its incarnation would mean nothing here.
            incarnation = use.incarnation
        return use.value, incarnation

    async def check_revoked(self, thumbprint: str, nonce: AcceptedNonce | None) -> None:
        """Check a proof that an outer instance has recorded; `nonce` is `None` if that has checked it, too.

        Raises:
            Refusal: If its nonce or its key is revoked.
        """
        now = self._clock()
        watch = None if self._watches is None else self._watches.to_ask(thumbprint, nonce, now)
        reading = None if watch is None else await watch.before(thumbprint, nonce, now)
        if watch is None or reading is None:
            return
        await self._settle(watch, reading)
        await watch.after(reading, thumbprint, nonce, now)

    async def _settle(self, watch: RevocationWatch, reading: asyncio.Future[None]) -> None:
        """Have read what is revoked. If the store is unavailable and that is accepted, what is known has to do."""
        try:
            await watch.settle(reading)
        except StoreUnavailable:
            if self._refuses:
                raise

    def _accepts_unrecorded(self, nonce: AcceptedNonce | None, failure: StoreError) -> bool:
        """`False` if the proof is accepted although it isn't recorded; raises if it must not be."""
        if self._nonces is not None and nonce is not None:
            self._nonces.not_recorded(nonce, failure)
        if self._refuses or not isinstance(failure, StoreUnavailable):
            raise failure
        self._log.failed(failure)
        return False


def check_alive(now: float, until: float, nonce: AcceptedNonce | None) -> None:
    """Reject a proof or a nonce that has expired since it was checked."""
    if nonce is not None and nonce.until < now:
        raise UseNonce(Reason.NONCE_EXPIRED, **nonce.facts)
    if until < now:
        raise InvalidProof(Reason.ISSUED_TOO_EARLY, last_instant=until, now=now)
