"""What a URI means, by hand: RFC 3986 §6.2.2 and §6.2.3, and nothing more.

Two URIs are the same when they mean the same. A meaning keeps octets that were escaped apart from those that were not.
"""

import re
from dataclasses import dataclass

_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# Not allowed in a path (RFC 3986 §3.3), but browsers send them unescaped: they mean the octet.
_AS_IF_ESCAPED = frozenset("[]|^")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_AS_HTTP = {"ws": "http", "wss": "https"}
_URI = re.compile(
    r"""
    (?P<scheme>https?|wss?)://
    (?P<host>\[[0-9a-f:.]+\]|[\w.~!$&'()*+,;=-]+)
    (?::(?P<port>[0-9]{0,5}))?
    (?P<path>/(?:[\w.~!$&'()*+,;=:@/\[\]|^-]|%[0-9a-f]{2})*)?
    (?:[?#].*)?
    """,
    # Only of ASCII letters the case is ignored: not of the Kelvin sign, which else would be a K.
    re.VERBOSE | re.ASCII | re.IGNORECASE | re.DOTALL,
)
_SPELLED = re.compile("%..|.")

# An octet, and whether it has to be written as an escape.
Octets = tuple[tuple[int, bool], ...]


@dataclass(frozen=True)
class Meaning:
    scheme: str
    host: str
    port: int
    path: tuple[Octets, ...]


def meaning(uri: str, *, websocket: bool = False) -> Meaning | None:
    """What an absolute http or https URI means, without query and fragment; `None` when it is none."""
    parts = _URI.fullmatch(uri)
    if parts is None:
        return None
    scheme = parts["scheme"].lower()
    scheme = _AS_HTTP.get(scheme, scheme) if websocket else scheme
    if scheme not in _DEFAULT_PORTS:
        return None
    port = int(parts["port"] or _DEFAULT_PORTS[scheme])
    segments = [tuple(map(_octet, _SPELLED.findall(part))) for part in (parts["path"] or "/").split("/")[1:]]
    return None if port > 65535 else Meaning(scheme, parts["host"].lower(), port, _without_dots(segments))


def _octet(spelled: str) -> tuple[int, bool]:
    if len(spelled) == 1:
        return ord(spelled), spelled in _AS_IF_ESCAPED
    octet = int(spelled[1:], 16)
    return octet, octet not in _UNRESERVED


_DOT: Octets = ((ord("."), False),)


def _without_dots(segments: list[Octets]) -> tuple[Octets, ...]:
    """RFC 3986 §5.2.4. A dot segment at the end leaves a slash behind."""
    kept: list[Octets] = []
    for number, segment in enumerate(segments, 1):
        is_dots = segment in (_DOT, _DOT * 2)
        if segment == _DOT * 2 and kept:
            kept.pop()
        if not is_dots:
            kept.append(segment)
        elif number == len(segments):
            kept.append(())
    return tuple(kept)
