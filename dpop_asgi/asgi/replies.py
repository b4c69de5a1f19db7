"""How a request is answered: the app's own messages with a nonce added, or an answer of ours."""

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from operator import itemgetter
from typing import Any

from dpop_asgi.asgi.rejections import has_other_errors, rejection_being_handled, rejection_in
from dpop_asgi.authenticator import Authenticator
from dpop_asgi.core.caller import Caller
from dpop_asgi.core.challenge import Answer
from dpop_asgi.core.credentials import IncomingRequest
from dpop_asgi.errors import DPoPError, Refusal

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

# Where the app's exception handlers, and instances inside, find the reply in the scope.
REPLY_KEY = "dpop_asgi.reply"

_EXPOSE = b"access-control-expose-headers"
_EXPOSED = (b"DPoP-Nonce", b"WWW-Authenticate")
_NAME = itemgetter(0)
_SERVER_ERROR = 500
_POLICY_VIOLATION = 1008


class _Reply:
    """One request: what is known of it, and how it is answered.

    Args:
        scope: of the request.
        receive: of the request; called by the app only.
        send: of the request.
        authenticator: knows which nonce to hand out when the app answers.
        render: makes an answer of a rejection.

    Attributes:
        authenticator: see above.
        started: whether the answer has begun, apart from hints before it.
        request: what was judged, once the request was accepted.
        caller: set once the request was accepted.
    """

    started: bool = False
    request: IncomingRequest | None = None
    caller: Caller | None = None
    # Whether there is an answer of ours, and whether we have sent it ourselves: what the app sends is then dropped.
    _rejected: bool = False
    _answered: bool = False

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        authenticator: Authenticator,
        render: Callable[[DPoPError], Awaitable[Answer]],
    ) -> None:
        self.authenticator = authenticator
        self._receive = receive
        self._scope = scope
        self._send = send
        self._render = render

    async def answer_to(self, rejection: DPoPError) -> Answer:
        """The answer to a rejection: ours, or one that the app raised."""
        if self.caller is not None and self.caller.key_thumbprint is None and isinstance(rejection, Refusal):
            rejection.scheme = "Bearer"
        self._rejected = True
        return await self._render(rejection)

    @abstractmethod
    async def answer(self, answer: Answer) -> None:
        """Send an answer of ours instead of the app's."""
        ...

    async def settles(self, error: Exception) -> bool:
        """Answer an error that has come out, if it is a rejection; whether nothing is left of it for the server."""
        if self._answered:
            return _is_answered(error)
        rejection = rejection_in(error)
        if rejection is None or self.started:
            return False
        await self.answer(await self.answer_to(rejection))
        return rejection is error or not has_other_errors(error)


class HTTPReply(_Reply):
    """Hands the app's messages on; changes `http.response.start` only, and that only for a caller."""

    started: bool

    @property
    def receive(self) -> Receive:
        """The `receive` for the app inside."""
        return self._receive

    async def send(self, message: Message) -> None:
        """The `send` for the app inside."""
        if self.started:
            if not self._answered:
                await self._send(message)
            return
        # An early hint or a push promise may come before it.
        if message["type"] == "http.response.start":
            # The 500 with which a framework responds to an exception that it does not know.
            rejection = rejection_being_handled() if message.get("status") == _SERVER_ERROR else None
            if rejection is not None:
                await self.answer(await self.answer_to(rejection))
                return
            self.started = True
            if self._rejected:
                message = {**message, "headers": self._with_exposure(list(message.get("headers", ())))}
            elif self.caller is not None:
                headers = self._with_exposure(_with_nonce(message, self.caller, self.authenticator))
                message = {**message, "headers": headers}
        await self._send(message)

    async def answer(self, answer: Answer) -> None:
        """Send an answer of ours instead of the app's."""
        self.started = self._answered = True
        headers = self._with_exposure(list(answer.headers))
        await self._send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": self.body_of(answer)})

    def body_of(self, answer: Answer) -> bytes:
        """The body that may be sent with `answer`."""
        return b"" if self._scope["method"] == "HEAD" else answer.body

    def _with_exposure(self, headers: Headers) -> Headers:
        """Let scripts of other origins read challenge and nonce, beside what the app exposes (WHATWG Fetch §3.2.5)."""
        if b"origin" not in map(_NAME, self._scope["headers"]):
            return headers
        said = b",".join(value for name, value in headers if name.lower() == _EXPOSE)
        exposed = [name.strip() for name in said.split(b",") if name.strip()]
        known = {name.lower() for name in exposed}
        exposed += [name for name in _EXPOSED if name.lower() not in known]
        return [*_without(headers, _EXPOSE), (_EXPOSE, b", ".join(exposed))]


class WebSocketReply(_Reply):
    """The same for a handshake: the nonce goes with `websocket.accept`, a refusal is a denial response."""

    started: bool

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
        self.started = True
        await self._send(message)

    async def answer(self, answer: Answer) -> None:
        """Refuse the handshake: with status and headers where the server can, else by closing (HTTP 403)."""
        if not self._connected:
            await self.receive()
        self.started = self._answered = True
        if "websocket.http.response" not in (self._scope.get("extensions") or {}):
            await self._send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": ""})
            return
        headers = list(answer.headers)
        await self._send({"type": "websocket.http.response.start", "status": answer.status, "headers": headers})
        await self._send({"type": "websocket.http.response.body", "body": answer.body})


def _is_answered(error: BaseException) -> bool:
    """Whether nothing is left of `error`, after an answer of ours has replaced the app's."""
    if isinstance(error, RuntimeError) and error.__cause__ is not None:
        # Starlette: "Caught handled exception, but response already started", by the 500 that ours has replaced.
        error = error.__cause__
    return rejection_in(error) is not None and not has_other_errors(error)


def _with_nonce(message: Message, caller: Caller, authenticator: Authenticator) -> Headers:
    """RFC 9449 §8.2: a newer nonce on any answer, which then must not be cached; one of the app's never passes."""
    headers = message.get("headers", ())
    if caller.nonce is None:
        return list(headers)
    nonce = authenticator.newer_nonce(caller)
    if nonce is None:
        return _without(headers, b"dpop-nonce")
    kept = _without(headers, b"dpop-nonce", b"cache-control", b"expires")
    return [*kept, (b"dpop-nonce", nonce.encode("ascii")), (b"cache-control", b"no-store")]


def _without(headers: Iterable[tuple[bytes, bytes]], *names: bytes) -> Headers:
    return [(name, value) for name, value in headers if name.lower() not in names]
