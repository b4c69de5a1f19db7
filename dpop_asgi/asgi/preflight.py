"""CORS preflights (WHATWG Fetch §4.8): rejected by default, and guarded if the app has to handle them.

A preflight has no credentials, so it can only be recognized by its shape, and anyone can send that. An app that ignores
the method would run, and respond with data.
"""

import logging
import re
from collections.abc import Iterable
from functools import partial

from dpop_asgi.asgi.interface import ASGIApp, Headers, Message, Receive, Scope, Send
from dpop_asgi.core.options import require
from dpop_asgi.errors import DPoPError
from dpop_asgi.log import logger

_REQUEST_METHOD = b"access-control-request-method"
_REQUEST_HEADERS = b"access-control-request-headers"

# A serialized origin (RFC 6454 §6.2): scheme; a name of at most 253 characters (RFC 1035 §2.3.4), or an address; port.
_ORIGIN = re.compile(rb"null|[a-z][a-z0-9+.\-]{0,31}://(?:\[[0-9a-f:.]{2,45}\]|[a-z0-9._~\-]{1,253})(?::[0-9]{1,5})?")
# RFC 9110 §5.6.2 and §5.6.1. No method has 64 letters; 4 KB hold more header names than browsers send.
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_METHOD = re.compile(_TOKEN + rb"{1,64}")
_NAMES = re.compile(_TOKEN + rb"++(?:[ \t]*+,[ \t]*+" + _TOKEN + rb"++)*+")
_MAX_NAMES_BYTES = 4096

# A preflight never has credentials or a body, so a request with one of these isn't a preflight.
_NEVER_SENT = frozenset({b"authorization", b"proxy-authorization", b"dpop", b"cookie", b"transfer-encoding"})
_SENT_ONCE = frozenset({b"host", b"origin", _REQUEST_METHOD, _REQUEST_HEADERS, b"content-length"})
# All that a CORS policy depends on. Other headers don't reach the app: some change the method (X-HTTP-Method-Override).
_SHOWN = frozenset(
    {b"host", b"origin", _REQUEST_METHOD, _REQUEST_HEADERS}
    | {b"access-control-request-private-network", b"access-control-request-local-network"}
    | {b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-proto"}
)

_OUTSIDE = (
    ". CORSMiddleware belongs outside and responds to it there, so add it after DPoPMiddleware;"
    ' preflights="pass" is for apps that have to respond themselves'
)
_WITHOUT_EFFECT = (
    'refuse with protect="routes", unless paths are in require: nothing is asked before the app runs. CORSMiddleware'
    " belongs outside, added after DPoPMiddleware"
)
_MALFORMED = ", but it is malformed, or has credentials or a body"

_SUCCESS = range(200, 300)
_NO_CONTENT = 204
_FORBIDDEN = 403


class Preflights:
    """Passes preflights to the app, if configured; if not, the log says how to handle them.

    Args:
        preflights: `pass` passes them to the app, `refuse` doesn't.
        asks: whether the middleware asks for credentials before the app runs. If not, there is nothing to pass.

    Raises:
        ValueError: If it is something else, or would have no effect.
    """

    def __init__(self, preflights: str, *, asks: bool) -> None:
        require("preflights", preflights in {"refuse", "pass"}, "refuse or pass")
        self._passed = preflights == "pass"
        require("preflights", asks or not self._passed, _WITHOUT_EFFECT)
        self._level = logging.WARNING

    def guard(self, app: ASGIApp, scope: Scope) -> ASGIApp | None:
        """The app behind a guard, if `scope` is a preflight to pass to it; else `None`."""
        if scope.get("method") != "OPTIONS" or scope["type"] != "http":
            return None
        names = {name for name, _ in scope["headers"]}
        if b"origin" not in names or _REQUEST_METHOD not in names or b"authorization" in names:
            return None
        if self._passed and is_well_formed(scope["headers"]):
            return partial(_pass_on, app)
        self._explain()
        return None

    def _explain(self) -> None:
        """Log a warning, since scripts on other origins are blocked. Only once, since anyone can trigger it."""
        level, self._level = self._level, logging.INFO
        logger.log(level, "This request looks like a CORS preflight%s", _MALFORMED if self._passed else _OUTSIDE)


async def _pass_on(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Show the app only what a CORS policy depends on, and send only a CORS policy back."""
    guard = _ResponseGuard(send)
    shown = {**scope, "query_string": b"", "headers": [pair for pair in scope["headers"] if pair[0] in _SHOWN]}
    if scope.get("raw_path"):
        shown["raw_path"] = scope["raw_path"].partition(b"?")[0]
    try:
        await app(shown, _without_body(receive), guard.send)
    except DPoPError:
        if guard.started:
            raise
        await guard.start(_FORBIDDEN, [])


def is_well_formed(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether these are a preflight's headers (WHATWG Fetch §3.3.2, §4.8), without credentials or a body."""
    values: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _NEVER_SENT or (name in values and name in _SENT_ONCE):
            return False
        values[name] = value
    asked = values.get(_REQUEST_HEADERS)
    return (
        values.get(b"content-length", b"0") == b"0"
        and _ORIGIN.fullmatch(values.get(b"origin", b"")) is not None
        and _METHOD.fullmatch(values.get(_REQUEST_METHOD, b"")) is not None
        and (asked is None or (len(asked) <= _MAX_NAMES_BYTES and _NAMES.fullmatch(asked) is not None))
    )


def _without_body(receive: Receive) -> Receive:
    """An empty body, then nothing until the client disconnects (HTTP/2 requests can have an unannounced body)."""
    done = False

    async def empty() -> Message:
        nonlocal done
        if not done:
            done = True
            return {"type": "http.request", "body": b"", "more_body": False}
        while (message := await receive())["type"] != "http.disconnect":
            pass
        return message

    return empty


class _ResponseGuard:
    """Sends only success statuses and CORS headers, without a body; anything else becomes an empty 403."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False

    async def send(self, message: Message) -> None:
        """The `send` for the app."""
        if message["type"] != "http.response.start" or self.started:
            return
        if message["status"] in _SUCCESS:
            await self.start(message["status"], [pair for pair in message.get("headers", ()) if _is_of_cors(pair[0])])
        else:
            await self.start(_FORBIDDEN, [])

    async def start(self, status: int, headers: Headers) -> None:
        """Send the whole response."""
        self.started = True
        if status != _NO_CONTENT:  # RFC 9110 §8.6
            headers = [*headers, (b"content-length", b"0")]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": b""})


def _is_of_cors(name: bytes) -> bool:
    return name.lower().startswith(b"access-control-") or name.lower() == b"vary"
