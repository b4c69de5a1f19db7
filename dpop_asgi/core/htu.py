"""When are two target URIs the same?

RFC 9449 §4.3 item 9, with the normalisation of RFC 3986 §6.2.2 and §6.2.3: case of scheme and host, default port,
percent-encoding of unreserved characters, dot segments, empty path. Nothing else is folded.
"""

import re
from functools import lru_cache
from ipaddress import ip_address

_AUTHORITY = re.compile(
    r"(?P<host>\[[0-9a-f:.]+\]|[a-z0-9\-._~!$&'()*+,;=]+)(?::(?P<port>[0-9]{0,5}))?", re.IGNORECASE | re.ASCII
)
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# RFC 3986 §3.3, without the percent sign.
_PLAIN = "".join(_UNRESERVED).encode() + b"!$&'()*+,;=:@/"
_HEX = "0123456789ABCDEFabcdef"
_DOT_SEGMENT = re.compile(r"/(?:\.|%2[Ee]){1,2}(?:[/#]|\Z)")


def _normal_escape(digits: str) -> str:
    character = chr(int(digits, 16))
    return character if character in _UNRESERVED else f"%{digits}".upper()


# The normal form of each escape, by its two digits: a table keeps long URIs of nothing but escapes cheap.
_NORMAL_ESCAPES: dict[str, str] = {high + low: _normal_escape(high + low) for high in _HEX for low in _HEX}
# Not allowed in a path, but browsers send them unescaped: compared as their escapes.
_ESCAPED = {"[": "%5B", "]": "%5D", "|": "%7C", "^": "%5E"}
_ODD = b"%" + "".join(_ESCAPED).encode()
_DEFAULT_PORTS = {"http": 80, "https": 443}
_WEBSOCKET_SCHEMES = {"ws": "http", "wss": "https"}
_LONGEST_SCHEME = len("https")
_MAX_PORT = 65535
# A name of 253 characters (RFC 1035 §2.3.4), the dot behind it, and a port. Rejections log the host.
_MAX_AUTHORITY = 260

# Every character, escape and segment takes time, before any signature was verified. Longer paths are compared as they
# are.
_LONGEST_PATH = 1024
_MOST_STEPS = 64

# One entry per distinct path of an API. Anyone can send long ones: they are not cached, so that the cache stays under
# 4 MB.
CACHED_URIS = 1024
CACHED_LENGTH = 1024
# There are few hosts; anyone can send others, of at most 260 characters.
CACHED_HOSTS = 256


def normalise(uri: str, *, websocket: bool = False) -> str | None:
    """The URI in normal form, without query and fragment.

    A path of more than 1,024 characters, of more than 64 escapes, or with dot segments and more than 64 slashes, is
    left as it is: it only matches a path that is spelled alike.

    Args:
        uri: the client's, or the server's own.
        websocket: whether `wss` counts as `https` and `ws` as `http`.

    Returns:
        `None` if it isn't an absolute http or https URI, or has userinfo or characters outside RFC 3986.
    """
    if len(uri) > CACHED_LENGTH:
        uri = uri.partition("?")[0].partition("#")[0]
    return (_cached if len(uri) <= CACHED_LENGTH else _normalise)(uri, websocket)


def _normalise(uri: str, websocket: bool) -> str | None:  # noqa: FBT001 - one name for both readers
    scheme, _, rest = uri.partition("?")[0].partition("#")[0].partition("://")
    if len(scheme) > _LONGEST_SCHEME:
        return None
    scheme = scheme.lower()
    if websocket:
        scheme = _WEBSOCKET_SCHEMES.get(scheme, scheme)
    authority, slash, path = rest.partition("/")
    host = normalise_authority(authority, scheme)
    normal_path = normalise_path(slash + path)
    if host is None or normal_path is None:
        return None
    return f"{scheme}://{host}{normal_path}"


_cached = lru_cache(CACHED_URIS)(_normalise)


def normalise_authority(authority: str, scheme: str) -> str | None:
    """Host in lower case, port only if it isn't the default of `scheme`; `None` if malformed."""
    return _cached_authority(authority, scheme) if len(authority) <= _MAX_AUTHORITY else None


@lru_cache(CACHED_HOSTS)
def _cached_authority(authority: str, scheme: str) -> str | None:
    match = _AUTHORITY.fullmatch(authority)
    if match is None or scheme not in _DEFAULT_PORTS:
        return None
    host, port = match["host"].lower(), match["port"]
    if not port or int(port) == _DEFAULT_PORTS[scheme]:
        return host
    return f"{host}:{int(port)}" if int(port) <= _MAX_PORT else None


def normalise_path(path: str) -> str | None:
    """Escapes of unreserved characters decoded, others in upper case, dot segments removed.

    Args:
        path: empty, or one that starts with a slash.

    Returns:
        `None` if it is malformed; the path as it is if it is too long or takes too many steps.
    """
    try:
        odd = path.encode("ascii").translate(None, _PLAIN)
        if odd.translate(None, _ODD):
            return None
        if len(path) > _LONGEST_PATH or len(odd) > _MOST_STEPS:
            return path
        normal = _with_normal_escapes(path) if odd else path
    except (UnicodeEncodeError, KeyError):
        return None
    if "/." in normal:
        segments = normal.split("/", _MOST_STEPS + 1)[1:]
        return path if len(segments) > _MOST_STEPS else _without_dot_segments(segments)
    return normal or "/"


def _with_normal_escapes(path: str) -> str:
    first, *escaped = path.split("%")
    path = first + "".join([_NORMAL_ESCAPES[part[:2]] + part[2:] for part in escaped])
    for character, escape in _ESCAPED.items():
        # Looking for a character is much cheaper than replacing one that isn't there.
        if character in path:
            path = path.replace(character, escape)
    return path


def _without_dot_segments(segments: list[str]) -> str:
    """RFC 3986 §5.2.4."""
    kept: list[str] = []
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in {".", ".."}:
        kept.append("")
    return "/" + "/".join(kept)


def has_dot_segments(uri: str) -> bool:
    """Whether the path of a URI has dot segments (RFC 3986 §3.3), escaped or not."""
    return ("/." in uri or "/%2" in uri) and _DOT_SEGMENT.search(uri.partition("?")[0]) is not None


def doubled_prefix(expected: str, received: str) -> str:
    """The start of the path that is duplicated in `expected` but not in `received`, both normal; or empty."""
    path = received[received.find("/", len("https://")) :]
    prefix = expected[expected.find("/", len("https://")) :].removesuffix(path)
    return prefix if expected.endswith(path) and f"{path}/".startswith(f"{prefix}/") else ""


@lru_cache(CACHED_HOSTS)
def is_loopback(host: str) -> bool:
    """Whether a host, without port, is this machine: `localhost`, or a loopback address with or without brackets."""
    try:
        return host == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
