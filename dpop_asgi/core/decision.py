"""What an observer is passed about each request."""

from typing import Literal, NamedTuple, Protocol

from dpop_asgi.core.policy import Scheme
from dpop_asgi.errors import Reason

Outcome = Literal["accepted", "refused", "unavailable"]


class Decision(NamedTuple):
    """The decision about one request, with what was known of it by then: `None` stands for what was not.

    Nothing in it is secret: no token, proof, nonce or `jti`.

    Attributes:
        outcome: `accepted`, `refused` or `unavailable` (store or issuer).
        reason: the check that failed, if it is refused.
        unavailable: what could not respond, if it is unavailable.
        scheme: of the `Authorization` header; `None` without a supported one, and at token endpoints.
        bound: whether the token is bound to a key. Known once the token is verified.
        algorithm: of the proof, one of those that the policy accepts.
        replay_checked: `False` if a proof was accepted while the store was unavailable (`on_store_failure="accept"`).
        after_acceptance: whether it is about a request that was accepted before, and is rejected by a route that
            needs more. The request then has two decisions.
        client_id: of the token.
        nonce_age: seconds since the slot of the nonce began, below 0 for the next slot.
        clock_offset: seconds from the `iat` of the proof until it arrived. How late it is, plus what the client's clock
            is behind.
        key_remembered: whether the proof's key was in the cache.
        token_remembered: whether the token was in the verifier's cache.
        token_seconds: how long its verification took; `None` if it was remembered.
        store_seconds: how long it took to record the proof as used.
    """

    outcome: Outcome
    reason: Reason | None = None
    unavailable: Literal["store", "issuer"] | None = None
    scheme: Scheme | None = None
    bound: bool | None = None
    algorithm: str | None = None
    replay_checked: bool = True
    after_acceptance: bool = False
    client_id: str | None = None
    nonce_age: float | None = None
    clock_offset: float | None = None
    key_remembered: bool | None = None
    token_remembered: bool | None = None
    token_seconds: float | None = None
    store_seconds: float | None = None


class Observer(Protocol):
    """Called once per request, and for each further ask that is rejected (`protect="routes"`).

    Exceptions are logged and otherwise ignored.
    """

    def __call__(self, decision: Decision, /) -> None:
        """Count, log or trace; must not block."""
        ...
