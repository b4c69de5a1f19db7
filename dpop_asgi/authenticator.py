"""The one decision: who is calling?

Cheap checks run before expensive ones, local before remote, and nothing is stored until every other check has passed.
`_decide` numbers them as docs/security.md does ("What is checked, in this order").
"""

import time
from typing import get_args

from dpop_asgi.core.access_token import AccessToken, check_binding, check_unbound
from dpop_asgi.core.authorization import Requirement, authorize
from dpop_asgi.core.caller import Caller, shared_claims
from dpop_asgi.core.checks import ProofContext
from dpop_asgi.core.credentials import Credentials, IncomingRequest, read_credentials
from dpop_asgi.core.decision import Observer
from dpop_asgi.core.options import require
from dpop_asgi.core.policy import Mode, OnStoreFailure, ProofPolicy
from dpop_asgi.core.ports import Clock, Store, TokenVerifier
from dpop_asgi.core.proof import CACHED_HEADERS
from dpop_asgi.errors import DPoPError, InvalidToken, Reason, Refusal
from dpop_asgi.nonces import NoncePolicy
from dpop_asgi.observers import Seen
from dpop_asgi.own_checks import AllowBearer, AlsoCheck, OwnChecks
from dpop_asgi.proof_state import REMEMBER_FOR, ProofState
from dpop_asgi.recorder import check_alive
from dpop_asgi.verifier import CheckedVerifier

_PROOF_POLICY = ProofPolicy()
_NONCE_POLICY = NoncePolicy()


class Authenticator(ProofState):
    """Verifies the proof and the token of a request. It knows neither ASGI nor Redis.

    Args:
        verify_token: verifies access tokens: a `JWTVerifier`, or a custom async function.
        store: shared by all workers: a `RedisStore`, or a `MemoryStore` for a single process.
        proof_policy: the limits for proofs.
        nonces: how nonces rotate; `None` switches them off.
        mode: `required` accepts DPoP only; `mixed` accepts unbound tokens under Bearer too, for a migration.
        namespace: prefix of the keys in the store. Services on one origin share it: clients keep one nonce per origin.
        cached_keys: the number of clients whose imported keys are cached, about 3 KB each.
        remember_for: seconds after its `iat` that a used proof is remembered, at least `max_age`. Choose it so that no
            server with the same store, before or after a change of its options, accepts the proof for longer.
        on_store_failure: what happens if a proof can't be recorded. `refuse` responds with 503. `accept` accepts the
            proof while the store is unavailable (`StoreUnavailable`); then only its nonce limits its reuse.
        observer: called with each `Decision`.
        also_check: called with the request, the claims of its proof, the thumbprint of its key (both `None` under
            Bearer) and its token, before the proof is recorded as used. Async or not, it may raise a `Refusal`, and
            returns nothing. A captured request can make it run again, so it should be cheap and have no effects.
        allow_bearer: with `mode="mixed"`, whether an unbound token may still be sent under Bearer.
        clock: seconds since the epoch.

    Raises:
        ValueError: If an option is invalid; the message names it.
    """

    def __init__(
        self,
        *,
        verify_token: TokenVerifier,
        store: Store,
        proof_policy: ProofPolicy = _PROOF_POLICY,
        nonces: NoncePolicy | None = _NONCE_POLICY,
        mode: Mode = "required",
        namespace: str = "dpop",
        cached_keys: int = CACHED_HEADERS,
        remember_for: float = REMEMBER_FOR,
        on_store_failure: OnStoreFailure = "refuse",
        observer: Observer | None = None,
        also_check: AlsoCheck | None = None,
        allow_bearer: AllowBearer | None = None,
        clock: Clock = time.time,
    ) -> None:
        require("mode", mode in get_args(Mode), "required or mixed")
        super().__init__(
            store=store,
            proof_policy=proof_policy,
            nonces=nonces,
            namespace=namespace,
            cached_keys=cached_keys,
            remember_for=remember_for,
            on_store_failure=on_store_failure,
            observer=observer,
            clock=clock,
            verify_token=verify_token,
        )
        self.mode: Mode = mode
        self.verify_token = verify_token
        self._verifier = CheckedVerifier(verify_token, clock=clock)
        self._own = OwnChecks(also_check, allow_bearer, mixed=mode == "mixed")

    async def authenticate(self, request: IncomingRequest, needed: Requirement | None = None) -> Caller:
        """Run every check on `request`.

        Args:
            request: the request.
            needed: what it needs besides a valid token.

        Raises:
            Refusal: If a check fails; the first one decides.
            StoreError: If the store can't tell whether the proof is new, or which nonces are valid.
            IssuerUnavailable: If the issuer's keys are not known.
        """
        self.self_check.start()
        if self._observer is None:
            return await self._decide(request, needed)
        seen = Seen(self._observer, request)
        try:
            caller = await self._decide(request, needed, seen)
        except DPoPError as error:
            seen.rejected(error)
            raise
        seen.accepted(replay_checked=caller.replay_checked)
        return caller

    def authorize(self, caller: Caller, needed: Requirement) -> None:
        """Check that a caller who was accepted before may do more. The proof isn't needed again.

        Raises:
            Refusal: If the token is not enough.
        """
        try:
            if not needed.bearer and caller.key_thumbprint is None:
                raise InvalidToken(Reason.BEARER_NOT_ACCEPTED)
            authorize(needed, caller.scopes, shared_claims(caller), self._clock())
        except Refusal as refusal:
            if self._observer is not None:
                self._observer.rejected_later(caller, refusal)
            raise

    async def _decide(self, request: IncomingRequest, needed: Requirement | None, seen: Seen | None = None) -> Caller:
        credentials = read_credentials(request.headers)  # 1
        if credentials.scheme == "Bearer":
            return await self._bearer(request, credentials, needed, seen)
        proof = self._reader.read(credentials.proof())  # 2
        target_uri, now, before = request.resolved_uri(), self._clock(), request.outer_caller
        if seen is not None:
            seen.read(proof, now)
        token_hash = credentials.token_hash
        last_instant = proof.check(  # 3
            ProofContext(request.method, target_uri, token_hash, now, self.proof_policy, request.websocket)
        )
        nonce = None
        if self._nonces is not None and (before is None or before.nonce is None):
            nonce = await self._nonces.check(proof.claims.get("nonce"), now, client=proof.header.segment)  # 4
        thumbprint = proof.verify_signature()  # 5
        token = self._verifier.cached_token(token_hash) or await self._verified(credentials, seen)  # 6
        request.client_id = token.client_id
        if seen is not None:
            seen.nonce, seen.token = nonce, token
        check_binding(token, thumbprint)  # 7
        self._reader.remember(proof)
        if needed is not None:
            authorize(needed, token.scopes, token.claims, now)  # 8
        if self._own.also:
            await self._own.also_check(request, proof.claims, thumbprint, token)
        is_recorded = True
        if before is None or before.key_thumbprint is None or not before.replay_checked or request.use is not None:
            recording = self._recorder.record(proof, thumbprint, target_uri, last_instant, nonce, request)  # 9
            is_recorded = await (recording if seen is None else seen.recording(recording))
            # Again: while a slow store responded, the proof may have expired, and the store may have forgotten that it
            # was used. The token may have expired too.
            check_alive(self._clock(), last_instant, nonce)
            self._verifier.check_alive(token)
        else:
            await self._recorder.check_revoked(thumbprint, nonce)
        return Caller.of(token, nonce=nonce, proof_claims=proof.claims, replay_checked=is_recorded)

    async def _bearer(
        self, request: IncomingRequest, credentials: Credentials, needed: Requirement | None, seen: Seen | None
    ) -> Caller:
        """RFC 9449 §7.2: during a migration, unbound tokens are accepted under Bearer, bound ones never."""
        if self.mode == "required" or not (needed is None or needed.bearer):
            raise InvalidToken(Reason.BEARER_NOT_ACCEPTED)
        token = await self._verified(credentials, seen)
        request.client_id = token.client_id
        if seen is not None:
            seen.token = token
        check_unbound(token)
        self._own.check_bearer(token)
        if needed is not None:
            authorize(needed, token.scopes, token.claims, self._clock())
        await self._own.also_check(request, None, None, token)
        return Caller.of(token)

    async def _verified(self, credentials: Credentials, seen: Seen | None) -> AccessToken:
        verification = self._verifier(credentials.token)
        return await (verification if seen is None else seen.verifying(verification))

    def replacement_nonce(self, caller: Caller) -> str | None:
        """The `DPoP-Nonce` for a response to `caller`, or `None` if its own is the newest (RFC 9449 §8.2)."""
        return self._replacement_for(caller.nonce)

    def seconds_left(self, caller: Caller) -> float | None:
        """How long the caller's token is valid, below 0 within the verifier's leeway; `None` if it doesn't expire."""
        return None if caller.token_expires_at is None else caller.token_expires_at - self._clock()

    async def ready(self) -> None:
        """For readiness probes: prepare everything so that the next request doesn't get a 503.

        Raises:
            StoreError: If the store does not accept values.
            IssuerUnavailable: If the issuer's keys are not known and can't be fetched.
        """
        await super().ready()
        await self._verifier.ready()

    async def aclose(self) -> None:
        """Release what the store and the token verifier themselves opened."""
        try:
            await super().aclose()
        finally:
            await self._verifier.aclose()
