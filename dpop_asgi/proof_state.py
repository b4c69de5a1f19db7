"""What a server knows about proofs: the nonces that they must have, and which of them were used."""

import asyncio
import re
from functools import partial
from typing import get_args

from dpop_asgi.core.decision import Observer
from dpop_asgi.core.options import require, require_clock, require_seconds
from dpop_asgi.core.policy import OnStoreFailure, ProofPolicy
from dpop_asgi.core.ports import Clock, Replaceable, Store, TokenVerifier
from dpop_asgi.core.proof import ProofReader
from dpop_asgi.errors import InvalidProof, InvalidToken, Refusal
from dpop_asgi.nonces import NoncePolicy, NonceWindows
from dpop_asgi.observers import CheckedObserver
from dpop_asgi.recorder import Recorder
from dpop_asgi.revocation import RevocationWatches
from dpop_asgi.self_check import SelfCheck

# So that keys stay below the 200 characters of the `Store` contract.
_NAMESPACE = re.compile(r"[\x20-\x7E]{1,100}")

# The default `max_age`: nonces can be switched off, or live longer, without a used proof being accepted again.
REMEMBER_FOR = 300.0

# The built-in stores have shorter deadlines; a custom one may hang.
_LONGEST_WAIT_SECONDS = 5.0


class ProofState:
    """The half of a decision that is the same with and without an access token.

    `Authenticator`, which is for resource servers, and `ProofVerifier`, for token endpoints, document the options.

    Raises:
        ValueError: If an option is invalid; the message names it.
    """

    def __init__(
        self,
        *,
        store: Store,
        proof_policy: ProofPolicy,
        nonces: NoncePolicy | None,
        namespace: str,
        cached_keys: int,
        remember_for: float,
        on_store_failure: OnStoreFailure,
        observer: Observer | None,
        clock: Clock,
        verify_token: TokenVerifier | None = None,
    ) -> None:
        require("store", _is_store(store), "a RedisStore, a MemoryStore, or another object with an async put_if_absent")
        require("proof_policy", isinstance(proof_policy, ProofPolicy), "a ProofPolicy")
        require("nonces", nonces is None or isinstance(nonces, NoncePolicy), "a NoncePolicy, or None")
        require_clock(clock)
        require("namespace", _is_namespace(namespace), "1 to 100 printable ASCII characters")
        require("cached_keys", type(cached_keys) is int and cached_keys >= 0, "a whole number of at least 0")
        require_seconds("remember_for", remember_for)
        require("on_store_failure", on_store_failure in get_args(OnStoreFailure), "refuse or accept")
        require("on_store_failure", on_store_failure == "refuse" or nonces, "refuse while nonces are off")
        self.proof_policy: ProofPolicy = proof_policy
        self.nonce_policy: NoncePolicy | None = nonces
        self.store: Store = store
        self.on_store_failure: OnStoreFailure = on_store_failure
        self.namespace: str = namespace
        self._observer = None if observer is None else CheckedObserver(observer)
        self._clock = clock
        self._reader = ProofReader(proof_policy, cached=cached_keys, has_token=verify_token is not None)
        # A token that is bound to a revoked key is of no use any longer; at token endpoints there is none.
        refusal = InvalidProof if verify_token is None else InvalidToken
        self._watches = watches = (
            RevocationWatches(store, namespace=namespace, clock=clock, refusal=refusal)
            if isinstance(store, Replaceable)
            else None
        )
        windows = partial(
            NonceWindows, namespace=namespace, clock=clock, required=on_store_failure == "refuse", watches=watches
        )
        remember_for = max(remember_for, proof_policy.max_age)
        settings = f"max_age={proof_policy.max_age:g} remember_for={remember_for:g}"
        self._nonces = windows(store, nonces, settings=settings) if nonces else None
        self._recorder = Recorder(
            store,
            self._nonces,
            namespace=namespace,
            remember_for=remember_for,
            on_store_failure=on_store_failure,
            watches=watches,
            clock=clock,
        )
        self.self_check: SelfCheck = SelfCheck(store, verify_token, clock=clock)

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

    def _replacement_for(self, nonce: str | None) -> str | None:
        """The `DPoP-Nonce` for a response to a proof with `nonce`, or `None` if that is the newest (RFC 9449 §8.2)."""
        if self._nonces is None or nonce is None:
            return None
        return self._nonces.replacement_for(nonce, self._clock())

    async def ready(self) -> None:
        """For readiness probes: prepare everything so that the next request doesn't get a 503.

        Raises:
            StoreError: If the store does not accept values.
        """
        self.self_check.start()
        await self.store.put_if_absent(f"{self.namespace}:ready:v1", "1", ttl=1.0)
        if self._nonces is not None:
            await self._nonces.ensure(self._clock())

    async def aclose(self) -> None:
        """Release what the store itself opened, once nothing is asked in the background any more.

        It is waited for, not cancelled: requests of another app may be waiting, too.
        """
        await self.self_check.aclose()
        windows = () if self._nonces is None else self._nonces.under_way()
        readings = () if self._watches is None else (watch.under_way() for watch in self._watches.by_tag.values())
        try:
            if under_way := [task for task in (*windows, *readings) if task is not None]:
                await asyncio.wait(under_way, timeout=_LONGEST_WAIT_SECONDS)
        finally:
            await self.store.aclose()


def _is_store(store: object) -> bool:
    return hasattr(store, "put_if_absent") and not isinstance(store, type)


def _is_namespace(namespace: object) -> bool:
    return isinstance(namespace, str) and _NAMESPACE.fullmatch(namespace) is not None
