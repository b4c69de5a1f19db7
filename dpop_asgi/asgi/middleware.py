"""The resource server: http, websocket and lifespan."""

import logging
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from functools import partial
from typing import Any

from starlette.authentication import AuthCredentials

from dpop_asgi.asgi.public_paths import PublicPaths, is_preflight
from dpop_asgi.asgi.replies import HTTPReply, Message, Receive, Scope, Send, WebSocketReply
from dpop_asgi.asgi.target_uri import PublicURL, RequestURL, TargetURI
from dpop_asgi.authenticator import Authenticator
from dpop_asgi.core.caller import Caller
from dpop_asgi.core.challenge import Answer, Challenger, unavailable
from dpop_asgi.core.credentials import IncomingRequest
from dpop_asgi.errors import DPoPError, Refusal

logger = logging.getLogger("dpop_asgi")

ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

# Where the outermost instance leaves its result: an instance inside another reuses it and spends no jti twice.
CALLER_KEY = "dpop_asgi.caller"

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
        present_as: str | None = None,
        realm: str = "api",
    ) -> None:
        if present_as not in {None, "bearer"}:
            msg = f"present_as: {present_as!r} is neither None nor bearer"
            raise ValueError(msg)
        self.app = app
        self._authenticator = authenticator
        request_url = RequestURL(allowed_hosts=allowed_hosts, trusted_proxies=trusted_proxies, forwarded=forwarded)
        self._target_uri = target_uri or (request_url if public_url is None else PublicURL(public_url))
        self._public = PublicPaths(public_paths)
        self._as_bearer = present_as == "bearer"
        self._challenger = Challenger(
            algorithms=authenticator.proof_policy.algorithms, mode=authenticator.mode, realm=realm
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry point; scope types other than http, websocket and lifespan are handed through."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, partial(self._send_lifespan, send))
        elif scope["type"] not in _REPLIES or self._is_answered_for(scope):
            await self.app(scope, receive, send)
        else:
            await self._guard(scope, _REPLIES[scope["type"]](scope, receive, send, self._authenticator))

    def _is_answered_for(self, scope: Scope) -> bool:
        """Whether an instance around this one has let the request in by rules that are no weaker."""
        caller = scope.get(CALLER_KEY)
        return isinstance(caller, Caller) and (caller.key_thumbprint is not None or self._authenticator.mode == "mixed")

    async def _guard(self, scope: Scope, reply: HTTPReply | WebSocketReply) -> None:
        """Authenticate, then run the app. What the app refuses by raising is answered as if we had refused it."""
        try:
            if not self._public.match(scope) and not is_preflight(scope):
                reply.caller = await self._authenticator.authenticate(self._facts(scope))
                _introduce(scope, reply.caller)
                if self._as_bearer:
                    scope = _presented_as_bearer(scope)
            await self.app(scope, reply.receive, reply.send)
        except DPoPError as error:
            if reply.started:
                raise
            await reply.answer(await self._answer_to(error))
        except BaseException:
            await reply.release()
            raise
        await reply.release()

    def _facts(self, scope: Scope) -> IncomingRequest:
        return IncomingRequest(
            method=scope.get("method", "GET"),
            target_uri=partial(self._target_uri, scope),
            headers=scope["headers"],
            websocket=scope["type"] == "websocket",
        )

    async def _answer_to(self, error: DPoPError) -> Answer:
        if isinstance(error, Refusal):
            logger.info("refused: %s %s", error.reason.value, error.facts, extra={"dpop_reason": error.reason.value})
            try:
                return self._challenger.answer(error, nonce=await self._authenticator.challenge_nonce())
            except DPoPError as unanswerable:
                error = unanswerable
        logger.info("unavailable: %s", error)
        return unavailable()

    async def _send_lifespan(self, send: Send, message: Message) -> None:
        if message["type"] in {"lifespan.shutdown.complete", "lifespan.shutdown.failed"}:
            await self._authenticator.aclose()
        await send(message)


def _introduce(scope: Scope, caller: Caller) -> None:
    """Where the app finds the caller. In place, as Starlette does it: what is outside sees the same scope."""
    scope[CALLER_KEY] = scope["user"] = caller
    scope["auth"] = AuthCredentials(sorted(caller.scopes))
    state: Any = scope.setdefault("state", {})
    if isinstance(state, MutableMapping):
        state["dpop"] = caller


def _presented_as_bearer(scope: Scope) -> Scope:
    """A copy for the app inside: outer layers keep the fields as the client sent them."""
    headers = [
        (name, b"Bearer " + value.rpartition(b" ")[2] if name == b"authorization" else value)
        for name, value in scope["headers"]
    ]
    return {**scope, "headers": headers}
