"""For Starlette, and frameworks built on it: routes that ask who is calling.

Everything here works with `protect="everything"` and with `protect="routes"`.
"""

from collections.abc import Awaitable, Callable, Iterable
from functools import wraps
from typing import Any

from starlette.authentication import AuthCredentials, AuthenticationBackend, AuthenticationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from dpop_asgi.asgi.asking import Authenticate
from dpop_asgi.asgi.exception_handlers import rejection_handler
from dpop_asgi.asgi.gate import NEEDED, ask, caller_in, token_in
from dpop_asgi.asgi.interface import ASGIApp, Receive, Scope, Send
from dpop_asgi.core.authorization import ANY_CALLER, Requirement
from dpop_asgi.core.caller import Caller
from dpop_asgi.core.options import is_plain_function

__all__ = [
    "DPoPBackend",
    "Protected",
    "authenticate",
    "caller_from",
    "rejection_handler",
    "requires",
    "token_from",
]


def caller_from(connection: HTTPConnection) -> Caller:
    """Who sent this request or opened this WebSocket.

    Raises:
        LookupError: If the path is public, no route has asked (`protect="routes"`), or there is no `DPoPMiddleware`
            around the app.
    """
    return caller_in(connection.scope)


def token_from(connection: HTTPConnection) -> str:
    """The access token of an accepted request, for a token exchange (RFC 8693). Nothing else keeps it.

    Raises:
        LookupError: As `caller_from` does.
    """
    return token_in(connection.scope)


authenticate: Authenticate = Authenticate(HTTPException)


def requires(
    *scopes: str, acr_values: str | Iterable[str] = (), max_age: int | None = None, bearer: bool = True
) -> Callable[[Callable[..., Any]], Callable[..., Awaitable[Any]]]:
    """A decorator for endpoints: functions and methods of `HTTPEndpoint`, async or plain, for HTTP and WebSocket.

    Above another one, it asks for what both need.

    Args:
        scopes: see `Requirement`.
        acr_values: see `Requirement`.
        max_age: see `Requirement`.
        bearer: see `Requirement`.

    Raises:
        ValueError: If an option is invalid; the message names it.
    """
    own = Requirement(scopes, acr_values, max_age, bearer)

    def decorate(endpoint: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
        is_async = not is_plain_function(endpoint)
        needed = own & getattr(endpoint, NEEDED, ANY_CALLER)

        @wraps(endpoint)
        async def asking(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever the endpoint takes and returns
            await ask(_connection_in(*args, *kwargs.values()).scope, needed, kind=HTTPException)
            if is_async:
                return await endpoint(*args, **kwargs)
            return await run_in_threadpool(endpoint, *args, **kwargs)

        setattr(asking, NEEDED, needed)
        return asking

    return decorate


def _connection_in(*arguments: object) -> HTTPConnection:
    for argument in arguments:
        if isinstance(argument, HTTPConnection):
            return argument
    msg = "requires: the endpoint must take the request or the WebSocket"
    raise TypeError(msg)


class Protected:
    """An ASGI app that asks before another one runs: `Mount("/files", Protected(StaticFiles(...), ["files:read"]))`.

    Args:
        app: the app.
        scopes: see `Requirement`.
        acr_values: see `Requirement`.
        max_age: see `Requirement`.
        bearer: see `Requirement`.

    Raises:
        ValueError: If an option is invalid; the message names it.
    """

    def __init__(
        self,
        app: ASGIApp,
        scopes: str | Iterable[str] = (),
        *,
        acr_values: str | Iterable[str] = (),
        max_age: int | None = None,
        bearer: bool = True,
    ) -> None:
        self.app: ASGIApp = app
        self._needed = Requirement(scopes, acr_values, max_age, bearer)
        setattr(self, NEEDED, self._needed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry point.

        Raises:
            HTTPException: If the request is rejected.
        """
        if scope["type"] != "lifespan":
            await ask(scope, self._needed, kind=HTTPException)
        await self.app(scope, receive, send)


class DPoPBackend(AuthenticationBackend):
    """For Starlette's `AuthenticationMiddleware` inside `DPoPMiddleware`.

    `request.user` is the caller, or unauthenticated.
    """

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, Caller] | None:  # type: ignore[override]  # a Caller is what a BaseUser has to be
        """The caller, or `None` if no usable credentials were sent.

        Raises:
            AuthenticationError: If the credentials are rejected. The response is the middleware's.
        """
        try:
            caller = await ask(conn.scope, ANY_CALLER, kind=HTTPException, optional=True)
        except HTTPException as rejected:
            raise AuthenticationError(rejected.detail) from rejected.__cause__
        return None if caller is None else (AuthCredentials(sorted(caller.scopes)), caller)
