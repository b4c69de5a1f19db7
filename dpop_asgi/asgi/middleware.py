"""The middleware for resource servers: http, websocket and lifespan."""

import asyncio
import logging
from collections.abc import Iterable
from functools import partial

from dpop_asgi.asgi.app_scope import forget_caller, scope_for_anyone, scope_for_caller, scope_passed_through
from dpop_asgi.asgi.exception_handlers import register_handlers
from dpop_asgi.asgi.nesting import accepted_outside
from dpop_asgi.asgi.preflight import Preflights
from dpop_asgi.asgi.public_paths import PublicRequests
from dpop_asgi.asgi.responses import (
    RESPONDER_KEY,
    ASGIApp,
    HTTPResponder,
    Message,
    Receive,
    Responder,
    Scope,
    Send,
    WebSocketResponder,
)
from dpop_asgi.asgi.target_uri import PublicURL, RequestURL, TargetURI
from dpop_asgi.authenticator import Authenticator
from dpop_asgi.core.challenge import UNAUTHORIZED, Challenger, ErrorResponse, status_of, unavailable
from dpop_asgi.core.credentials import IncomingRequest
from dpop_asgi.core.options import is_plain_function, require
from dpop_asgi.core.policy import Scheme
from dpop_asgi.errors import DPoPError, Refusal

logger: logging.Logger = logging.getLogger("dpop_asgi")

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
    ) -> None:
        require("authenticator", isinstance(authenticator, Authenticator), "an Authenticator")
        require("present_as", present_as in {None, "bearer"}, "bearer, or None")
        require("preflights", preflights in {"refuse", "pass"}, "refuse or pass")
        is_plain = target_uri is None or is_plain_function(target_uri)
        require("target_uri", is_plain, "a function of the scope, and not an async one")
        self.app = app
        self._prepared = False
        self._authenticator = authenticator
        is_used = public_url is not None or not insecure_http_hosts
        require("insecure_http_hosts", is_used, "left out without public_url, the URL that it allows to be http")
        require(
            "forwarded",
            forwarded is None or trusted_proxies,
            "left out without trusted_proxies, whose headers it names",
        )
        headers = "x-forwarded" if forwarded is None else forwarded
        request_url = RequestURL(allowed_hosts=allowed_hosts, trusted_proxies=trusted_proxies, forwarded=headers)
        sources = [public_url is not None, target_uri is not None, request_url.is_configured]
        require("public_url", sum(sources) <= 1, "given without target_uri, allowed_hosts and trusted_proxies")
        self._target_uri = target_uri or (
            request_url if public_url is None else PublicURL(public_url, insecure_http_hosts=insecure_http_hosts)
        )
        self._public = PublicRequests(public_paths)
        self._preflights = Preflights(passed=preflights == "pass")
        self._as_bearer = present_as == "bearer"
        self._challenger = Challenger(
            algorithms=authenticator.proof_policy.algorithms, mode=authenticator.mode, realm=realm
        )

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
        # Set if this request needs no credentials.
        public = self.app if self._public.match(scope) else self._preflights.guard(self.app, scope)
        request = None if public else self._incoming_request(scope)
        if RESPONDER_KEY in scope and self._is_vouched_for(scope, request):
            await self.app(
                scope_passed_through(scope, as_bearer=self._as_bearer and request is not None), receive, send
            )
            return
        responder = responder_type(scope, receive, send, self._authenticator, self._response_for)
        try:
            if request is None:
                inside = scope_for_anyone(scope, responder)
            else:
                responder.caller = await self._authenticator.authenticate(request)
                responder.request = request
                inside = scope_for_caller(scope, responder.caller, responder, as_bearer=self._as_bearer)
            await (public or self.app)(inside, responder.receive, responder.send)
        # Rejections raised by the app get the same response as the middleware's own.
        except Exception as error:
            if responder.caller is None and "user" in scope:
                forget_caller(scope)
            if not await responder.handles(error):
                raise

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
        self._prepared = True
        return True

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            raise RuntimeError(f"dpop_asgi cannot protect scopes of type {scope['type']!r}, and rejects them")
        await self.app(scope, receive, partial(self._send_lifespan, send))

    def _is_vouched_for(self, scope: Scope, request: IncomingRequest | None) -> bool:
        """Whether an outer instance with the same authenticator has already accepted this request."""
        outer = accepted_outside(scope, request)
        return outer is not None and (request is None or outer.authenticator is self._authenticator)

    def _incoming_request(self, scope: Scope) -> IncomingRequest:
        return IncomingRequest(
            scope.get("method", "GET"),
            partial(self._target_uri, scope),
            scope["headers"],
            scope["type"] == "websocket",
        )

    async def _response_for(self, error: DPoPError, scheme: Scheme) -> ErrorResponse:
        if isinstance(error, Refusal):
            if logger.isEnabledFor(logging.INFO):
                # Truncated: the facts may contain two URIs of 8 KB, and many collectors drop or split lines over 2 KB.
                reason = error.reason.value
                logger.info("rejected: %s %.1900s", reason, error.facts, extra={"dpop_reason": reason})
            try:
                challenged = status_of(error) == UNAUTHORIZED
                nonce = await self._authenticator.challenge_nonce(error) if challenged else None
                return self._challenger.response_to(error, scheme=scheme, nonce=nonce)
            except DPoPError as store_error:
                error = store_error
        logger.info("unavailable: %s", error)
        return unavailable()

    async def _send_lifespan(self, send: Send, message: Message) -> None:
        if message["type"] == "lifespan.startup.complete":
            self._authenticator.self_check.start()
        if message["type"] in {"lifespan.shutdown.complete", "lifespan.shutdown.failed"}:
            await self._authenticator.aclose()
        await send(message)
