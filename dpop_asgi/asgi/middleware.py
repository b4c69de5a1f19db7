"""The middleware for resource servers: http, websocket and lifespan."""

import asyncio
from collections.abc import Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Literal, get_args

from dpop_asgi.asgi.app_scope import forget_caller, scope_for_anyone, scope_for_caller, scope_passed_through
from dpop_asgi.asgi.exception_handlers import register_handlers
from dpop_asgi.asgi.gate import GATE_KEY, Gate, show_user
from dpop_asgi.asgi.interface import ASGIApp, Message, Receive, Scope, Send
from dpop_asgi.asgi.metadata_endpoint import MetadataEndpoint
from dpop_asgi.asgi.nesting import accepted_outside, is_asked_outside
from dpop_asgi.asgi.path_policy import OPEN, Needed, PathPolicy
from dpop_asgi.asgi.preflight import Preflights
from dpop_asgi.asgi.rendering import Renderer
from dpop_asgi.asgi.resource_metadata import ResourceMetadata
from dpop_asgi.asgi.responses import HTTPResponder, Responder, WebSocketResponder
from dpop_asgi.asgi.router_inside import RouterInside
from dpop_asgi.asgi.start_line import log_start
from dpop_asgi.asgi.target_uri import PublicURL, RequestURL, TargetURI
from dpop_asgi.asgi.token_lifetime import TokenLifetime, require_max_stream
from dpop_asgi.authenticator import Authenticator
from dpop_asgi.core.authorization import Requirement
from dpop_asgi.core.credentials import IncomingRequest
from dpop_asgi.core.options import is_plain_function
from dpop_asgi.core.options import require as fits
from dpop_asgi.core.policy import Protect
from dpop_asgi.errors import InvalidRequest

_NOTHING: Mapping[str, Needed] = MappingProxyType({})
_RESPONDERS: dict[str, type[Responder]] = {"http": HTTPResponder, "websocket": WebSocketResponder}

# redis-py and the store's deadlines depend on asyncio.
_NOT_ASYNCIO = "dpop_asgi runs on asyncio, but this server runs another event loop: start hypercorn without `-k trio`"


class DPoPMiddleware:
    """Passes requests with a valid DPoP proof and access token to the app, and rejects all others.

    Args:
        app: the ASGI app to protect.
        authenticator: decides who is calling.
        public_url: the URL that clients call: the origin, and any path prefix that a proxy strips. Pass several to
            serve several hosts. Then only the path below it is taken from the request.
        insecure_http_hosts: with `public_url`, hosts besides this machine that may use plain http in it.
        allowed_hosts: without `public_url`, the `Host` values to serve; without both, only those of this machine.
        trusted_proxies: without `public_url`, networks whose forwarding headers are trusted.
        forwarded: with `trusted_proxies`, which headers those are: `x-forwarded`, the default, or `forwarded`.
        target_uri: a custom function from the scope to the target URI, instead of the previous three and `public_url`.
        public_paths: paths that need no credentials: exact ones, or prefixes that end in `/`.
        preflights: `refuse` treats CORS preflights like any request without credentials: `CORSMiddleware` belongs
            outside. `pass` lets the app respond to them. They must then be well-formed (one serialized `Origin`, one
            method, header names), without credentials and without a body. The app sees the path, the host, the
            forwarding headers and the CORS headers; the response is a 2xx status with the `Access-Control-*` and
            `Vary` headers, or an empty 403.
        present_as: `bearer` presents the access token to the app as `Authorization: Bearer`.
        realm: the protection space named in Bearer challenges.
        protect: `everything` rejects every request without credentials, except to `public_paths`. `routes` asks for
            nothing until a route does (`dpop_asgi.fastapi`, `dpop_asgi.starlette`), and then rejects requests as usual.
        require: what requests need, by path (as in `public_paths`; the longest decides): a `Requirement`, `required`,
            `mixed` or `public`. With `protect="routes"`, these paths are asked before the app runs.
        nonce_paths: paths (as in `public_paths`) whose responses have a nonce although no caller is known.
        max_stream: `token` ends streams and WebSockets when the caller's token expires.
        metadata: serves the metadata of the resource (RFC 9728), and names it in challenges. Several resources have one
            each, by the beginning of their paths; `""` stands for all others.

    Raises:
        ValueError: If an option is invalid; the message names it.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        authenticator: Authenticator,
        public_url: str | Iterable[str] | None = None,
        insecure_http_hosts: Iterable[str] = (),
        allowed_hosts: Iterable[str] = (),
        trusted_proxies: Iterable[str] = (),
        forwarded: str | None = None,
        target_uri: TargetURI | None = None,
        public_paths: Iterable[str] = (),
        preflights: str = "refuse",
        present_as: str | None = None,
        realm: str = "api",
        protect: Protect = "everything",
        require: Mapping[str, Needed] = _NOTHING,
        nonce_paths: Iterable[str] = (),
        max_stream: Literal["token"] | None = None,
        metadata: ResourceMetadata | Mapping[str, ResourceMetadata] | None = None,
    ) -> None:
        fits("authenticator", isinstance(authenticator, Authenticator), "an Authenticator")
        fits("present_as", present_as in {None, "bearer"}, "bearer, or None")
        fits("protect", protect in get_args(Protect), "everything or routes")
        fits("present_as", protect == "everything" or present_as is None, 'None with protect="routes"')
        is_plain = target_uri is None or is_plain_function(target_uri)
        fits("target_uri", is_plain, "a function of the scope, neither async nor a class")
        self.app = app
        self._prepared = False
        self._authenticator = authenticator
        is_used = public_url is not None or not insecure_http_hosts
        fits("insecure_http_hosts", is_used, "left out without public_url, the URL that it allows to be http")
        fits("forwarded", forwarded is None or trusted_proxies, "left out without trusted_proxies, which send it")
        headers = "x-forwarded" if forwarded is None else forwarded
        request_url = RequestURL(allowed_hosts=allowed_hosts, trusted_proxies=trusted_proxies, forwarded=headers)
        sources = [public_url is not None, target_uri is not None, request_url.is_configured]
        fits("public_url", sum(sources) <= 1, "given without target_uri, allowed_hosts and trusted_proxies")
        configured = (
            request_url if public_url is None else PublicURL(public_url, insecure_http_hosts=insecure_http_hosts)
        )
        self._target_uri = target_uri or configured
        everything, router = protect == "everything", RouterInside(app)
        self._policy = PathPolicy(
            public_paths, require, nonce_paths, everything=everything, mode=authenticator.mode, router=router
        )
        self._preflights = Preflights(preflights, asks=everything or bool(require))
        self._as_bearer = present_as == "bearer"
        self._ends_streams = require_max_stream(max_stream)
        base_of = configured.base_of if target_uri is None else None
        self._metadata = MetadataEndpoint(metadata, authenticator, base_of)
        self._renderer = Renderer(authenticator, realm=realm, metadata=self._metadata)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry point.

        Raises:
            RuntimeError: If the scope type isn't http, websocket or lifespan, since nothing could be checked; or if the
                event loop isn't asyncio's.
        """
        if not self._prepared and not await self._prepare(scope, receive, send):
            return
        responder_type = _RESPONDERS.get(scope["type"])
        if responder_type is None:
            await self._lifespan(scope, receive, send)
            return
        unasked, needed = self._asked(scope)
        request = self._incoming_request(scope)
        if GATE_KEY in scope and self._is_vouched_for(scope, request, needed, is_open=unasked is not None):
            as_bearer = self._as_bearer and unasked is None
            app = self._limited(unasked or self.app, scope[GATE_KEY])
            await app(scope_passed_through(scope, as_bearer=as_bearer), receive, send)
            return
        responder = responder_type(request, scope, receive, send, self._authenticator, self._renderer.response_to)
        await self._respond(responder, scope, unasked, needed)

    async def _respond(
        self, responder: Responder, scope: Scope, unasked: ASGIApp | None, needed: Requirement | None
    ) -> None:
        app = self._limited(unasked or self.app, responder)
        try:
            if unasked is not None:
                await self._pass_unasked(app, scope, responder)
            else:
                responder.needed = needed
                responder.caller = await self._authenticator.authenticate(responder.request, needed)
                inside = scope_for_caller(scope, responder.caller, responder, as_bearer=self._as_bearer)
                await app(inside, responder.receive, responder.send)
            if responder.error is not None:
                await responder.decide()
        # Rejections raised by the app get the same response as the middleware's own.
        except Exception as error:
            if not await self._handles(error, scope, responder):
                raise

    def _limited(self, app: ASGIApp, gate: Gate) -> ASGIApp:
        return TokenLifetime(app, gate) if self._ends_streams else app

    def _asked(self, scope: Scope) -> tuple[ASGIApp | None, Requirement | None]:
        """What responds without credentials, as far as this middleware knows; if nothing, what the caller needs."""
        published = self._metadata.answer_to(scope)
        if published is not None:
            return published, None
        try:
            needed = self._policy.needed(scope)
        except InvalidRequest as rejection:
            return partial(_rejects, rejection), None
        if needed is OPEN:
            return self.app, None
        return (self._preflights.guard(self.app, scope) if scope.get("method") == "OPTIONS" else None), needed

    async def _pass_unasked(self, app: ASGIApp, scope: Scope, responder: Responder) -> None:
        """The app may ask for a caller. Afterwards, middleware outside sees who that was."""
        responder.offers_nonce = self._policy.offers_nonce(scope)
        try:
            await app(scope_for_anyone(scope, responder), responder.receive, responder.send)
        finally:
            if responder.caller is not None:
                show_user(scope, responder.caller)

    async def _handles(self, error: Exception, scope: Scope, responder: Responder) -> bool:
        if responder.caller is None and "user" in scope:
            forget_caller(scope)
        return await responder.handles(error)

    async def _prepare(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Do what isn't possible at construction time: check for asyncio, and register exception handlers."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            if scope["type"] != "lifespan":
                raise RuntimeError(_NOT_ASYNCIO) from None
            await receive()
            await send({"type": "lifespan.startup.failed", "message": _NOT_ASYNCIO})
            return False
        register_handlers(self.app, scope.get("app"))
        log_start(type(self), self._authenticator, self._target_uri, everything=self._policy.everything)
        self._prepared = True
        return True

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            raise RuntimeError(f"dpop_asgi cannot protect scopes of type {scope['type']!r}, and rejects them")
        await self.app(scope, receive, partial(self._send_lifespan, send))

    def _is_vouched_for(
        self, scope: Scope, request: IncomingRequest, needed: Requirement | None, *, is_open: bool
    ) -> bool:
        """Whether an outer instance has already accepted this request, and this one relies on it."""
        outer = accepted_outside(scope, request)
        if outer is None:
            return is_open and not self._policy.everything and is_asked_outside(scope, request, self._authenticator)
        # A public path shows the app the caller that an outer instance has accepted, if there is one.
        if is_open and self._policy.everything:
            return True
        is_ours = outer.authenticator is self._authenticator and needed is None
        return is_ours and request.outer_caller is not None

    def _incoming_request(self, scope: Scope) -> IncomingRequest:
        return IncomingRequest(
            scope.get("method", "GET"),
            partial(self._target_uri, scope),
            scope["headers"],
            scope["type"] == "websocket",
        )

    async def _send_lifespan(self, send: Send, message: Message) -> None:
        if message["type"] == "lifespan.startup.complete":
            self._authenticator.self_check.start()
        if message["type"] in {"lifespan.shutdown.complete", "lifespan.shutdown.failed"}:
            await self._authenticator.aclose()
        await send(message)


async def _rejects(rejection: InvalidRequest, *_: object) -> None:
    raise rejection
