"""For MCP servers built with the official SDK: their sessions belong to the caller, and their tools see who that is."""

import re
from collections.abc import Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from starlette.authentication import AuthCredentials
from starlette.exceptions import HTTPException

from dpop_asgi.asgi.app_scope import presented_as_bearer
from dpop_asgi.asgi.gate import ask, token_in
from dpop_asgi.asgi.headers import without
from dpop_asgi.asgi.interface import ASGIApp, Receive, Scope, Send
from dpop_asgi.asgi.middleware import DPoPMiddleware
from dpop_asgi.asgi.public_paths import PublicRequests
from dpop_asgi.asgi.resource_metadata import ResourceMetadata
from dpop_asgi.asgi.router_inside import RouterInside
from dpop_asgi.authenticator import Authenticator
from dpop_asgi.core.authorization import Requirement
from dpop_asgi.core.caller import Caller
from dpop_asgi.core.options import require
from dpop_asgi.errors import InvalidToken, Reason
from dpop_asgi.mcp.tool_calls import called_tools, next_of, read_body

try:
    from mcp.server.auth.middleware.auth_context import AuthContextMiddleware
    from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
    from mcp.server.auth.provider import AccessToken

    from dpop_asgi.mcp.events import EventsOfCallers
except ImportError as _error:
    _ADVICE = "dpop_asgi.mcp needs the 'mcp' extra: pip install 'dpop-asgi[mcp]'"
    raise ImportError(_ADVICE) from _error

__all__ = ["CallerForMCP", "EventsOfCallers", "protect"]

# FastMCP's other name for the tool of an app: which one, only FastMCP knows.
_ADDRESS = re.compile(r"__[0-9a-f]{12}_")

_NO_TOOLS: Mapping[str, Iterable[str]] = MappingProxyType({})


def protect(
    mcp_app: ASGIApp,
    authenticator: Authenticator,
    *,
    path: str = "/mcp",
    scopes: Iterable[str] = (),
    tool_scopes: Mapping[str, Iterable[str]] = _NO_TOOLS,
    public_paths: Iterable[str] = (),
    metadata: ResourceMetadata | None = None,
    resumable: bool = False,
    **options: Any,  # noqa: ANN401 - those of DPoPMiddleware
) -> DPoPMiddleware:
    """An MCP server that only serves callers with a valid DPoP proof and access token.

    Args:
        mcp_app: what the SDK's `MCPServer.streamable_http_app()` returns.
        authenticator: decides who is calling.
        path: of the MCP endpoint, as clients see it below the public URL. It is the resource.
        scopes: what every request needs.
        tool_scopes: what calls of a tool need besides, by the name of the tool.
        public_paths: as for `DPoPMiddleware`: other routes of the app that need no credentials.
        metadata: replaces the default one, which names the scopes.
        resumable: see `CallerForMCP`.
        options: others of `DPoPMiddleware`, such as `public_url`.

    Raises:
        ValueError: If an option is invalid; the message names it.
    """
    caller = CallerForMCP(
        mcp_app, scopes=scopes, tool_scopes=tool_scopes, public_paths=public_paths, resumable=resumable
    )
    public = PublicRequests(public_paths)
    # As a mount the endpoint has a slash at its end, and routers redirect to the one that they have.
    is_open = any(public.match({"path": one}) for one in (path, path + "/", path.rstrip("/") or "/"))
    require("public_paths", not is_open, "others than that of the resource")
    # The endpoint asks by itself, whoever lets a preflight through.
    is_without_effect = options.get("preflights") == "pass"
    require("preflights", not is_without_effect, "left out: CORSMiddleware belongs outside, CORSMiddleware(app, ...)")
    published = metadata or ResourceMetadata(
        scopes_supported=caller.all_scopes.scopes, challenge_scopes=caller.needed.scopes
    )
    resource = {"" if path == "/" else path: published}
    return DPoPMiddleware(caller, authenticator=authenticator, protect="routes", metadata=resource, **options)


class CallerForMCP:
    """Between `DPoPMiddleware(protect="routes")` and the SDK's app: asks who is calling, and tells the SDK.

    The SDK compares the owner of a session or of a `requestState` with the caller only if the caller is of its own
    class. Without this, anyone who knows a session's id could use the session, and tools would not see a caller.

    Args:
        app: the SDK's app.
        scopes: what every request needs.
        tool_scopes: what calls of a tool need besides, by the name of the tool.
        public_paths: as for `DPoPMiddleware`: nothing is asked there.
        resumable: whether streams may be resumed (`Last-Event-ID`). Only for an app whose event store is wrapped in
            `EventsOfCallers`.
        present_as: `bearer` presents the token to the app as `Authorization: Bearer`: FastMCP looks for it.

    Attributes:
        app: see above, in the SDK's middleware that shows the caller to tools.
        needed: what every request needs.
        all_scopes: what requests for all of the tools would need.

    Raises:
        ValueError: If an option is invalid; the message names it.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        scopes: Iterable[str] = (),
        tool_scopes: Mapping[str, Iterable[str]] = _NO_TOOLS,
        public_paths: Iterable[str] = (),
        resumable: bool = False,
        present_as: str | None = None,
    ) -> None:
        self.app: ASGIApp = AuthContextMiddleware(app)
        self.needed: Requirement = Requirement(scopes)
        require("tool_scopes", isinstance(tool_scopes, Mapping), "a mapping from names of tools to scopes")
        self._tools = {name: self.needed & Requirement(more) for name, more in tool_scopes.items()}
        self.all_scopes: Requirement = _all(self.needed, self._tools.values())
        # A client that is told of it would ask for a refresh token, which is none of the resource's business.
        require("scopes", "offline_access" not in self.all_scopes.scopes, "given without offline_access")
        self._public = PublicRequests(public_paths, router=RouterInside(app))
        require("resumable", isinstance(resumable, bool), "True or False")
        self._resumable = resumable
        require("present_as", present_as in {None, "bearer"}, "bearer, or None")
        self._as_bearer = present_as == "bearer"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry point.

        Raises:
            HTTPException: If the request is rejected. The response is the middleware's.
            InvalidToken: If the token says neither whose nor which client's it is, and isn't bound to a key.
            RuntimeError: If there is no `DPoPMiddleware` around it.
        """
        if scope["type"] == "lifespan" or self._public.match(scope):
            await self.app(scope, receive, send)
            return
        caller = await ask(scope, self.needed, kind=HTTPException)
        # A caller who has all scopes may call any tool: nobody has to look which one it is.
        is_call = scope.get("method") == "POST"
        if is_call and caller is not None and not caller.scopes.issuperset(self.all_scopes.scopes):
            receive = await self._ask_for_tools(scope, receive)
        user = _user_of(caller, token_in(scope))
        headers = presented_as_bearer(scope["headers"]) if self._as_bearer else scope["headers"]
        if not self._resumable:
            headers = without(headers, b"last-event-id")
        inside = {**scope, "headers": headers, "user": user, "auth": AuthCredentials(user.scopes)}
        await self.app(inside, receive, send)

    async def _ask_for_tools(self, scope: Scope, receive: Receive) -> Receive:
        """Ask for what the tools need that the body calls. Returns a `receive` that begins with the same body."""
        messages, body = await read_body(receive)
        called = called_tools(body)
        if called is None or any(map(_ADDRESS.match, called - self._tools.keys())):
            called = {*self._tools}
        needed = [each for name, each in self._tools.items() if name in called]
        await ask(scope, _all(self.needed, needed), kind=HTTPException)
        return partial(next_of, messages, receive)


def _all(first: Requirement, others: Iterable[Requirement]) -> Requirement:
    for other in others:
        first = first & other
    return first


def _user_of(caller: Caller | None, token: str) -> AuthenticatedUser:
    """The SDK's user. Client, issuer and subject are what it tells callers apart by, so there must be one of them."""
    owner = caller and (caller.client_id or caller.subject or caller.key_thumbprint)
    if caller is None or not owner:
        raise InvalidToken(Reason.TOKEN_REJECTED)
    claims = caller.claims
    audience = claims.get("aud")
    access_token = AccessToken(
        token=token,
        client_id=caller.client_id or ("" if caller.subject else f"jkt:{owner}"),
        scopes=sorted(caller.scopes),
        expires_at=None if caller.token_expires_at is None else int(caller.token_expires_at),
        resource=audience if isinstance(audience, str) else None,
        subject=caller.subject,
        claims=claims,
    )
    return AuthenticatedUser(access_token)
