"""Reads a HAR file, or one entry of it, as browsers export and copy them (HAR 1.2)."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from dpop_asgi.cli.explain.message import Message
from dpop_asgi.cli.explain.reading.fields import Fields, request, response
from dpop_asgi.cli.unusable import Unusable


def read_har(document: Any) -> list[Message]:  # noqa: ANN401 - any JSON
    """The requests in it.

    Raises:
        Unusable: If it isn't a HAR file, an entry, or the request of one.
    """
    log = document.get("log") if isinstance(document, dict) else None
    entries: Any = log.get("entries") if isinstance(log, dict) else document
    entries = entries if isinstance(entries, list) else [entries]
    try:
        return [_message(entry, number, len(entries)) for number, entry in enumerate(entries, 1)]
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        raise Unusable("The input is JSON, but not a HAR file, nor an entry of one.") from None


def _message(entry: Any, number: int, count: int) -> Message:  # noqa: ANN401 - any JSON
    asked = entry.get("request", entry)
    source = "a HAR entry" if count == 1 else f"entry {number} of {count} in a HAR file"
    sent_at = entry.get("startedDateTime")
    read = request(
        source,
        str(asked["method"]),
        str(asked["url"]),
        _fields(asked),
        sent_at=datetime.fromisoformat(sent_at).timestamp() if sent_at else None,
    )
    if read.proofs and not read.authorizations:
        # Browsers leave it out, unless asked to export sensitive data.
        read = replace(read, authorizations=None)
    answered = entry.get("response") or {}
    status = int(answered.get("status") or 0)
    return replace(read, response=response(status, _fields(answered))) if status else read


def _fields(message: Any) -> Fields:  # noqa: ANN401 - any JSON
    """HTTP/2 pseudo-headers are left out."""
    pairs = [(str(each["name"]), str(each["value"])) for each in message["headers"]]
    return [(name, value) for name, value in pairs if not name.startswith(":")]
