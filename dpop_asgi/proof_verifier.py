"""The decision at token and PAR endpoints, where there is no access token yet: which key does the client hold?

The checks are those of `Authenticator`, in the same order, without the ones that are about the access token.
"""

import re
import time
from dataclasses import dataclass, field
from functools import partial

from dpop_asgi.core.checks import ProofContext
from dpop_asgi.core.credentials import IncomingRequest, only_proof
from dpop_asgi.core.options import require
from dpop_asgi.core.policy import ProofPolicy
from dpop_asgi.core.ports import Clock, Observer, Store
from dpop_asgi.core.proof import ProofReader
from dpop_asgi.errors import DPoPError, Refusal
from dpop_asgi.nonces import NoncePolicy, NonceWindows
from dpop_asgi.observers import CheckedObserver
from dpop_asgi.recorder import Recorder, check_alive
from dpop_asgi.self_check import SelfCheck

# So that keys stay below the 200 characters of the `Store` contract.
_NAMESPACE = re.compile(r"[\x20-\x7E]{1,100}")
# As `Authenticator` does: a restart with a larger `max_age`, up to this, accepts no used proof again.
_REMEMBER_FOR = 300.0
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


class ProofVerifier:
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
        require("store", hasattr(store, "put_if_absent"), "something with a put_if_absent")
        require("proof_policy", isinstance(proof_policy, ProofPolicy), "a ProofPolicy")
        require("nonces", nonces is None or isinstance(nonces, NoncePolicy), "a NoncePolicy, or None")
        require("namespace", _NAMESPACE.fullmatch(namespace or ""), "1 to 100 printable ASCII characters")
        self.store: Store = store
        self.proof_policy: ProofPolicy = proof_policy
        self.nonce_policy: NoncePolicy | None = nonces
        self.namespace: str = namespace
        self._clock = clock
        self._tell = CheckedObserver(observer)
        # Without a cache: the client isn't authenticated yet, so anyone could fill it.
        self._reader = ProofReader(proof_policy, cached=0, has_token=False)
        remember_for = max(_REMEMBER_FOR, proof_policy.max_age)
        settings = f"max_age={proof_policy.max_age:g} remember_for={remember_for:g}"
        windows = partial(NonceWindows, store, namespace=namespace, clock=clock, settings=settings)
        self._nonces = None if nonces is None else windows(nonces)
        self._recorder = Recorder(
            store,
            self._nonces,
            namespace=namespace,
            remember_for=remember_for,
            on_store_failure="refuse",
            clock=clock,
        )
        self.self_check: SelfCheck = SelfCheck(store, clock=clock)

    async def verify(self, request: IncomingRequest) -> VerifiedProof:
        """Run every check on the one proof of `request`, and record it as used.

        Raises:
            Refusal: If a check fails; the first one decides.
            StoreError: If the store can't tell whether the proof is new, or which nonces are valid.
        """
        self.self_check.start()
        try:
            verified = await self._decide(request)
        except Refusal as refusal:
            self._tell("refused", refusal.reason)
            raise
        except DPoPError:
            self._tell("unavailable")
            raise
        self._tell("accepted")
        return verified

    async def _decide(self, request: IncomingRequest) -> VerifiedProof:
        proof = self._reader.read(only_proof([value for name, value in request.headers if name == b"dpop"]))
        target_uri, now = request.resolved_uri(), self._clock()
        last_instant = proof.check(ProofContext(request.method, target_uri, None, now, self.proof_policy))
        nonce = None
        if self._nonces is not None:
            nonce = await self._nonces.check(proof.claims.get("nonce"), now, client=proof.header.segment)
        thumbprint = proof.verify_signature()
        await self._recorder.record(proof, thumbprint, target_uri, last_instant, nonce)
        # Again: while a slow store responded, the proof may have expired, and the store may have forgotten it.
        check_alive(self._clock(), last_instant, nonce)
        return VerifiedProof(thumbprint, None if nonce is None else nonce.value)

    async def challenge_nonce(self, rejection: Refusal | None = None) -> str | None:
        """The `DPoP-Nonce` for an error response; `None` while nonces are off.

        Args:
            rejection: why the request is rejected. The new nonce is on the same master as the client's own.

        Raises:
            StoreError: If no nonce is known and the store does not respond.
        """
        if self._nonces is None:
            return None
        return await self._nonces.to_issue(self._clock(), tag=rejection and rejection.facts.get("tag"))

    def replacement_nonce(self, proof: VerifiedProof) -> str | None:
        """The `DPoP-Nonce` for a response to this proof, or `None` if its own is the newest (RFC 9449 §8.2)."""
        if self._nonces is None or proof.nonce is None:
            return None
        return self._nonces.replacement_for(proof.nonce, self._clock())

    async def ready(self) -> None:
        """For readiness probes: prepare everything so that the next request doesn't get a 503.

        Raises:
            StoreError: If the store does not accept values.
        """
        await self.store.put_if_absent(f"{self.namespace}:ready:v1", "1", ttl=1.0)
        if self._nonces is not None:
            await self._nonces.ensure(self._clock())

    async def aclose(self) -> None:
        """Release what the store itself opened."""
        await self.store.aclose()
