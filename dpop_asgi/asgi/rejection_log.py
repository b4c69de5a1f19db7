"""Logs why a request is rejected, and which request it is."""

import logging
from collections.abc import Awaitable, Callable
from urllib.parse import quote

from dpop_asgi.asgi.interface import Scope
from dpop_asgi.asgi.log_warnings import LogWarnings
from dpop_asgi.core.challenge import ErrorResponse, unavailable
from dpop_asgi.errors import DPoPError, Facts, Reason, Refusal

logger: logging.Logger = logging.getLogger("dpop_asgi")

# Clients choose what is logged: it is cut, and percent-encoded where it isn't printable ASCII.
_LONGEST = 200
_PRINTABLE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in "\"\\'<>`=")

# How each client's first conversation begins.
_ORDINARY = frozenset({Reason.NONCE_MISSING})


class RejectionLog:
    """Logs rejections at the level that fits: handshakes at `DEBUG`, what an operator should see at `WARNING`."""

    def __init__(self) -> None:
        self._warnings = LogWarnings()

    async def response_to(
        self,
        error: DPoPError,
        scope: Scope,
        render: Callable[[Refusal], Awaitable[ErrorResponse]],
        *,
        client_id: str | None = None,
    ) -> ErrorResponse:
        """Log `error`, and render the response to it: 503 if the store or the issuer is unavailable.

        Args:
            error: why the request is rejected.
            scope: of the request.
            render: renders a rejection. If the store can't tell the nonce for it, the response is 503.
            client_id: of the verified token.
        """
        if isinstance(error, Refusal):
            self._log_refusal(error, scope, client_id)
            try:
                return await render(error)
            except DPoPError as store_error:
                error = store_error
        _log(logging.INFO, "unavailable: %s%s%s%s", (error, "", ""), scope, client_id)
        return unavailable()

    def _log_refusal(self, refusal: Refusal, scope: Scope, client_id: str | None) -> None:
        reason, advice = refusal.reason, self._warnings.about(refusal)
        level = logging.WARNING if advice else logging.DEBUG if reason in _ORDINARY else logging.INFO
        # Truncated: the facts may contain two URIs of 8 KB, and many collectors drop or split lines over 2 KB.
        parts = reason.value, refusal.facts, advice
        _log(level, "rejected: %s%s%.1000s%s", parts, scope, client_id, dpop_reason=reason.value)


def _log(
    level: int, message: str, parts: tuple[object, ...], scope: Scope, client_id: str | None, **extra: object
) -> None:
    """Log the `parts`, and after the first of them which request it is; in attributes of the record, too."""
    if not logger.isEnabledFor(level):
        return
    request = {name: _printable(value) for name, value in _described(scope, client_id).items() if value}
    extra |= {f"dpop_{name}": request.get(name) for name in ("client", "path", "peer")}
    logger.log(level, message, parts[0], Facts(request), *parts[1:], extra=extra)


def _described(scope: Scope, client_id: str | None) -> dict[str, str | bytes | None]:
    """What is known of a request besides its credentials; the path without the query, which may have secrets in it."""
    peer = scope.get("client")
    path = scope.get("raw_path") or scope.get("path", "")
    end = b"?" if isinstance(path, bytes) else "?"
    return {"client": client_id, "path": path.partition(end)[0], "peer": peer[0] if peer else None}


def _printable(value: str | bytes) -> str:
    beginning = value[:_LONGEST]
    text = beginning if isinstance(beginning, bytes) else beginning.encode("utf-8", "surrogatepass")
    return quote(text, safe=_PRINTABLE)[:_LONGEST]
