"""Responses: the app's own messages with a nonce added, or the response to a rejection."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from enum import Enum
from operator import itemgetter
from typing import Any

from dpop_asgi.asgi.rejections import has_other_errors, rejection_being_handled, rejection_in
from dpop_asgi.authenticator import Authenticator
from dpop_asgi.core.caller import Caller
from dpop_asgi.core.challenge import ErrorResponse
from dpop_asgi.core.credentials import IncomingRequest, scheme_of
from dpop_asgi.core.policy import Scheme
from dpop_asgi.errors import DPoPError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

# The scope key under which exception handlers in the app, and inner instances, find the responder.
RESPONDER_KEY = "dpop_asgi.responder"

_EXPOSE = b"access-control-expose-headers"
_EXPOSED = (b"DPoP-Nonce", b"WWW-Authenticate")
_NAME = itemgetter(0)
_SERVER_ERROR = 500
_POLICY_VIOLATION = 1008


class _State(Enum):
    """The state of the response."""

    WAITING = "nothing was sent, apart from early hints"
    RENDERED = "the response to a rejection is rendered, and the app sends it"
    STARTED = "the app's response has started"
    REPLACED = "the response to a rejection was sent; messages from the app are dropped"


class _Responder(ABC):
    """Responds to one request.

    Args:
        scope: the request's scope.
        receive: the server's `receive`; only the app calls it.
        send: the server's `send`.
        authenticator: knows which nonce to issue when the app responds.
        render: renders the response to a rejection, for the scheme that the client used.

    Attributes:
        authenticator: see above.
        request: the request, once it is accepted.
        caller: the caller, once the request is accepted.
    """

    request: IncomingRequest | None = None
    caller: Caller | None = None
    _state: _State = _State.WAITING

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        authenticator: Authenticator,
        render: Callable[[DPoPError, Scheme], Awaitable[ErrorResponse]],
    ) -> None:
        self.authenticator = authenticator
        self._receive = receive
        self._scope = scope
        self._send = send
        self._render = render

    @property
    def started(self) -> bool:
        """Whether a response has started, apart from early hints."""
        return self._state is _State.STARTED or self._state is _State.REPLACED

    async def response_to(self, rejection: DPoPError) -> ErrorResponse:
        """The response to a rejection, whether the middleware or the app raised it."""
        response = await self._render(rejection, self._scheme())
        if self._state is _State.WAITING:
            self._state = _State.RENDERED
        return response

    def _scheme(self) -> Scheme:
        """The scheme that the client used, where that makes a difference."""
        if self.authenticator.mode == "required":
            return "DPoP"
        if self.caller is None:
            return scheme_of(self._scope["headers"])
        return "Bearer" if self.caller.key_thumbprint is None else "DPoP"

    @abstractmethod
    async def replace(self, response: ErrorResponse) -> None:
        """Send `response` instead of the app's."""
        ...

    async def handles(self, error: Exception) -> bool:
        """Respond to an error, if it is a rejection. Returns whether it is handled, so that it need not be raised."""
        if self._state is _State.REPLACED:
            return _is_handled(error)
        rejection = rejection_in(error)
        if rejection is None or self.started:
            return False
        await self.replace(await self.response_to(rejection))
        return rejection is error or not has_other_errors(error)


class HTTPResponder(_Responder):
    """Passes the app's messages on. Only `http.response.start` is changed, and only if there is a caller."""

    @property
    def receive(self) -> Receive:
        """The `receive` for the app inside."""
        return self._receive

    async def send(self, message: Message) -> None:
        """The `send` for the app inside."""
        if self._state is _State.REPLACED:
            return
        # Early hints and push promises may come before it.
        if message["type"] == "http.response.start" and self._state is not _State.STARTED:
            # A framework responds with a 500 to exceptions that it has no handler for.
            rejection = rejection_being_handled() if message.get("status") == _SERVER_ERROR else None
            if rejection is not None:
                await self.replace(await self.response_to(rejection))
                return
            message = self._with_headers(message)
            self._state = _State.STARTED
        await self._send(message)

    def _with_headers(self, message: Message) -> Message:
        if self._state is _State.RENDERED:
            return {**message, "headers": self._with_exposure(list(message.get("headers", ())))}
        if self.caller is None:
            return message
        return {**message, "headers": self._with_exposure(_with_nonce(message, self.caller, self.authenticator))}

    async def replace(self, response: ErrorResponse) -> None:
        """Send `response` instead of the app's."""
        self._state = _State.REPLACED
        headers = self._with_exposure(list(response.headers))
        await self._send({"type": "http.response.start", "status": response.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": self.body_of(response)})

    def body_of(self, response: ErrorResponse) -> bytes:
        """The body that may be sent with `response`."""
        return b"" if self._scope["method"] == "HEAD" else response.body

    def _with_exposure(self, headers: Headers) -> Headers:
        """Let scripts on other origins read challenge and nonce, beside what the app exposes (WHATWG Fetch §3.2.5)."""
        if b"origin" not in map(_NAME, self._scope["headers"]):
            return headers
        listed = b",".join(value for name, value in headers if name.lower() == _EXPOSE)
        exposed = [name.strip() for name in listed.split(b",") if name.strip()]
        known = {name.lower() for name in exposed}
        exposed += [name for name in _EXPOSED if name.lower() not in known]
        return [*_without(headers, _EXPOSE), (_EXPOSE, b", ".join(exposed))]


class WebSocketResponder(_Responder):
    """The same for a handshake: `websocket.accept` carries the nonce, a rejection is a denial response."""

    _connected: bool = False

    async def receive(self) -> Message:
        """The `receive` for the app inside."""
        self._connected = True
        return await self._receive()

    async def send(self, message: Message) -> None:
        """The `send` for the app inside."""
        if message["type"] == "websocket.accept" and self.caller is not None:
            headers = _with_nonce(message, self.caller, self.authenticator)
            message = {**message, "headers": headers}
        if self._state is not _State.REPLACED:
            self._state = _State.STARTED
        await self._send(message)

    async def replace(self, response: ErrorResponse) -> None:
        """Reject the handshake: with status and headers if the server supports it, else by closing (HTTP 403)."""
        if not self._connected:
            await self.receive()
        self._state = _State.REPLACED
        if "websocket.http.response" not in (self._scope.get("extensions") or {}):
            await self._send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": ""})
            return
        start = {"status": response.status, "headers": list(response.headers)}
        await self._send({"type": "websocket.http.response.start", **start})
        await self._send({"type": "websocket.http.response.body", "body": response.body})


Responder = HTTPResponder | WebSocketResponder


def _is_handled(error: BaseException) -> bool:
    """Whether `error` is dealt with, after the response to a rejection has replaced the app's."""
    if isinstance(error, RuntimeError) and error.__cause__ is not None:
        # Starlette's "Caught handled exception, but response already started", about the 500 that was replaced.
        error = error.__cause__
    return rejection_in(error) is not None and not has_other_errors(error)


def _with_nonce(message: Message, caller: Caller, authenticator: Authenticator) -> Headers:
    """RFC 9449 §8.2: a newer nonce on any response, which then must not be cached. The app's own nonces are removed."""
    headers = message.get("headers", ())
    if caller.nonce is None:
        return list(headers)
    nonce = authenticator.replacement_nonce(caller)
    if nonce is None:
        return _without(headers, b"dpop-nonce")
    kept = _without(headers, b"dpop-nonce", b"cache-control", b"expires")
    return [*kept, (b"dpop-nonce", nonce.encode("ascii")), (b"cache-control", b"no-store")]


def _without(headers: Iterable[tuple[bytes, bytes]], *names: bytes) -> Headers:
    return [(name, value) for name, value in headers if name.lower() not in names]
