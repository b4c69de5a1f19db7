"""What can be plugged in. Each port is a promise; everything behind it can be replaced."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

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


@runtime_checkable
class Fenced(Store, Protocol):
    """A `Store` that may forget what it was told, and knows which incarnation of itself a reply came from.

    A server that restarts, or a replica that is promoted, is another incarnation: it may lack the last writes. What was
    agreed under one incarnation is not relied upon under another.
    """

    @property
    def tags(self) -> tuple[str, ...]:
        """Hash tags of two characters, no two with the same first one, that spread keys over the masters of a cluster.

        All keys with one tag, written `{tag}` in the key, are on one master. `("",)` where all keys are on one anyway.
        """
        ...

    async def incarnation(self, key: str) -> str | None:
        """Which incarnation would answer a call with `key` now, asked on the way that a new connection takes.

        At most 32 characters of hexadecimal; `None` when it cannot be known, or is not stable: the fence is then off.

        Raises:
            StoreError: If the store does not answer.
        """
        ...

    async def put_if_absent(self, key: str, value: str, *, ttl: float, under: str | None = None) -> str:
        """As `Store.put_if_absent`, but not unless the reply comes from the incarnation `under`, if that is given.

        Raises:
            Superseded: If it came from another, or the incarnation changed meanwhile. The value may have been written.
            StoreError: When the store cannot say for certain.
        """
        ...


@runtime_checkable
class Inspectable(Protocol):
    """A `Store` that can look for configuration problems. `SelfCheck` asks it once per process."""

    async def findings(self, clock: Clock) -> list[str]:
        """What an operator should fix, a sentence each.

        Args:
            clock: seconds since the epoch, the clock that judges proofs.

        Raises:
            StoreError: If the store does not respond.
        """
        ...


class TokenVerifier(Protocol):
    """Any `async def verify(token: str) -> AccessToken` is one. It may be a `CachingVerifier` or `Readiness` too."""

    async def __call__(self, token: str, /) -> AccessToken:
        """What the issuer vouches for.

        Raises:
            InvalidToken: If the token is not valid here and now.
            IssuerUnavailable: If that cannot be found out now.
        """
        ...


@runtime_checkable
class CachingVerifier(TokenVerifier, Protocol):
    """A `TokenVerifier` that remembers the tokens that it verified: requests under DPoP look there first.

    A class that overrides `__call__` of another has to override `cached_token` too. It is not called otherwise, since
    it would skip what the new `__call__` checks.
    """

    def cached_token(self, token_hash: str) -> AccessToken | None:
        """The token with this base64url SHA-256, if it was verified before and is still valid. Not async."""
        ...


@runtime_checkable
class Readiness(Protocol):
    """A `TokenVerifier` that has to prepare something before it can verify tokens."""

    async def ready(self) -> None:
        """Prepare it. Awaited by `Authenticator.ready`.

        Raises:
            IssuerUnavailable: If the issuer's keys are not known, and cannot be fetched.
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
