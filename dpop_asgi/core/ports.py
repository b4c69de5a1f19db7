"""What can be plugged in: each protocol is a contract that a custom class can implement."""

from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from dpop_asgi.core.access_token import AccessToken

Clock = Callable[[], float]


class Store(Protocol):
    """State shared by all workers, behind one atomic operation."""

    async def put_if_absent(self, key: str, value: str, *, ttl: float) -> str:
        """Store `value` if `key` is unset, and return the value now stored under `key`. Atomic.

        Args:
            key: at most 200 ASCII characters.
            value: at most 64 ASCII characters.
            ttl: seconds until the key is unset again; more than 0.

        Raises:
            StoreUnavailable: If the store was seen to be unavailable: its connection was refused or broken, or it did
                not respond in time. `on_store_failure="accept"` accepts requests then, and only then.
            StoreError: If it can't tell for any other reason.
        """
        ...

    async def aclose(self) -> None:
        """Release what the store itself opened. It may be used again afterwards."""
        ...


@runtime_checkable
class Fenced(Store, Protocol):
    """A `Store` that can lose what was written to it, and knows which incarnation of itself a reply came from.

    A server that restarts, or a replica that is promoted, is another incarnation: it may lack the last writes. Nonces
    that were agreed under one incarnation are not accepted under another.
    """

    @property
    def tags(self) -> tuple[str, ...]:
        """Hash tags of two characters, no two with the same first one, that spread keys over the masters of a cluster.

        All keys with one tag, written `{tag}` in the key, are on one master. `("",)` where all keys are on one anyway.
        """
        ...

    async def incarnation(self, key: str) -> str | None:
        """Which incarnation would respond to a call with `key` now, found as a new connection would find it.

        At most 32 characters of hexadecimal; `None` if it is unknown or not stable: the fence is then off.

        Raises:
            StoreError: If the store does not respond.
        """
        ...

    async def put_if_absent(self, key: str, value: str, *, ttl: float, under: str | None = None) -> str:
        """As `Store.put_if_absent`, but only if the reply comes from the incarnation `under`, if that is given.

        Raises:
            Superseded: If it came from another, or the incarnation changed in the meantime. The value may be stored.
            StoreError: If the store can't tell.
        """
        ...


@runtime_checkable
class Replaceable(Store, Protocol):
    """A `Store` in which a value can be replaced: it supports revocation. Such values have up to 64 KiB."""

    async def read(self, key: str) -> str:
        """The value stored under `key`, empty if there is none.

        Raises:
            StoreUnavailable: See `put_if_absent`.
            StoreError: If it can't tell for any other reason.
        """
        ...

    async def replace(self, key: str, value: str, *, ttl: float) -> None:
        """Store `value` under `key`, whatever is stored there now. Atomic. For its arguments see `put_if_absent`.

        Raises:
            StoreError: If it can't tell whether the value is stored.
        """
        ...


@runtime_checkable
class Inspectable(Protocol):
    """A `Store` that can look for configuration problems. `SelfCheck` asks it at startup and every five minutes."""

    async def findings(self, clock: Clock) -> list[str]:
        """What an operator should fix, a sentence each.

        Args:
            clock: seconds since the epoch, the clock that judges proofs.

        Raises:
            StoreError: If the store does not respond.
        """
        ...


@runtime_checkable
class Described(Protocol):
    """A `Store` that can tell what it is. The line that is logged at startup has it."""

    @property
    def description(self) -> str:
        """Its kind, and where it is, in one line. Without user names and passwords."""
        ...


class TokenVerifier(Protocol):
    """Any `async def verify(token: str) -> AccessToken` is one. It may be one of the next three, too."""

    async def __call__(self, token: str, /) -> AccessToken:
        """Verify the token, and return what the issuer says about it.

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
        """Prepare it. Awaited by `Authenticator.ready`, and in the background at startup and every five minutes.

        Raises:
            IssuerUnavailable: If the issuer's keys are not known, and cannot be fetched.
        """
        ...


@runtime_checkable
class TrustsIssuers(Protocol):
    """A `TokenVerifier` that can tell whose tokens it accepts: the metadata of the resource names them (RFC 9728)."""

    @property
    def issuers(self) -> tuple[str, ...]:
        """The issuer identifiers (RFC 8414 §2)."""
        ...


@runtime_checkable
class NamesAudiences(Protocol):
    """A `TokenVerifier` that can tell for whom the tokens are that it accepts (RFC 9068 §4)."""

    @property
    def audiences(self) -> tuple[str, ...]:
        """The identifiers of which a token has to name one."""
        ...


@runtime_checkable
class Closeable(Protocol):
    """A `TokenVerifier` that keeps connections or tasks."""

    async def aclose(self) -> None:
        """Close them. Awaited by `Authenticator.aclose`. The verifier may be used again afterwards."""
        ...


class Health(NamedTuple):
    """Whether something that requests depend on works, as far as the last call to it showed. Nothing is called for it.

    Attributes:
        kind: the `store`, or an `issuer`.
        name: which one, without any secret: the same all the time.
        available: whether requests that depend on it are responded to.
        age: seconds since its keys were fetched; `None` if it has none, or they are not known.
    """

    kind: Literal["store", "issuer"]
    name: str
    available: bool
    age: float | None = None


@runtime_checkable
class Monitored(Protocol):
    """A `Store` or `TokenVerifier` that can tell whether what it calls works."""

    def health(self) -> list[Health]:
        """One for each thing it calls; empty before the first call. Not async; called from any thread."""
        ...
