"""What a URI means, by hand: RFC 3986 §6.2.2 and §6.2.3, and nothing more.

Two URIs are the same when they mean the same. A meaning keeps octets that were escaped apart from those that were not.
"""

from dataclasses import dataclass

_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_SUB_DELIMS = frozenset(b"!$&'()*+,;=")
_IN_PATH = _UNRESERVED | _SUB_DELIMS | frozenset(b":@/")
# Not allowed in a path (RFC 3986 §3.3), but browsers send them unescaped: they mean the octet.
_AS_IF_ESCAPED = frozenset(b"[]|^")
_IN_HOST = _UNRESERVED | _SUB_DELIMS
_IN_ADDRESS = frozenset(b"0123456789abcdefABCDEF:.")
_HEX = frozenset(b"0123456789abcdefABCDEF")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_AS_HTTP = {"ws": "http", "wss": "https"}

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
    scheme, colon, rest = uri.partition(":")
    scheme = _lower(scheme)
    scheme = _AS_HTTP.get(scheme, scheme) if websocket else scheme
    if not colon or not rest.startswith("//") or scheme not in _DEFAULT_PORTS:
        return None
    hierarchy = rest[2:].split("#")[0].split("?")[0]
    authority, slash, path = hierarchy.partition("/")
    host = _host(authority, _DEFAULT_PORTS[scheme])
    segments = _segments(slash + path)
    return None if host is None or segments is None else Meaning(scheme, *host, segments)


def _lower(text: str) -> str:
    """Of ASCII letters only: `str.lower` would make a K of the Kelvin sign."""
    return "".join(chr(ord(letter) + 32) if "A" <= letter <= "Z" else letter for letter in text)


def _octets(text: str) -> bytes | None:
    return text.encode() if text.isascii() else None


def _host(authority: str, default_port: int) -> tuple[str, int] | None:
    raw = _octets(authority)
    if raw is None:
        return None
    if raw.startswith(b"["):
        name, bracket, port = raw.partition(b"]")
        known = bool(bracket) and len(name) > 1 and _IN_ADDRESS.issuperset(name[1:])
        name += bracket
        if port and not port.startswith(b":"):
            return None
        port = port[1:]
    else:
        name, _, port = raw.partition(b":")
        known = bool(name) and _IN_HOST.issuperset(name)
    number = _port(port, default_port)
    return (_lower(name.decode()), number) if known and number is not None else None


def _port(digits: bytes, default: int) -> int | None:
    if not digits:
        return default
    if not digits.isdigit() or len(digits) > 5 or int(digits) > 65535:
        return None
    return int(digits)


def _segments(path: str) -> tuple[Octets, ...] | None:
    raw = _octets(path)
    if raw is None:
        return None
    segments: list[Octets] = []
    for part in raw.split(b"/")[1:] or [b""]:
        octets = _meant(part)
        if octets is None:
            return None
        segments.append(octets)
    return _without_dots(segments)


_PLAIN = [(octet, octet in _AS_IF_ESCAPED) for octet in range(256)]


def _meant(segment: bytes) -> Octets | None:
    if (_IN_PATH | _AS_IF_ESCAPED).issuperset(segment):
        return tuple(map(_PLAIN.__getitem__, segment))
    octets: list[tuple[int, bool]] = []
    place = 0
    while place < len(segment):
        octet, escaped = segment[place], segment[place] in _AS_IF_ESCAPED
        place += 1
        if octet == ord("%"):
            digits = segment[place : place + 2]
            if len(digits) != 2 or not _HEX.issuperset(digits):
                return None
            octet, place = int(digits, 16), place + 2
            escaped = octet not in _UNRESERVED
        elif octet not in _IN_PATH and not escaped:
            return None
        octets.append((octet, escaped))
    return tuple(octets)


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
