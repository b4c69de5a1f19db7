"""Helpers for Starlette, and frameworks built on it."""

from starlette.requests import HTTPConnection

from dpop_asgi.asgi.app_scope import CALLER_KEY
from dpop_asgi.asgi.exception_handlers import rejection_handler
from dpop_asgi.core.caller import Caller

__all__ = ["caller_from", "rejection_handler"]


def caller_from(connection: HTTPConnection) -> Caller:
    """Who sent this request or opened this WebSocket.

    Raises:
        LookupError: If the path is public, or there is no `DPoPMiddleware` around the app.
    """
    caller = connection.scope.get(CALLER_KEY)
    if not isinstance(caller, Caller):
        msg = "no caller: this path is public, or there is no DPoPMiddleware around this app"
        raise LookupError(msg)
    return caller
