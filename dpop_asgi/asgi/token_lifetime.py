"""A stream or a WebSocket ends when its token does: `max_stream="token"`."""

import asyncio
import logging

from dpop_asgi.asgi.interface import ASGIApp, Message, Receive, Scope, Send
from dpop_asgi.asgi.responses import Responder
from dpop_asgi.core.options import require

logger: logging.Logger = logging.getLogger("dpop_asgi")

_POLICY_VIOLATION = 1008
_BEGINS = frozenset({"http.response.start", "websocket.accept"})
# Whole, whatever follows.
_WHOLE = frozenset({"websocket.close", "http.response.pathsend"})
_PARTS = frozenset({"http.response.body", "http.response.zerocopysend"})


class TokenLifetime:
    """Runs the app, and ends its response when the caller's token expires.

    The time runs from the beginning of the response to its last part, so slow handlers and background tasks go on.

    Args:
        app: the app.
        responder: knows the caller, and sends.
    """

    def __init__(self, app: ASGIApp, responder: Responder) -> None:
        self._app = app
        self._responder = responder
        self._timeout = asyncio.timeout(None)
        self._kind = ""
        # What was promised by Content-Length and not yet sent; `None` if nothing was promised.
        self._owed: int | None = None

    async def __call__(self, scope: Scope, receive: Receive, _: Send) -> None:
        """ASGI entry point."""
        try:
            async with self._timeout:
                await self._app(scope, receive, self._send)
        except TimeoutError:
            if not self._timeout.expired():
                raise
            logger.info("token_expired: a response that had begun was ended")
            await self._end()

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if kind in _BEGINS and not self._kind:
            self._begin(message)
        elif kind == "http.response.body" and self._owed is not None:
            self._owed -= len(message.get("body", b""))
        await self._responder.send(message)
        if kind in _WHOLE or (kind in _PARTS and not message.get("more_body")):
            self._kind = ""
            if not self._timeout.expired():
                self._timeout.reschedule(None)

    def _begin(self, message: Message) -> None:
        caller = self._responder.caller
        left = None if caller is None else self._responder.authenticator.seconds_left(caller)
        if left is None:
            return
        self._kind = message["type"]
        lengths = [value for name, value in message.get("headers", ()) if name.lower() == b"content-length"]
        self._owed = int(lengths[0]) if lengths else None
        self._timeout.reschedule(asyncio.get_running_loop().time() + left)

    async def _end(self) -> None:
        """Close a WebSocket, end a stream; a body of which a part is missing is left for the server to break off."""
        if self._kind == "websocket.accept":
            close = {"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": "token_expired"}
            await self._responder.send(close)
        elif self._kind and not self._owed:
            await self._responder.send({"type": "http.response.body", "body": b"", "more_body": False})


def require_max_stream(max_stream: object) -> bool:
    """Whether streams end with their tokens.

    Raises:
        ValueError: If it is neither `token` nor `None`; the message names `max_stream`.
    """
    require("max_stream", max_stream in ("token", None), "token, or None")
    return max_stream == "token"
