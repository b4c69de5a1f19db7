"""Responses: the app's own messages with a nonce added, or the response to a rejection."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from enum import Enum

from dpop_asgi.asgi.gate import Gate, is_own
from dpop_asgi.asgi.headers import of_another_body, with_any_nonce, with_exposure, with_newer_nonce
from dpop_asgi.asgi.interface import Headers, Message, Receive, Scope, Send
from dpop_asgi.asgi.rejections import has_other_errors, rejection_being_handled, rejection_in
from dpop_asgi.authenticator import Authenticator
from dpop_asgi.core.challenge import ErrorResponse
from dpop_asgi.core.credentials import IncomingRequest, scheme_of
from dpop_asgi.core.policy import Scheme
from dpop_asgi.errors import DPoPError, Refusal

_SERVER_ERROR = 500
_POLICY_VIOLATION = 1008
_TRY_AGAIN_LATER = 1013

# The response to a rejection, for the scheme that the client used; `False` where Bearer isn't accepted; the scope; the
# client, once its token is verified.
Render = Callable[[DPoPError, Scheme, bool, Scope, str | None], Awaitable[ErrorResponse]]


class _State(Enum):
    """The state of the response."""

    WAITING = "nothing was sent, apart from early hints"
    RENDERED = "the response to a rejection is rendered, and the app sends it"
    STARTED = "the app's response has started"
    REPLACED = "the response to a rejection was sent; messages from the app are dropped"


class _Responder(Gate, ABC):
    """Responds to one request.

    Args:
        request: as it was received.
        scope: the request's scope.
        receive: the server's `receive`; only the app calls it.
        send: the server's `send`.
        authenticator: knows which nonce to issue when the app responds.
        render: renders the response to a rejection.
    """

    _state: _State = _State.WAITING

    def __init__(  # hot path: positional, and Gate's own members are set here
        self,
        request: IncomingRequest,
        scope: Scope,
        receive: Receive,
        send: Send,
        authenticator: Authenticator,
        render: Render,
    ) -> None:
        self.request = request
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
        accepts_bearer = self.needed is None or self.needed.bearer
        response = await self._render(rejection, self._scheme(), accepts_bearer, self._scope, self.request.client_id)
        if self._state is _State.WAITING:
            self._state = _State.RENDERED
        return response

    def _scheme(self) -> Scheme:
        """The scheme that the client used, where that makes a difference."""
        if self.authenticator.mode == "required":
            return "DPoP"
        if self.caller is None:
            return scheme_of(self.request.headers)
        return "Bearer" if self.caller.key_thumbprint is None else "DPoP"

    @abstractmethod
    async def replace(self, response: ErrorResponse, also: Headers | None = None) -> None:
        """Send `response` instead of the app's, and `also` these headers."""
        ...

    @abstractmethod
    async def decide(self) -> None:
        """Respond to the rejected ask that decides the response, if there is one and that is still possible."""
        ...

    async def handles(self, error: Exception) -> bool:
        """Respond to an error, if it is a rejection. Returns whether it is handled, so that it need not be raised."""
        if self.error is not None:
            await self.decide()
        if self._state is _State.REPLACED:
            return self._is_handled(error)
        rejection = rejection_in(error)
        if rejection is None or self.started:
            return False
        await self.replace(await self.response_to(rejection))
        return rejection is error or not has_other_errors(error)

    def _is_handled(self, error: BaseException) -> bool:
        """Whether `error` is dealt with, after the response to a rejection has replaced the app's."""
        if is_own(error, self.error):
            return True
        if isinstance(error, RuntimeError) and error.__cause__ is not None:
            # Starlette's "Caught handled exception, but response already started", about what was replaced.
            error = error.__cause__
        return is_own(error, self.error) or (rejection_in(error) is not None and not has_other_errors(error))


class HTTPResponder(_Responder):
    """Passes the app's messages on. Only `http.response.start` is changed, and only if there is a caller."""

    @property
    def receive(self) -> Receive:
        """The `receive` for the app inside."""
        return self._receive if self.inside is None else self._receive_after_asking

    async def _receive_after_asking(self) -> Message:
        await self.ask_readers()
        return await self._receive()

    async def send(self, message: Message) -> None:
        """The `send` for the app inside."""
        if self._state is _State.REPLACED:
            return
        # Early hints and push promises may come before it.
        if message["type"] == "http.response.start" and self._state is not _State.STARTED:
            if self.error is not None:
                await self.replace(await self.response_to(self.error), of_another_body(message.get("headers", ())))
                return
            # A framework responds with a 500 to exceptions that it has no handler for.
            rejection = rejection_being_handled() if message.get("status") == _SERVER_ERROR else None
            if rejection is not None:
                await self.replace(await self.response_to(rejection))
                return
            message = await self._with_first_nonce(message) if self.offers_nonce else self._with_headers(message)
            self._state = _State.STARTED
        elif self.error is not None and self._state is _State.STARTED:
            # An ask within a stream: what follows isn't for this caller. Servers break off what has no end.
            self._state = _State.REPLACED
            return
        await self._send(message)

    def _with_headers(self, message: Message) -> Message:
        if self._state is _State.RENDERED:
            headers = list(message.get("headers", ()))
        elif self.caller is None:
            return message
        else:
            headers = with_newer_nonce(message, self.caller, self.authenticator)
        return {**message, "headers": with_exposure(headers, self._scope["headers"])}

    async def _with_first_nonce(self, message: Message) -> Message:
        message = self._with_headers(message)
        if self.caller is not None or self._state is _State.RENDERED:
            return message
        headers = await with_any_nonce(message, self.authenticator)
        return {**message, "headers": with_exposure(headers, self._scope["headers"])}

    async def decide(self) -> None:
        """See `_Responder.decide`."""
        if self.error is not None and not self.started:
            await self.replace(await self.response_to(self.error))

    async def replace(self, response: ErrorResponse, also: Headers | None = None) -> None:
        """Send `response` instead of the app's, and `also` these headers."""
        self._state = _State.REPLACED
        headers = with_exposure([*(also or ()), *response.headers], self._scope["headers"])
        await self._send({"type": "http.response.start", "status": response.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": self.body_of(response)})

    def body_of(self, response: ErrorResponse) -> bytes:
        """The body that may be sent with `response`."""
        return b"" if self._scope["method"] == "HEAD" else response.body


class WebSocketResponder(_Responder):
    """The same for a handshake: `websocket.accept` carries the nonce, a rejection is a denial response."""

    _connected: bool = False
    _is_open: bool = False

    async def receive(self) -> Message:
        """The `receive` for the app inside."""
        self._connected = True
        return await self._receive()

    async def send(self, message: Message) -> None:
        """The `send` for the app inside."""
        if self.error is not None and (self._state is not _State.STARTED or self._is_open):
            await self.decide()
        if self._state is _State.REPLACED:
            return
        if message["type"] == "websocket.accept":
            self._is_open = True
            if self.caller is not None:
                message = {**message, "headers": with_newer_nonce(message, self.caller, self.authenticator)}
            elif self.offers_nonce:
                message = {**message, "headers": await with_any_nonce(message, self.authenticator)}
        elif message["type"] == "websocket.close":
            self._is_open = False
        self._state = _State.STARTED
        await self._send(message)

    async def decide(self) -> None:
        """See `_Responder.decide`; an open connection is closed, and the reason is the code."""
        error = self.error
        if error is None:
            return
        if self._is_open:
            self._is_open, self._state = False, _State.REPLACED
            code = _POLICY_VIOLATION if isinstance(error, Refusal) else _TRY_AGAIN_LATER
            reason = getattr(error, "code", None) or ""
            await self._send({"type": "websocket.close", "code": code, "reason": reason})
        elif not self.started:
            await self.replace(await self.response_to(error))

    async def replace(self, response: ErrorResponse, also: Headers | None = None) -> None:
        """Reject the handshake: with status and headers if the server supports it, else by closing (HTTP 403)."""
        if not self._connected:
            await self.receive()
        self._state = _State.REPLACED
        if "websocket.http.response" not in (self._scope.get("extensions") or {}):
            await self._send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": ""})
            return
        start = {"status": response.status, "headers": [*(also or ()), *response.headers]}
        await self._send({"type": "websocket.http.response.start", **start})
        await self._send({"type": "websocket.http.response.body", "body": response.body})


Responder = HTTPResponder | WebSocketResponder
