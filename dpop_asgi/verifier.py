"""Calls the token verifier, and checks that it is async and returns a valid token."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from inspect import Parameter, isawaitable, iscoroutinefunction, isfunction, ismethod, signature

from dpop_asgi.core.access_token import AccessToken
from dpop_asgi.core.options import require
from dpop_asgi.core.ports import CachingVerifier, Clock, Closeable, Readiness, TokenVerifier
from dpop_asgi.errors import InvalidToken, IssuerUnavailable, Reason
from dpop_asgi.log import logger

# In the annotation of a function that is not async, but returns an awaitable.
_AWAITABLE = ("Awaitable", "Coroutine", "Future", "Task")
_FORWARDED = frozenset({Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD})


class CheckedVerifier:
    """Calls a token verifier and checks what it returns.

    Args:
        verify_token: see `dpop_asgi.core.ports.TokenVerifier`.
        clock: seconds since the epoch.

    Raises:
        ValueError: If `verify_token` can be seen not to be a token verifier.
    """

    def __init__(self, verify_token: TokenVerifier, *, clock: Clock) -> None:
        require_verifier("verify_token", verify_token)
        self._verify_token = verify_token
        self._cache = cache_of(verify_token)
        self._clock = clock
        self._has_complained = False

    def cached_token(self, token_hash: str) -> AccessToken | None:
        """The token with this base64url SHA-256, if the verifier remembers it.

        Raises:
            InvalidToken: If the token has expired.
            IssuerUnavailable: If the verifier returned something else.
        """
        token = self._cache(token_hash)
        return None if token is None else self._checked(token)

    async def __call__(self, token: str, /) -> AccessToken:
        """See `TokenVerifier`; raises the same, and what `cached_token` raises."""
        returned: object = self._verify_token(token)
        if not isawaitable(returned):
            raise self._complaint("is not async")
        return self._checked(await returned)

    async def ready(self) -> None:
        """Await the verifier's own `ready`, if it has one; raises the same."""
        if isinstance(self._verify_token, Readiness):
            await self._verify_token.ready()

    async def aclose(self) -> None:
        """Await the verifier's own `aclose`, if it has one."""
        if isinstance(self._verify_token, Closeable):
            await self._verify_token.aclose()

    def _checked(self, token: object) -> AccessToken:
        """The token, if it is one and has not expired; raises as `cached_token` does."""
        if not isinstance(token, AccessToken):
            # Only its type: the value may be the token itself.
            raise self._complaint(f"returned a {type(token).__name__}")
        self.check_alive(token)
        return token

    def check_alive(self, token: AccessToken) -> None:
        """Reject a token that has expired by now."""
        now = self._clock()
        # In this order: comparisons with NaN, which a verifier may have let through, are false.
        if not now < token.good_until:
            raise InvalidToken(Reason.TOKEN_EXPIRED, exp=token.expires_at, now=now)

    def _complaint(self, fault: str) -> IssuerUnavailable:
        """Logged once, since every request fails in the same way."""
        msg = f"verify_token {fault}: it must be an async function that returns an AccessToken or raises InvalidToken"
        if not self._has_complained:
            logger.error("%s. The response to tokens is 503", msg)
            self._has_complained = True
        return IssuerUnavailable(msg)


def require_verifier(option: str, verify_token: TokenVerifier) -> None:
    """Reject what can be seen not to be a token verifier.

    Raises:
        ValueError: If it can; the message names `option`.
    """
    require(option, callable(verify_token), "an async function of a token")
    require(option, not isinstance(verify_token, type), "an object, and not its class")
    require(option, not _is_plain(verify_token), "async: `async def verify(token)`")


def _is_plain(verify_token: Callable[..., object]) -> bool:
    """Whether a call is certain not to return an awaitable.

    Lambdas, wrappers of decorators, and functions that pass on all their arguments may return a coroutine of what they
    call.
    """
    function: object = verify_token
    while isinstance(function, partial):
        function = function.func
    if not (isfunction(function) or ismethod(function)):
        function = type(function).__call__ if callable(function) else function
    if iscoroutinefunction(function) or not (isfunction(function) or ismethod(function)):
        return False
    if function.__name__ == "<lambda>" or hasattr(function, "__wrapped__"):
        return False
    described = signature(function)
    forwards = _FORWARDED.issubset(parameter.kind for parameter in described.parameters.values())
    return not forwards and not any(name in str(described.return_annotation) for name in _AWAITABLE)


def cache_of(verify_token: TokenVerifier) -> Callable[[str], AccessToken | None]:
    """Its `cached_token`, unless its class overrides only `__call__`. See `CachingVerifier`."""
    named = {"cached_token", "__call__"}
    definer = next(vars(kind) for kind in type(verify_token).__mro__ if vars(kind).keys() & named)
    if not isinstance(verify_token, CachingVerifier) or "cached_token" not in definer:
        return lambda _: None
    cached_token = verify_token.cached_token
    require("verify_token", not iscoroutinefunction(cached_token), "a verifier whose cached_token is not async")
    return cached_token


async def all_ready(preparing: Iterable[Awaitable[object]]) -> None:
    """Wait for each of them, even if another one fails.

    Raises:
        IssuerUnavailable: If one of them raises it; the message has all of their messages.
    """
    outcomes = await asyncio.gather(*preparing, return_exceptions=True)
    failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    for failure in failures:
        if not isinstance(failure, IssuerUnavailable):
            raise failure
    if failures:
        raise IssuerUnavailable("; ".join(map(str, failures)))
