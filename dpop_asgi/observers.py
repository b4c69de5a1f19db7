"""Calls the observer, with what was seen of a request until it was decided."""

import time
from collections.abc import Awaitable

from dpop_asgi.core.access_token import AccessToken
from dpop_asgi.core.caller import Caller
from dpop_asgi.core.credentials import IncomingRequest, scheme_of
from dpop_asgi.core.decision import Decision, Observer
from dpop_asgi.core.jwk import PublicKey
from dpop_asgi.core.nonce_window import AcceptedNonce
from dpop_asgi.core.options import closed_if_coroutine, is_plain_function, require
from dpop_asgi.core.policy import Scheme
from dpop_asgi.core.proof import Proof
from dpop_asgi.errors import DPoPError, MissingCredentials, Refusal, StoreError
from dpop_asgi.log import logger


class CheckedObserver:
    """Calls an observer. Its failures are logged and don't affect requests.

    Args:
        observer: see `dpop_asgi.core.ports.Observer`.

    Raises:
        ValueError: If it isn't a function, or is async or a class.
    """

    def __init__(self, observer: Observer) -> None:
        require("observer", is_plain_function(observer), "a function, neither async nor a class")
        self._observer: Observer | None = observer

    def __call__(self, decision: Decision) -> None:
        """Pass one decision on."""
        if self._observer is None:
            return
        try:
            returned: object = self._observer(decision)
            if returned is not None and closed_if_coroutine(returned):
                self._observer = None
                logger.error("observer: must not be async; it returned a coroutine, and is not called any more")
        except Exception:
            logger.exception("the observer failed")

    def rejected_later(self, caller: Caller, refusal: Refusal) -> None:
        """A route needs more than a request has that was accepted before."""
        bound = caller.key_thumbprint is not None
        decision = Decision(
            "refused",
            refusal.reason,
            scheme="DPoP" if bound else "Bearer",
            bound=bound,
            after_acceptance=True,
            client_id=caller.client_id,
            nonce_age=caller.nonce_age,
        )
        self(decision)


class Seen:
    """What was seen of a request so far. Made only if there is an observer.

    Args:
        observer: is told the decision.
        request: the request.
        has_token: whether requests come with an access token.

    Attributes:
        nonce: the nonce, once it is accepted.
        token: the token, once it is verified.
    """

    __slots__ = (
        "_arrived", "_has_token", "_key_remembered", "_observer", "_proof", "_request", "_store_seconds",
        "_token_seconds", "nonce", "token",
    )  # fmt: skip

    def __init__(self, observer: CheckedObserver, request: IncomingRequest, *, has_token: bool = True) -> None:
        self._observer = observer
        self._request = request
        self._has_token = has_token
        self._proof: Proof | None = None
        self._arrived = 0.0
        self._key_remembered: bool | None = None
        self._token_seconds: float | None = None
        self._store_seconds: float | None = None
        self.nonce: AcceptedNonce | None = None
        self.token: AccessToken | None = None

    def read(self, proof: Proof, now: float) -> None:
        """The proof is well-formed. Called before its signature is verified, since that imports its key."""
        self._proof = proof
        self._arrived = now
        self._key_remembered = type(proof.header.key) is PublicKey

    async def verifying(self, verification: Awaitable[AccessToken]) -> AccessToken:
        """The same, with a look at how long it takes."""
        begun = time.perf_counter()
        try:
            return await verification
        finally:
            self._token_seconds = time.perf_counter() - begun

    async def recording(self, recording: Awaitable[bool]) -> bool:
        """The same, with a look at how long it takes."""
        begun = time.perf_counter()
        try:
            return await recording
        finally:
            self._store_seconds = time.perf_counter() - begun

    def accepted(self, *, replay_checked: bool = True) -> None:
        """Tell that the request is accepted."""
        self._observer(self._decision(None, "DPoP" if self._proof is not None else "Bearer", replay_checked))

    def rejected(self, error: DPoPError) -> None:
        """Report that the request is rejected, or that the store or the issuer is unavailable."""
        has_scheme = not isinstance(error, MissingCredentials)
        self._observer(self._decision(error, scheme_of(self._request.headers) if has_scheme else None))

    def _decision(self, error: DPoPError | None, scheme: Scheme | None, replay_checked: bool = True) -> Decision:  # noqa: FBT001, FBT002 - hot path: keyword arguments take longer
        proof, nonce, token, token_seconds = self._proof, self.nonce, self.token, self._token_seconds
        refused = isinstance(error, Refusal)
        return Decision(
            "accepted" if error is None else "refused" if refused else "unavailable",
            error.reason if isinstance(error, Refusal) else None,
            None if error is None or refused else "store" if isinstance(error, StoreError) else "issuer",
            scheme if self._has_token else None,
            None if token is None else token.key_thumbprint is not None,
            None if proof is None else proof.header.algorithm,
            replay_checked,
            False,  # noqa: FBT003 - after_acceptance
            None if token is None else token.client_id,
            None if nonce is None else nonce.age,
            None if proof is None else self._arrived - proof.claims["iat"],
            self._key_remembered,
            False if token_seconds is not None else None if token is None else True,
            token_seconds,
            self._store_seconds,
        )
