"""Requests without proof and token, for tests that aren't about them. Production can't switch this on."""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from functools import partial
from typing import Any

from dpop_asgi.asgi.interface import ASGIApp, Receive, Scope, Send
from dpop_asgi.authenticator import Authenticator
from dpop_asgi.core.access_token import AccessToken
from dpop_asgi.core.authorization import Requirement
from dpop_asgi.core.caller import Caller
from dpop_asgi.core.credentials import IncomingRequest
from dpop_asgi.core.encoding import sha256_b64url
from dpop_asgi.log import logger
from dpop_asgi.testing.middlewares import authenticators_of

_THUMBPRINT = sha256_b64url("a key that no proof was checked for")
_REFUSED = (
    "WithoutProofs accepts every request, so it only works where pytest runs with"
    ' pytest_plugins = ["dpop_asgi.testing.pytest"], or with outside_pytest=True'
)
# What code reads that passes the token on. The authenticator doesn't.
_NO_TOKEN = (b"authorization", b"DPoP no-token-was-sent")

_caller: ContextVar[Caller] = ContextVar("dpop_asgi.testing.caller")
# Not a variable of the environment and not an option: pytest itself calls the plugin, which adds itself here.
_pytest_runs: list[object] = []


def session_begins(session: object) -> None:
    """Called by the plugin."""
    _pytest_runs.append(session)


def session_ends(session: object) -> None:
    """Called by the plugin."""
    _pytest_runs.remove(session)


def make_caller(
    subject: str = "alice",
    *,
    client_id: str = "demo-client",
    scopes: str = "",
    key_thumbprint: str | None = _THUMBPRINT,
    **claims: Any,  # noqa: ANN401 - claims are anything
) -> Caller:
    """A `Caller` as routes get it, without a request.

    Args:
        subject: `sub` of the token.
        client_id: the client it would have been issued to.
        scopes: scope values, separated by spaces.
        key_thumbprint: of the client's key; `None` for a token under Bearer.
        claims: other claims, such as `acr="urn:example:loa:2"`.

    Raises:
        InvalidToken: If a claim is malformed.
    """
    confirmation = {} if key_thumbprint is None else {"cnf": {"jkt": key_thumbprint}}
    own = {"sub": subject, "client_id": client_id, "scope": scopes}
    return Caller.of(AccessToken.from_claims({**own, **confirmation, **claims}))


class WithoutProofs:
    """An ASGI app that lets `caller` make every request to another one, without proof and token.

    `DPoPMiddleware` is not left out: what a route needs (scopes, step-up) is still checked. Logs a warning.

    Args:
        app: the app, with its `DPoPMiddleware`.
        caller: who makes the requests.
        outside_pytest: whether it works outside pytest as well.

    Raises:
        RuntimeError: If pytest doesn't run with the plugin `dpop_asgi.testing.pytest`, unless `outside_pytest`.
        ValueError: If the app has no `DPoPMiddleware`.
    """

    def __init__(self, app: ASGIApp, caller: Caller, *, outside_pytest: bool = False) -> None:
        if not _pytest_runs and outside_pytest is not True:
            raise RuntimeError(_REFUSED)
        self.app: ASGIApp = app
        self.caller: Caller = caller
        for authenticator in authenticators_of(app):
            before = authenticator.authenticate
            # Once is enough, however many callers there are: `_caller` says who it is.
            if getattr(before, "func", None) is not _authenticate:
                vars(authenticator)["authenticate"] = partial(_authenticate, authenticator, before)
        logger.warning("dpop_asgi.testing: requests are accepted without proof and token. This is for tests only")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry point."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        others = [header for header in scope["headers"] if header[0] not in {b"authorization", b"dpop"}]
        token = _caller.set(self.caller)
        try:
            await self.app({**scope, "headers": [*others, _NO_TOKEN]}, receive, send)
        finally:
            _caller.reset(token)


async def _authenticate(
    authenticator: Authenticator,
    before: Callable[[IncomingRequest, Requirement | None], Awaitable[Caller]],
    request: IncomingRequest,
    needed: Requirement | None = None,
) -> Caller:
    """Requests that did not come through `WithoutProofs` are judged as `before`."""
    caller = _caller.get(None)
    if caller is None:
        return await before(request, needed)
    if needed is not None:
        authenticator.authorize(caller, needed)
    return caller
