"""How a request is answered: the app's own messages with a nonce added, or an answer of ours."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from operator import itemgetter
from typing import Any

from dpop_asgi.authenticator import Authenticator
from dpop_asgi.core.caller import Caller
from dpop_asgi.core.challenge import Answer

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_EXPOSE = b"access-control-expose-headers"
_EXPOSED = (b"DPoP-Nonce", b"WWW-Authenticate")
_NAME = itemgetter(0)
_SERVER_ERROR = 500
_POLICY_VIOLATION = 1008


class _Reply:
    """How one request is answered.

    Args:
        scope: of the request.
        receive: of the request; called by the app only.
        send: of the request.
        authenticator: knows which nonce to hand out when the app answers.

    Attributes:
        started: whether the answer has begun, apart from hints before it.
        caller: set once the request was accepted.
        held: what waits until the app is done.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, authenticator: Authenticator) -> None:
        self.started: bool = False
        self.caller: Caller | None = None
        self.held: list[Message] = []
        self._scope = scope
        self._receive = receive
        self._send = send
        self._authenticator = authenticator

    async def release(self) -> None:
        """Send what was held back until the app is done."""
        held, self.held = self.held, []
        for message in held:
            self.started = True
            await self._send(message)


class HTTPReply(_Reply):
    """Hands the app's messages on; changes `http.response.start` only, and that only for a caller."""

    started: bool
    held: list[Message]

    async def receive(self) -> Message:
        """The `receive` for the app inside, which may wait here for the client to have the answer and go."""
        await self.release()
        return await self._receive()

    async def send(self, message: Message) -> None:
        """The `send` for the app inside."""
        if self.started:
            await self._send(message)
            return
        if message["type"] == "http.response.start" and self.caller is not None:
            headers = self._with_exposure(_with_nonce(message, self.caller, self._authenticator))
            message = {**message, "headers": headers}
        # Starlette answers 500 before it lets an exception out. If that turns out to be a refusal,
        # ours is the right answer: so a 500 waits until the app is done.
        if message.get("status") == _SERVER_ERROR or (self.held and not message.get("more_body")):
            self.held.append(message)
            return
        if self.held:
            await self.release()
        # An early hint or a push promise may come before it.
        if message["type"] == "http.response.start":
            self.started = True
        await self._send(message)

    async def answer(self, answer: Answer) -> None:
        """Send an answer of ours instead of the app's."""
        self.held = []
        self.started = True
        headers = self._with_exposure(list(answer.headers))
        body = b"" if self._scope["method"] == "HEAD" else answer.body
        await self._send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

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
            headers = _with_nonce(message, self.caller, self._authenticator)
            message = {**message, "headers": headers}
        self.started = True
        await self._send(message)

    async def answer(self, answer: Answer) -> None:
        """Refuse the handshake: with status and headers where the server can, else by closing (HTTP 403)."""
        if not self._connected:
            await self.receive()
        self.started = True
        if "websocket.http.response" not in (self._scope.get("extensions") or {}):
            await self._send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": ""})
            return
        headers = list(answer.headers)
        await self._send({"type": "websocket.http.response.start", "status": answer.status, "headers": headers})
        await self._send({"type": "websocket.http.response.body", "body": answer.body})


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
