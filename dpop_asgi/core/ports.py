"""What can be plugged in. Each port is a promise; everything behind it can be replaced."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from dpop_asgi.core.access_token import AccessToken
from dpop_asgi.errors import Reason

Clock = Callable[[], float]
Outcome = Literal["accepted", "refused", "unavailable"]


class Store(Protocol):
    """What all workers must agree on: one verb."""

    async def put_if_absent(self, key: str, value: str, *, ttl: float) -> str:
        """Write `value` unless something stands under `key`; return what stands there now. Atomic.

        Args:
            key: at most 200 ASCII characters.
            value: at most 64 ASCII characters.
            ttl: seconds after which the key is free again; more than 0.

        Raises:
            StoreUnavailable: when the store was seen to be unavailable: its connection refused or broken, or what was
                sent to it unanswered in time. `on_store_failure="accept"` lets requests pass then, and only then.
            StoreError: when it cannot say for certain for any other reason.
        """
        ...

    async def aclose(self) -> None:
        """Release what the store itself opened. It may be used again afterwards."""
        ...


class TokenVerifier(Protocol):
    """Any `async def verify(token: str) -> AccessToken` is one.

    Two methods are used where there are any. `recall(token_hash)`, not async, gives the token with this base64url
    SHA-256, if it was verified before and is still good, and spares the call for requests under DPoP; it is not
    inherited by a class with a `__call__` of its own. `ready()` is awaited by `Authenticator.ready`.
    """

    async def __call__(self, token: str, /) -> AccessToken:
        """What the issuer vouches for.

        Raises:
            InvalidToken: when the token is not good here and now.
            IssuerUnavailable: when that cannot be found out now.
        """
        ...


@dataclass(frozen=True, slots=True)
class Decision:
    """How one request was decided.

    Attributes:
        outcome: `accepted`, `refused` or `unavailable` (store or issuer).
        reason: which check refused; `None` otherwise.
        replay_checked: `False` when a proof was accepted while the store was unavailable (`on_store_failure="accept"`).
    """

    outcome: Outcome
    reason: Reason | None = None
    replay_checked: bool = True


class Observer(Protocol):
    """Is told each decision, once; what it raises is logged and changes nothing."""

    def __call__(self, decision: Decision, /) -> None:
        """Count, log or trace; must not block."""
        ...
