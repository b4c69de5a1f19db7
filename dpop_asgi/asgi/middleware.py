"""The resource server: http, websocket and lifespan."""

import logging
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from functools import partial
from typing import Any

from starlette.authentication import AuthCredentials

from dpop_asgi.asgi.preflight import Preflights
from dpop_asgi.asgi.public_paths import PublicRequests
from dpop_asgi.asgi.replies import HTTPReply, Message, Receive, Scope, Send, WebSocketReply
from dpop_asgi.asgi.target_uri import PublicURL, RequestURL, TargetURI
from dpop_asgi.authenticator import Authenticator
from dpop_asgi.core.caller import Caller
from dpop_asgi.core.challenge import UNAUTHORIZED, Answer, Challenger, status_of, unavailable
from dpop_asgi.core.credentials import IncomingRequest
from dpop_asgi.core.options import require
from dpop_asgi.errors import DPoPError, Refusal

logger: logging.Logger = logging.getLogger("dpop_asgi")

ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

# Where an instance leaves its result. One inside with the same authenticator asks nothing again; one with another
# authenticator asks everything but what can hold only once: the nonce and the first use.
CALLER_KEY = "dpop_asgi.caller"
_VOUCHED_KEY = "dpop_asgi.authenticator"

_REPLIES: dict[str, type[HTTPReply] | type[WebSocketReply]] = {"http": HTTPReply, "websocket": WebSocketReply}


class DPoPMiddleware:
    """Lets requests through whose DPoP proof and access token hold, and answers all others.

    Args:
        app: the ASGI app to protect.
        authenticator: decides who is calling.
        public_url: what clients call this server: origin, and the path prefix that a proxy strips; several for several
            hosts. Nothing but the path below it then comes from the request.
        allowed_hosts: without `public_url`, the `Host` values that are served; without both, this machine's only.
        trusted_proxies: without `public_url`, networks whose forwarding fields are believed.
        forwarded: which fields those are, `x-forwarded` or `forwarded`.
        target_uri: a function of your own from the scope to the target URI, instead of the four above.
        public_paths: open paths: exact, or all below a prefix that ends in `/`.
        preflights: `refuse` treats CORS preflights like any request without credentials: `CORSMiddleware` belongs
            outside. `pass` lets the app inside run for them. They must then be well-formed (one serialized `Origin`,
            one method, names of headers), without credentials and without a body. The app sees the path, the host, the
            forwarding headers and those of CORS; out go a status of 2xx and the headers `Access-Control-*` and `Vary`,
            or an empty 403.
        present_as: `bearer` shows the app inside an `Authorization: Bearer` field.
        realm: the protection space named in Bearer challenges.

    Raises:
        ValueError: naming the option that is wrong.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        authenticator: Authenticator,
        public_url: str | Iterable[str] | None = None,
        allowed_hosts: Iterable[str] = (),
        trusted_proxies: Iterable[str] = (),
        forwarded: str = "x-forwarded",
        target_uri: TargetURI | None = None,
        public_paths: Iterable[str] = (),
        preflights: str = "refuse",
        present_as: str | None = None,
        realm: str = "api",
    ) -> None:
        require("authenticator", isinstance(authenticator, Authenticator), "an Authenticator")
        require("present_as", present_as in {None, "bearer"}, "bearer, or None")
        require("preflights", preflights in {"refuse", "pass"}, "refuse or pass")
        self.app = app
        self._authenticator = authenticator
        request_url = RequestURL(allowed_hosts=allowed_hosts, trusted_proxies=trusted_proxies, forwarded=forwarded)
        ways = [public_url is not None, target_uri is not None, request_url.is_configured]
        require("public_url", sum(ways) <= 1, "given without target_uri, allowed_hosts and trusted_proxies")
        self._target_uri = target_uri or (request_url if public_url is None else PublicURL(public_url))
        self._public = PublicRequests(public_paths)
        self._preflights = Preflights(passed=preflights == "pass")
        self._as_bearer = present_as == "bearer"
        self._challenger = Challenger(
            algorithms=authenticator.proof_policy.algorithms, mode=authenticator.mode, realm=realm
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry point; scope types other than http, websocket and lifespan are handed through."""
        kind = _REPLIES.get(scope["type"])
        if kind is None or scope.get(_VOUCHED_KEY) is self._authenticator:
            await self._hand_through(scope, receive, send)
            return
        # The app as anyone may reach it, if this request needs no credentials.
        public = self.app if self._public.match(scope) else self._preflights.guard(self.app, scope)
        reply = kind(scope, receive, send, self._authenticator)
        try:
            if public is None:
                reply.caller = await self._authenticator.authenticate(self._facts(scope))
                _introduce(scope, reply.caller, self._authenticator)
                if self._as_bearer:
                    scope = _presented_as_bearer(scope)
            await (public or self.app)(scope, reply.receive, reply.send)
        # What the app refuses by raising is answered as if we had refused it.
        except DPoPError as error:
            if reply.started:
                raise
            if isinstance(error, Refusal) and reply.caller is not None and reply.caller.key_thumbprint is None:
                error.scheme = "Bearer"
            await reply.answer(await self._answer_to(error))
        finally:
            if reply.held:
                await reply.release()

    async def _hand_through(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            send = partial(self._send_lifespan, send)
        elif self._as_bearer and scope["type"] in _REPLIES:
            scope = _presented_as_bearer(scope)
        await self.app(scope, receive, send)

    def _facts(self, scope: Scope) -> IncomingRequest:
        return IncomingRequest(
            scope.get("method", "GET"),
            partial(self._target_uri, scope),
            scope["headers"],
            scope["type"] == "websocket",
            scope.get(CALLER_KEY),
        )

    async def _answer_to(self, error: DPoPError) -> Answer:
        if isinstance(error, Refusal):
            if logger.isEnabledFor(logging.INFO):
                # Cut: facts may have two URIs of 8 KB, and many collectors lose or split lines over 2 KB.
                reason = error.reason.value
                logger.info("refused: %s %.1900s", reason, error.facts, extra={"dpop_reason": reason})
            try:
                challenged = status_of(error) == UNAUTHORIZED
                nonce = await self._authenticator.challenge_nonce(error) if challenged else None
                return self._challenger.answer(error, nonce=nonce)
            except DPoPError as unanswerable:
                error = unanswerable
        logger.info("unavailable: %s", error)
        return unavailable()

    async def _send_lifespan(self, send: Send, message: Message) -> None:
        if message["type"] == "lifespan.startup.complete":
            self._authenticator.self_check.start()
        if message["type"] in {"lifespan.shutdown.complete", "lifespan.shutdown.failed"}:
            await self._authenticator.aclose()
        await send(message)


def _introduce(scope: Scope, caller: Caller, authenticator: Authenticator) -> None:
    """Where the app finds the caller. In place, as Starlette does it: what is outside sees the same scope."""
    scope[CALLER_KEY] = scope["user"] = caller
    scope[_VOUCHED_KEY] = authenticator
    scope["auth"] = AuthCredentials(sorted(caller.scopes))
    state: Any = scope.setdefault("state", {})
    if type(state) is dict or isinstance(state, MutableMapping):
        state["dpop"] = caller


def _presented_as_bearer(scope: Scope) -> Scope:
    """A copy for the app inside: outer layers keep the fields as the client sent them."""
    headers = [
        (name, b"Bearer " + value.rpartition(b" ")[2] if name == b"authorization" else value)
        for name, value in scope["headers"]
    ]
    return {**scope, "headers": headers}
