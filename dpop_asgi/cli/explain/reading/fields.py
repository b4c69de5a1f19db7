"""From the headers of a request and its response to what matters of them."""

import re
from email.utils import parsedate_to_datetime

from dpop_asgi.cli.explain.message import Message, Response
from dpop_asgi.core.htu import is_loopback

Fields = list[tuple[str, str]]

# Unexpanded in a command: the shell would have replaced it, or what another command prints.
SHELL_VARIABLE: re.Pattern[str] = re.compile(r"\$[\w{(]|`|%\w+%\Z")
_PARAMETER = r'(?:^|[ ,]){name}="([^"]*)"'
_WEBSOCKET_SCHEMES = {"ws": "http", "wss": "https"}


def values(fields: Fields, name: str) -> tuple[str, ...]:
    """The values of a header, each with the white space around it removed."""
    return tuple(value.strip() for known, value in fields if known.lower() == name)


def first(fields: Fields, name: str) -> str | None:
    """The first value of a header."""
    return next(iter(values(fields, name)), None)


def request(source: str, method: str | None, url: str | None, fields: Fields, **others: object) -> Message:
    """A request with these headers; `others` are attributes of `Message`."""
    scheme, separator, rest = (url or "").partition("://")
    websocket = scheme.lower() in _WEBSOCKET_SCHEMES or (first(fields, "upgrade") or "").lower() == "websocket"
    proofs, authorizations = values(fields, "dpop"), values(fields, "authorization")
    return Message(
        source=source,
        method=method,
        url=f"{_WEBSOCKET_SCHEMES.get(scheme.lower(), scheme)}://{rest}" if separator else None,
        websocket=websocket,
        authorizations=None if _are_unknown(authorizations) else authorizations,
        proofs=None if _are_unknown(proofs) else proofs,
        **others,  # type: ignore[arg-type]
    )


def _are_unknown(given: tuple[str, ...]) -> bool:
    return any(SHELL_VARIABLE.search(value) for value in given)


def response(status: int, fields: Fields) -> Response:
    """A response with these headers."""
    challenges = " ".join(values(fields, "www-authenticate"))
    return Response(
        status=status,
        error=_parameter("error", challenges),
        description=_parameter("error_description", challenges),
        nonce=first(fields, "dpop-nonce"),
        date=_seconds(first(fields, "date")),
    )


def url_of(target: str, host: str | None, scheme: str | None) -> tuple[str | None, bool]:
    """The absolute URL of a request line, and whether its scheme is assumed as the middleware assumes it."""
    if re.match(r"https?://", target, re.IGNORECASE):
        return target, False
    if host is None:
        return None, False
    if scheme is None:
        name = re.sub(r":\d*$", "", host).lower()
        return f"{'http' if is_loopback(name) else 'https'}://{host}{target}", True
    return f"{scheme}://{host}{target}", False


def _parameter(name: str, challenges: str) -> str | None:
    found = re.search(_PARAMETER.format(name=name), challenges)
    return found[1] if found else None


def _seconds(date: str | None) -> float | None:
    try:
        return None if date is None else parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None
