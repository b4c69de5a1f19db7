"""The one decision: who is calling?

Cheap checks run before expensive ones, local before remote, and nothing is stored until every other check has passed.
`_decide` numbers them as docs/security.md does ("What is checked, in this order").
"""

import re
import time
from functools import partial
from typing import get_args

from dpop_asgi.core.access_token import check_binding, check_unbound
from dpop_asgi.core.caller import Caller
from dpop_asgi.core.checks import ProofContext
from dpop_asgi.core.credentials import Credentials, IncomingRequest, read_credentials
from dpop_asgi.core.nonce_window import AcceptedNonce
from dpop_asgi.core.options import require
from dpop_asgi.core.policy import Mode, OnStoreFailure, ProofPolicy
from dpop_asgi.core.ports import Clock, Observer, Store, TokenVerifier
from dpop_asgi.core.proof import CACHED_HEADERS, Proof, ProofReader
from dpop_asgi.errors import (
    DPoPError,
    InvalidProof,
    InvalidToken,
    Reason,
    Refusal,
    StoreError,
    StoreUnavailable,
    UseNonce,
)
from dpop_asgi.nonces import NoncePolicy, NonceWindows
from dpop_asgi.observers import CheckedObserver
from dpop_asgi.outage_log import OutageLog
from dpop_asgi.replay import UsedProofs
from dpop_asgi.self_check import SelfCheck
from dpop_asgi.verifier import CheckedVerifier

# Keys are to stay under the 200 characters that a store is promised.
_NAMESPACE = re.compile(r"[\x20-\x7E]{1,100}")

# The default `max_age`: nonces may be switched off, or live longer, without a used proof passing once more.
_REMEMBER_FOR = 300.0

_UNRECORDED = "replay: proofs are accepted without being remembered", "replay: proofs are remembered again"
_PROOF_POLICY = ProofPolicy()
_NONCE_POLICY = NoncePolicy()


class Authenticator:
    """Verifies proof and token of a request; knows neither ASGI nor Redis.

    Args:
        verify_token: says what an access token is worth: a `JWTVerifier` or any async function of yours.
        store: what all workers share: a `RedisStore`, or a `MemoryStore` for a single process.
        proof_policy: how proofs are judged.
        nonces: how nonces rotate; `None` switches them off.
        mode: `required` accepts DPoP only; `mixed` lets unbound tokens pass under Bearer too, for a migration.
        namespace: prefix of the keys in the store. Services on one origin share it: clients keep one nonce per origin.
        cached_keys: clients whose imported keys are remembered, about 3 KB each; others cost one import per request.
        remember_for: seconds after its `iat` that a used proof is remembered, at least `max_age`. As long as any server
            with the same store, before and after a change of its options, could accept the proof.
        on_store_failure: `refuse` answers 503; `accept` lets a proof pass unremembered, bounded by its nonce alone.
        observer: is told each decision.
        clock: seconds since the epoch.

    Raises:
        ValueError: naming the option that is wrong.
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
        self._clock = clock
        self.namespace = namespace
        self._reader = ProofReader(proof_policy, cached=cached_keys)
        self._remember_for = max(remember_for, proof_policy.max_age)
        self._used = UsedProofs(store, namespace=namespace)
        self._outage_log = OutageLog(*_UNRECORDED)
        windows = partial(NonceWindows, namespace=namespace, clock=clock, required=on_store_failure == "refuse")
        settings = f"max_age={proof_policy.max_age:g} remember_for={self._remember_for:g}"
        self._nonces = windows(store, nonces, settings=settings) if nonces else None
        self.self_check: SelfCheck = SelfCheck(store, clock=clock)

    async def authenticate(self, request: IncomingRequest) -> Caller:
        """Ask every question about `request`.

        Raises:
            Refusal: the first check that failed.
            StoreError: the store cannot say whether the proof is new, or which nonces are good.
            IssuerUnavailable: the issuer's keys are not known.
        """
        self.self_check.start()
        try:
            return await self._decide(request)
        except Refusal as refusal:
            self._tell("refused", refusal.reason)
            raise
        except DPoPError:
            self._tell("unavailable")
            raise

    async def _decide(self, request: IncomingRequest) -> Caller:
        credentials = read_credentials(request.headers)  # 1
        if credentials.scheme == "Bearer":
            return await self._bearer(credentials)
        proof = self._reader.read(credentials.proof())  # 2
        target_uri, now, before = request.resolved_uri(), self._clock(), request.accepted_before
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
        is_recorded = True
        if before is None or before.key_thumbprint is None or not before.replay_checked:
            is_recorded = await self._claim(proof, thumbprint, target_uri, last_instant, nonce)  # 9
            # Once more: a store that answers late (a long timeout, a process that stood still) may have forgotten the
            # first use of a proof that has expired in the meantime; and so may have the token.
            self._check_alive(self._clock(), last_instant, nonce)
            self._verifier.check_alive(token)
        self._tell("accepted", replay_checked=is_recorded)
        return Caller.of(token, nonce=nonce, replay_checked=is_recorded)

    async def _claim(
        self, proof: Proof, thumbprint: str, target_uri: str, until: float, nonce: AcceptedNonce | None
    ) -> bool:
        """Whether the proof is recorded as used; `False` when it is accepted without.

        Raises:
            InvalidProof: If it was used before.
        """
        now = self._clock()
        # Time has passed if the issuer was asked.
        self._check_alive(now, until, nonce)
        try:
            is_first_use = await self._used.claim(
                key_thumbprint=thumbprint,
                target_uri=target_uri,
                jti=proof.claims["jti"],
                seconds_left=proof.claims["iat"] + self._remember_for - now,
                nonce=proof.claims.get("nonce"),
                incarnation=None if nonce is None else nonce.incarnation,
            )
        except StoreError as failure:
            return self._accepts_unrecorded(nonce, failure)
        self._outage_log.succeeded()
        if self._nonces is not None and nonce is not None:
            self._nonces.recorded(nonce)
        if not is_first_use:
            raise InvalidProof(Reason.PROOF_REPLAYED)
        return True

    def _accepts_unrecorded(self, nonce: AcceptedNonce | None, failure: StoreError) -> bool:
        """`False`: the proof is not recorded, and accepted all the same. Raises where it must not be."""
        if self._nonces is not None and nonce is not None:
            self._nonces.not_recorded(nonce, failure)
        if self.on_store_failure == "refuse" or not isinstance(failure, StoreUnavailable):
            raise failure
        self._outage_log.failed(failure)
        return False

    def _check_alive(self, now: float, until: float, nonce: AcceptedNonce | None) -> None:
        """Whether what was checked at the beginning can still be accepted."""
        if nonce is not None and nonce.until < now:
            raise UseNonce(Reason.NONCE_EXPIRED, **nonce.facts)
        if until < now:
            raise InvalidProof(Reason.ISSUED_TOO_EARLY, last_instant=until, now=now)

    async def _bearer(self, credentials: Credentials) -> Caller:
        """RFC 9449 §7.2: during a migration an unbound token may pass as Bearer, a bound one never."""
        if self.mode == "required":
            raise InvalidToken(Reason.BEARER_NOT_ACCEPTED)
        token = await self._verifier(credentials.token)
        check_unbound(token)
        self._tell("accepted")
        return Caller.of(token)

    async def challenge_nonce(self, rejection: Refusal | None = None) -> str | None:
        """The `DPoP-Nonce` for a challenge; `None` while nonces are off.

        Args:
            rejection: why the client is challenged: it stays with the master that its own nonce is on.

        Raises:
            StoreError: no nonce is known, and the store does not answer.
        """
        if self._nonces is None:
            return None
        return await self._nonces.to_issue(self._clock(), tag=rejection and rejection.facts.get("tag"))

    def newer_nonce(self, caller: Caller) -> str | None:
        """The `DPoP-Nonce` for an answer to `caller`; `None` when its own is the newest (RFC 9449 §8.2)."""
        if self._nonces is None or caller.nonce is None:
            return None
        return self._nonces.newer(caller.nonce, self._clock())

    async def ready(self) -> None:
        """For readiness probes: the next request would not be answered 503.

        Raises:
            StoreError: the store does not take values.
            IssuerUnavailable: the issuer's keys are not known, and cannot be had.
        """
        await self.store.put_if_absent(f"{self.namespace}:ready:v1", "1", ttl=1.0)
        if self._nonces is not None:
            await self._nonces.ready(self._clock())
        await self._verifier.ready()

    async def aclose(self) -> None:
        """Release what the store itself opened."""
        await self.store.aclose()
