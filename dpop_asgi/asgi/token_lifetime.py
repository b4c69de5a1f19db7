"""A stream or a WebSocket ends when its token does: `max_stream="token"`."""

import asyncio
from functools import partial

from dpop_asgi.asgi.gate import Gate
from dpop_asgi.asgi.interface import ASGIApp, Message, Receive, Scope, Send
from dpop_asgi.core.options import require
from dpop_asgi.log import logger

_POLICY_VIOLATION = 1008
_BEGINS = frozenset({"http.response.start", "websocket.accept"})
# Whole, whatever follows.
_WHOLE = frozenset({"websocket.close", "http.response.pathsend"})
_PARTS = frozenset({"http.response.body", "http.response.zerocopysend"})


class TokenLifetime:
    """Runs the app, and ends its response when the caller's token expires.

    The time runs from the beginning of the response to its last part, so slow handlers and background tasks go on. A
    route may ask for the caller after its response has begun.

    Args:
        app: the app.
        gate: knows the caller.
    """

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self._app = app
        self._gate = gate
        self._timeout = asyncio.timeout(None)
        self._kind = ""
        # What was promised by Content-Length and not yet sent; `None` if nothing was promised.
        self._owed: int | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry point."""
        if self._gate.caller is None:
            self._gate.when_accepted = self._limit
        try:
            async with self._timeout:
                await self._app(scope, receive, partial(self._send, send))
        except TimeoutError:
            if not self._timeout.expired():
                raise
            await self._end(send)
        finally:
            self._gate.when_accepted = None  # it refers to the gate

    async def _send(self, send: Send, message: Message) -> None:
        if self._timeout.expired():
            # The app was asked to end, and goes on.
            await self._end(send)
            return
        kind = message["type"]
        if kind in _BEGINS and not self._kind:
            self._kind = kind
            lengths = [value for name, value in message.get("headers", ()) if name.lower() == b"content-length"]
            self._owed = int(lengths[0]) if lengths else None
            self._limit()
        elif kind == "http.response.body" and self._owed is not None:
            self._owed -= len(message.get("body", b""))
        await send(message)
        if kind in _WHOLE or (kind in _PARTS and not message.get("more_body")):
            self._kind = ""
            if not self._timeout.expired():
                self._timeout.reschedule(None)

    def _limit(self) -> None:
        """Let the time run, once a response has begun and its caller is known."""
        caller = self._gate.caller
        left = None if caller is None or not self._kind else self._gate.authenticator.seconds_left(caller)
        if left is not None:
            self._timeout.reschedule(asyncio.get_running_loop().time() + left)

    async def _end(self, send: Send) -> None:
        """Close a WebSocket, end a stream; a body of which a part is missing is left for the server to break off."""
        kind, self._kind = self._kind, ""
        if kind:
            logger.info("token_expired: a response that had begun was ended")
        if kind == "websocket.accept":
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": "token_expired"})
        elif kind and not self._owed:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def require_max_stream(max_stream: object) -> bool:
    """Whether streams end with their tokens.

    Raises:
        ValueError: If it is neither `token` nor `None`; the message names `max_stream`.
    """
    require("max_stream", max_stream in ("token", None), "token, or None")
    return max_stream == "token"
