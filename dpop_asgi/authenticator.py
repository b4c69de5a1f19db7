"""The one decision: who is calling?

Cheap checks run before expensive ones, local before remote, and nothing is stored until every other check has passed.
`_decide` numbers them as docs/security.md does ("What is checked, in this order").
"""

import re
import time
from functools import partial
from typing import get_args

from dpop_asgi.core.access_token import check_binding, check_unbound
from dpop_asgi.core.authorization import Requirement, authorize
from dpop_asgi.core.caller import Caller, shared_claims
from dpop_asgi.core.checks import ProofContext
from dpop_asgi.core.credentials import Credentials, IncomingRequest, read_credentials
from dpop_asgi.core.options import require
from dpop_asgi.core.policy import Mode, OnStoreFailure, ProofPolicy
from dpop_asgi.core.ports import Clock, Observer, Store, TokenVerifier
from dpop_asgi.core.proof import CACHED_HEADERS, ProofReader
from dpop_asgi.errors import DPoPError, InvalidToken, Reason, Refusal
from dpop_asgi.nonces import NoncePolicy, NonceWindows
from dpop_asgi.observers import CheckedObserver
from dpop_asgi.own_checks import AllowBearer, AlsoCheck, OwnChecks
from dpop_asgi.recorder import Recorder, check_alive
from dpop_asgi.self_check import SelfCheck
from dpop_asgi.verifier import CheckedVerifier

# So that keys stay below the 200 characters of the `Store` contract.
_NAMESPACE = re.compile(r"[\x20-\x7E]{1,100}")

# The default `max_age`: nonces can be switched off, or live longer, without a used proof being accepted again.
_REMEMBER_FOR = 300.0

_PROOF_POLICY = ProofPolicy()
_NONCE_POLICY = NoncePolicy()


class Authenticator:
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
        on_store_failure: `refuse` responds with 503; `accept` accepts proofs without recording them, so that only the
            nonce limits their reuse.
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
        remember_for: float = _REMEMBER_FOR,
        on_store_failure: OnStoreFailure = "refuse",
        observer: Observer | None = None,
        also_check: AlsoCheck | None = None,
        allow_bearer: AllowBearer | None = None,
        clock: Clock = time.time,
    ) -> None:
        require("store", hasattr(store, "put_if_absent"), "something with a put_if_absent")
        require("proof_policy", isinstance(proof_policy, ProofPolicy), "a ProofPolicy")
        require("nonces", nonces is None or isinstance(nonces, NoncePolicy), "a NoncePolicy, or None")
        require("mode", mode in get_args(Mode), "required or mixed")
        require("namespace", _NAMESPACE.fullmatch(namespace or ""), "1 to 100 printable ASCII characters")
        require("cached_keys", type(cached_keys) is int and cached_keys >= 0, "a whole number of at least 0")
        require("remember_for", 0 <= remember_for < float("inf"), "a number of seconds of at least 0")
        require("on_store_failure", on_store_failure in get_args(OnStoreFailure), "refuse or accept")
        require("on_store_failure", on_store_failure == "refuse" or nonces, "refuse while nonces are off")
        self.mode: Mode = mode
        self.proof_policy = proof_policy
        self.nonce_policy = nonces
        self.store = store
        self.verify_token = verify_token
        self.on_store_failure: OnStoreFailure = on_store_failure
        self._verifier = CheckedVerifier(verify_token, clock=clock)
        self._tell = CheckedObserver(observer)
        self._own = OwnChecks(also_check, allow_bearer, mixed=mode == "mixed")
        self._clock = clock
        self.namespace = namespace
        self._reader = ProofReader(proof_policy, cached=cached_keys)
        windows = partial(NonceWindows, namespace=namespace, clock=clock, required=on_store_failure == "refuse")
        remember_for = max(remember_for, proof_policy.max_age)
        settings = f"max_age={proof_policy.max_age:g} remember_for={remember_for:g}"
        self._nonces = windows(store, nonces, settings=settings) if nonces else None
        self._recorder = Recorder(
            store,
            self._nonces,
            namespace=namespace,
            remember_for=remember_for,
            on_store_failure=on_store_failure,
            clock=clock,
        )
        self.self_check: SelfCheck = SelfCheck(store, clock=clock)

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
        try:
            return await self._decide(request, needed)
        except Refusal as refusal:
            self._tell("refused", refusal.reason)
            raise
        except DPoPError:
            self._tell("unavailable")
            raise

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
            self._tell("refused", refusal.reason)
            raise

    async def _decide(self, request: IncomingRequest, needed: Requirement | None) -> Caller:
        credentials = read_credentials(request.headers)  # 1
        if credentials.scheme == "Bearer":
            return await self._bearer(request, credentials, needed)
        proof = self._reader.read(credentials.proof())  # 2
        target_uri, now, before = request.resolved_uri(), self._clock(), request.outer_caller
        token_hash = credentials.token_hash
        last_instant = proof.check(  # 3
            ProofContext(request.method, target_uri, token_hash, now, self.proof_policy, request.websocket)
        )
        nonce = None
        if self._nonces is not None and (before is None or before.nonce is None):
            nonce = await self._nonces.check(proof.claims.get("nonce"), now, client=proof.header.segment)  # 4
        thumbprint = proof.verify_signature()  # 5
        token = self._verifier.cached_token(token_hash) or await self._verifier(credentials.token)  # 6
        check_binding(token, thumbprint)  # 7
        self._reader.remember(proof)
        if needed is not None:
            authorize(needed, token.scopes, token.claims, now)  # 8
        if self._own.also:
            await self._own.also_check(request, proof.claims, thumbprint, token)
        is_recorded = True
        if before is None or before.key_thumbprint is None or not before.replay_checked:
            is_recorded = await self._recorder.record(proof, thumbprint, target_uri, last_instant, nonce)  # 9
            # Again: while a slow store responded, the proof may have expired, and the store may have forgotten that it
            # was used. The token may have expired too.
            check_alive(self._clock(), last_instant, nonce)
            self._verifier.check_alive(token)
        self._tell("accepted", replay_checked=is_recorded)
        return Caller.of(token, nonce=nonce, proof_claims=proof.claims, replay_checked=is_recorded)

    async def _bearer(self, request: IncomingRequest, credentials: Credentials, needed: Requirement | None) -> Caller:
        """RFC 9449 §7.2: during a migration, unbound tokens are accepted under Bearer, bound ones never."""
        if self.mode == "required" or not (needed is None or needed.bearer):
            raise InvalidToken(Reason.BEARER_NOT_ACCEPTED)
        token = await self._verifier(credentials.token)
        check_unbound(token)
        self._own.check_bearer(token)
        if needed is not None:
            authorize(needed, token.scopes, token.claims, self._clock())
        await self._own.also_check(request, None, None, token)
        self._tell("accepted")
        return Caller.of(token)

    async def challenge_nonce(self, rejection: Refusal | None = None) -> str | None:
        """The `DPoP-Nonce` for a challenge; `None` while nonces are off.

        Args:
            rejection: why the client is challenged. The new nonce is on the same master as the client's own.

        Raises:
            StoreError: If no nonce is known and the store does not respond.
        """
        if self._nonces is None:
            return None
        return await self._nonces.to_issue(self._clock(), tag=rejection and rejection.facts.get("tag"))

    def replacement_nonce(self, caller: Caller) -> str | None:
        """The `DPoP-Nonce` for a response to `caller`, or `None` if its own is the newest (RFC 9449 §8.2)."""
        if self._nonces is None or caller.nonce is None:
            return None
        return self._nonces.replacement_for(caller.nonce, self._clock())

    def seconds_left(self, caller: Caller) -> float | None:
        """How long the caller's token is valid, below 0 within the verifier's leeway; `None` if it doesn't expire."""
        return None if caller.token_expires_at is None else caller.token_expires_at - self._clock()

    async def ready(self) -> None:
        """For readiness probes: prepare everything so that the next request doesn't get a 503.

        Raises:
            StoreError: If the store does not accept values.
            IssuerUnavailable: If the issuer's keys are not known and can't be fetched.
        """
        await self.store.put_if_absent(f"{self.namespace}:ready:v1", "1", ttl=1.0)
        if self._nonces is not None:
            await self._nonces.ensure(self._clock())
        await self._verifier.ready()

    async def aclose(self) -> None:
        """Release what the store itself opened."""
        await self.store.aclose()
