"""Logs why a request is rejected, and which request it is."""

import logging
from urllib.parse import quote

from dpop_asgi.asgi.interface import Scope
from dpop_asgi.asgi.log_warnings import NOTEWORTHY, LogWarnings
from dpop_asgi.errors import DPoPError, Facts, Reason, Refusal
from dpop_asgi.log import logger

# Clients choose what is logged: it is cut, and percent-encoded where it isn't printable ASCII.
_LONGEST = 200
_PRINTABLE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in "\"\\'<>`=")

# How each client's first conversation begins.
_ORDINARY = frozenset({Reason.NONCE_MISSING})


class RejectionLog:
    """Logs rejections at the level that fits: handshakes at `DEBUG`, what an operator should see at `WARNING`."""

    def __init__(self) -> None:
        self._warnings = LogWarnings()

    def rejected(self, refusal: Refusal, scope: Scope, client_id: str | None = None) -> None:
        """Log why a request is rejected.

        Args:
            refusal: why.
            scope: of the request.
            client_id: of the verified token.
        """
        reason = refusal.reason
        advice = self._warnings.about(refusal) if reason in NOTEWORTHY else ""
        level = logging.WARNING if advice else logging.DEBUG if reason in _ORDINARY else logging.INFO
        if logger.isEnabledFor(level):
            # Truncated: the facts may contain two URIs of 8 KB, and many collectors drop or split lines over 2 KB.
            parts = reason.value, refusal.facts, advice
            _log(level, "rejected: %s%s%.1000s%s", parts, scope, client_id, dpop_reason=reason.value)

    def unavailable(self, error: DPoPError, scope: Scope, client_id: str | None = None) -> None:
        """Log that a request gets a 503. Arguments as above."""
        if logger.isEnabledFor(logging.INFO):
            _log(logging.INFO, "unavailable: %s%s", (error,), scope, client_id)


def _log(
    level: int, message: str, parts: tuple[object, ...], scope: Scope, client_id: str | None, **extra: object
) -> None:
    """Log the `parts`, and after the first of them which request it is; in attributes of the record, too."""
    request = {name: _printable(value) for name, value in _described(scope, client_id).items() if value}
    extra |= {f"dpop_{name}": request.get(name) for name in ("client", "path", "peer")}
    logger.log(level, message, parts[0], Facts(request), *parts[1:], extra=extra)


def _described(scope: Scope, client_id: str | None) -> dict[str, str | bytes | None]:
    """What is known of a request besides its credentials; the path without the query, which may have secrets in it."""
    peer = scope.get("client")
    path = scope.get("raw_path") or scope.get("path", "")
    end = b"?" if isinstance(path, bytes) else "?"
    # A custom verifier may call a client by a number: the log must not fail.
    client = None if client_id is None else str(client_id)
    return {"client": client, "path": path.partition(end)[0], "peer": peer[0] if peer else None}


def _printable(value: str | bytes) -> str:
    beginning = value[:_LONGEST]
    text = beginning if isinstance(beginning, bytes) else beginning.encode("utf-8", "surrogatepass")
    return quote(text, safe=_PRINTABLE)[:_LONGEST]
