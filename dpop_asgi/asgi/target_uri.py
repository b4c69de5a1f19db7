"""Which URI did the client ask for, behind which proxies?

Only the path below the public URL ever comes from the request unasked. The path is `raw_path`: the decoded `path`
cannot tell `/a%2Fb` from `/a/b`. Host and forwarding fields are hostile until configuration says otherwise.
"""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from urllib.parse import quote, urlsplit

from dpop_asgi.asgi.proxies import Proxies, Scope, rfc7239, x_forwarded
from dpop_asgi.core.htu import CACHED_LENGTH, CACHED_URIS, is_loopback, normalise, normalise_authority
from dpop_asgi.errors import InvalidRequest, Reason

TargetURI = Callable[[Scope], str]

# What RFC 3986 §3.3 lets stand in a path unescaped, for servers that hand over no raw_path.
_PATH_SAFE = "/:@!$&'()*+,;=-._~"
# A proof of at most 8 KB could not name a longer one.
_MAX_TARGET_BYTES = 8192
_ABSOLUTE_FORM = re.compile(rb"https?://([^/?#]*)", re.IGNORECASE)
_HTTP_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
_PORT = re.compile(r":\d+$")
_FORWARDED_MODES = ("x-forwarded", "forwarded")


def path_of(scope: Scope) -> str:
    """The path as sent, without query; of an absolute-form target (RFC 9112 §3.2.2) what follows the authority.

    Raises:
        InvalidRequest: when there is no path.
    """
    raw: bytes = scope.get("raw_path") or _quoted(scope["path"])
    raw = raw.partition(b"?")[0]
    return (_cached_path if len(raw) <= CACHED_LENGTH else _path)(raw)


def _path(raw: bytes) -> str:
    # A fragment is never sent (RFC 9112 §3.2); a URI parser would cut off what stands behind it.
    if len(raw) > _MAX_TARGET_BYTES or b"#" in raw:
        raise InvalidRequest(Reason.TARGET_MALFORMED, size=len(raw))
    absolute = _ABSOLUTE_FORM.match(raw)
    if absolute is not None:
        raw = raw[absolute.end() :] or b"/"
    if not raw.startswith(b"/"):
        raise InvalidRequest(Reason.TARGET_MALFORMED)
    return raw.decode("latin-1")


def _quoted(path: str) -> bytes:
    return quote(path, safe=_PATH_SAFE, errors="surrogateescape").encode("ascii")


_cached_path = lru_cache(CACHED_URIS)(_path)


class PublicURL:
    """The URI below one public URL, or below the one of several whose host the request names.

    Args:
        urls: absolute URLs: origin, and the path prefix that a proxy strips.

    Raises:
        ValueError: naming `public_url`, when one is not an https URL (http for hosts of this machine) without query,
            or two share a host.
    """

    def __init__(self, urls: str | Iterable[str]) -> None:
        given = (urls,) if isinstance(urls, str) else tuple(urls)
        self._bases = {_host_of(url): _base(url) for url in given}
        if len(self._bases) != len(given) or not given:
            msg = "public_url: give at least one, and one per host"
            raise ValueError(msg)
        self._only = next(iter(self._bases.values())) if len(given) == 1 else None

    def __call__(self, scope: Scope) -> str:
        """See `TargetURI`."""
        if self._only is not None:
            return self._only + path_of(scope)
        host = _host(scope, "https")
        base = self._bases.get(host) or self._bases.get(_host(scope, "http"))
        if base is None:
            raise InvalidRequest(Reason.HOST_NOT_ALLOWED, host=host)
        return base + path_of(scope)


class RequestURL:
    """The URI from the request itself: Host, and what trusted proxies say in forwarding fields.

    It is an https URI for every host but those of this machine. A path prefix is never believed: proxies pass
    `X-Forwarded-Prefix` of clients on, and nothing could tell it from their own. `PublicURL` has one.

    Args:
        allowed_hosts: `host` or `host:port` names that are served; without any, only hosts of this machine.
        trusted_proxies: networks (`10.0.0.0/8`), addresses, or `unix` for a server on a Unix socket.
        forwarded: which fields these proxies set: `x-forwarded` (-Proto, -Host) or `forwarded` (RFC 7239).

    Raises:
        ValueError: naming the option that is wrong.
    """

    def __init__(
        self, *, allowed_hosts: Iterable[str] = (), trusted_proxies: Iterable[str] = (), forwarded: str = "x-forwarded"
    ) -> None:
        for option, given in (("allowed_hosts", allowed_hosts), ("trusted_proxies", trusted_proxies)):
            if isinstance(given, str) or not isinstance(given, Iterable):
                msg = f"{option}: {given!r} is not a list"
                raise ValueError(msg)
        self._allowed = frozenset(_allowed_host(name) for name in allowed_hosts)
        self._proxies = Proxies(trusted_proxies)
        if forwarded not in _FORWARDED_MODES:
            msg = f"forwarded: {forwarded!r} is none of {', '.join(_FORWARDED_MODES)}"
            raise ValueError(msg)
        self.is_configured: bool = bool(self._allowed) or self._proxies.any
        self._read = x_forwarded if forwarded == "x-forwarded" else rfc7239

    def __call__(self, scope: Scope) -> str:
        """See `TargetURI`."""
        said = self._read(scope, self._proxies) if self._proxies.trust(_peer(scope)) else {}
        scheme = _HTTP_SCHEMES.get(str(said.get("proto") or scope.get("scheme", "http")).lower())
        if scheme is None:
            raise InvalidRequest(Reason.FORWARDED_MALFORMED)
        host = normalise_authority(said["host"], "https") if "host" in said else _host(scope, "https")
        if host is None:
            raise InvalidRequest(Reason.FORWARDED_MALFORMED)
        if not self._serves(host):
            raise InvalidRequest(Reason.HOST_NOT_ALLOWED, host=host)
        # RFC 9449 §2: https. A proxy that ends TLS without saying so changes nothing about what the client asked for.
        return f"{scheme if _is_loopback(host) else 'https'}://{host}{path_of(scope)}"

    def _serves(self, host: str) -> bool:
        return host in self._allowed if self._allowed else _is_loopback(host)


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0] or "") if client else ""


def _host(scope: Scope, scheme: str) -> str:
    absolute = _ABSOLUTE_FORM.match(scope.get("raw_path") or b"")
    hosts = [absolute[1]] if absolute else [value for name, value in scope["headers"] if name == b"host"]
    host = normalise_authority(hosts[0].decode("latin-1"), scheme) if len(hosts) == 1 else None
    if host is None:
        raise InvalidRequest(Reason.HOST_MALFORMED)
    return host


def _base(url: str) -> str:
    base = normalise(url)
    if (
        base is None
        or "?" in url
        or "#" in url
        or not (base.startswith("https:") or _is_loopback(urlsplit(base).netloc))
    ):
        msg = f"public_url: {url!r} is not an https URL without query; http is for this machine only (RFC 9449 §2)"
        raise ValueError(msg)
    return base.rstrip("/")


def _host_of(url: str) -> str:
    return urlsplit(_base(url)).netloc


def _allowed_host(name: str) -> str:
    host = normalise_authority(name, "https")
    if host is None or normalise_authority(name, "http") is None:
        msg = f"allowed_hosts: {name!r} is not a host, or host:port"
        raise ValueError(msg)
    return host


def _is_loopback(authority: str) -> bool:
    return is_loopback(_PORT.sub("", authority))
