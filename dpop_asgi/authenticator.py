"""The one decision: who is calling?

The questions, in this order, cheap before dear, local before remote, nothing written before everything else holds:

1. `Authorization`: exactly one field, one scheme, one token
2. `DPoP`: exactly one field, size, shape, header, what stands for the key, claims
3. `htm`, `htu`, `iat`, `exp`, `nbf`, `ath`
4. nonce
5. the proof's signature, by a key that is one
6. the access token
7. the token is bound to the proof's key
8. (scope and step-up)
9. the proof was not used before
"""

import logging
import re
import time
from typing import Any, Literal, get_args

from dpop_asgi.core.access_token import check_binding
from dpop_asgi.core.caller import Caller
from dpop_asgi.core.challenge import Mode
from dpop_asgi.core.checks import Situation
from dpop_asgi.core.credentials import Credentials, IncomingRequest, read_credentials
from dpop_asgi.core.nonce_window import AcceptedNonce
from dpop_asgi.core.options import closed_if_coroutine, is_plain_function, require
from dpop_asgi.core.policy import ProofPolicy
from dpop_asgi.core.ports import Clock, Decision, Observer, Outcome, Store, TokenVerifier
from dpop_asgi.core.proof import CACHED_HEADERS, Proof, ProofReader
from dpop_asgi.errors import DPoPError, InvalidProof, InvalidToken, Reason, Refusal, UseNonce
from dpop_asgi.nonces import NoncePolicy, NonceWindows
from dpop_asgi.replay import SpentProofs
from dpop_asgi.self_check import SelfCheck
from dpop_asgi.verifier import CheckedVerifier

logger: logging.Logger = logging.getLogger("dpop_asgi")

OnStoreFailure = Literal["refuse", "accept"]

# Keys are to stay under the 200 characters that a store is promised.
_NAMESPACE = re.compile(r"[\x20-\x7E]{1,100}")

# The default `max_age`: nonces may be switched off, or live longer, without a used proof passing once more.
_REMEMBER_FOR = 300.0

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
        require("observer", observer is None or is_plain_function(observer), "a function, and not an async one")
        self.mode: Mode = mode
        self.proof_policy = proof_policy
        self.nonce_policy = nonces
        self.store = store
        self._verify_token = verify_token
        self._verifier = CheckedVerifier(verify_token, clock=clock)
        self._observer = observer
        self._clock = clock
        self._namespace = namespace
        self._reader = ProofReader(proof_policy, cached=cached_keys)
        required = on_store_failure == "refuse"
        self._remember_for = max(remember_for, proof_policy.max_age)
        self._spent = SpentProofs(store, namespace=namespace, required=required)
        lives = f"max_age={proof_policy.max_age:g} remember_for={self._remember_for:g}"
        shared: Any = {"namespace": namespace, "clock": clock, "settings": lives, "required": required}
        self._nonces = None if nonces is None else NonceWindows(store, nonces, **shared)
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
        credentials = read_credentials(request.headers)
        if credentials.scheme == "Bearer":
            return await self._bearer(credentials)
        proof = self._reader.read(credentials.proof())
        target_uri, now, before = request.resolved_uri(), self._clock(), request.accepted_before
        token_hash = credentials.token_hash
        last_instant = proof.check(
            Situation(request.method, target_uri, token_hash, now, self.proof_policy, request.websocket)
        )
        nonce = None
        if self._nonces is not None and (before is None or before.nonce is None):
            nonce = await self._nonces.check(proof.claims.get("nonce"), now, client=proof.header.segment)
        thumbprint = proof.verify_signature()
        token = self._verifier.recall(token_hash) or await self._verifier(credentials.token)
        check_binding(token, thumbprint)
        self._reader.remember(proof)
        is_first_use: bool | None = True
        if before is None or before.key_thumbprint is None or not before.replay_checked:
            is_first_use = await self._first_use(proof, thumbprint, target_uri, last_instant, nonce)
            self._verifier.good(token)
        self._tell("accepted", replay_checked=is_first_use is not None)
        return Caller.of(token, nonce=nonce, replay_checked=is_first_use is not None)

    async def _first_use(
        self, proof: Proof, thumbprint: str, target_uri: str, until: float, nonce: AcceptedNonce | None
    ) -> bool | None:
        """Whether the proof is recorded now; `None` when it is accepted without."""
        self._check_alive(until, nonce)
        recording = self._spent.first_use(
            key_thumbprint=thumbprint,
            target_uri=target_uri,
            jti=proof.claims["jti"],
            seconds_left=proof.claims["iat"] + self._remember_for - self._clock(),
            nonce=proof.claims.get("nonce"),
            incarnation=None if nonce is None else nonce.incarnation,
        )
        if self._nonces is not None and nonce is not None:
            recording = self._nonces.fenced(recording, nonce)
        is_first_use = await recording
        if is_first_use is False:
            raise InvalidProof(Reason.PROOF_REPLAYED)
        # Once more: a store that answers late (a long timeout, a process that stood still) may have forgotten the
        # first use of a proof that has died meanwhile.
        self._check_alive(until, nonce)
        return is_first_use

    def _check_alive(self, until: float, nonce: AcceptedNonce | None) -> None:
        """Whether the proof can still be accepted: by now the issuer may have been asked, and time has passed."""
        now = self._clock()
        if nonce is not None and nonce.until < now:
            raise UseNonce(Reason.NONCE_EXPIRED, **nonce.facts)
        if until < now:
            raise InvalidProof(Reason.ISSUED_TOO_EARLY, last_instant=until, now=now)

    async def _bearer(self, credentials: Credentials) -> Caller:
        """RFC 9449 §7.2: during a migration an unbound token may pass as Bearer, a bound one never."""
        if self.mode == "required":
            raise InvalidToken(Reason.BEARER_NOT_ACCEPTED)
        try:
            token = await self._verifier(credentials.token)
            # A verifier of yours may know of `cnf` only in the claims: a bound token must not pass all the same.
            if token.key_thumbprint is not None or "cnf" in token.claims:
                raise InvalidToken(Reason.BOUND_TOKEN_AS_BEARER)
        except Refusal as refusal:
            refusal.scheme = "Bearer"
            raise
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
        tag = None if rejection is None else rejection.facts.get("tag")
        return await self._nonces.to_issue(self._clock(), tag=tag if isinstance(tag, str) else None)

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
        await self.store.put_if_absent(f"{self._namespace}:ready:v1", "1", ttl=1.0)
        if self._nonces is not None:
            await self._nonces.ready(self._clock())
        verifier_ready = getattr(self._verify_token, "ready", None)
        if verifier_ready is not None:
            await verifier_ready()

    async def aclose(self) -> None:
        """Release what the store itself opened."""
        await self.store.aclose()

    def _tell(self, outcome: Outcome, reason: Reason | None = None, *, replay_checked: bool = True) -> None:
        if self._observer is None:
            return
        try:
            told: object = self._observer(Decision(outcome, reason, replay_checked))
            if told is not None and closed_if_coroutine(told):
                self._observer = None
                logger.error("observer: must not be async; it returned a coroutine, and is not called any more")
        except Exception:
            logger.exception("the observer failed")
