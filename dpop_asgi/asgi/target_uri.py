"""Which URI did the client ask for, behind which proxies?

Only the path below the public URL ever comes from the request unasked. Host and forwarding fields are hostile until
configuration says otherwise.
"""

import logging
import re
from collections.abc import Callable, Collection, Iterable
from urllib.parse import urlsplit

from dpop_asgi.asgi.forwarded import Proxies, Scope, rfc7239, x_forwarded
from dpop_asgi.asgi.request_path import ABSOLUTE_FORM, path_of
from dpop_asgi.core.htu import is_loopback, normalise, normalise_authority
from dpop_asgi.core.options import host_names
from dpop_asgi.errors import InvalidRequest, Reason

logger: logging.Logger = logging.getLogger("dpop_asgi")

TargetURI = Callable[[Scope], str]

_HTTP_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
_SCHEMES = ("https", "http")
_PORT = re.compile(r":\d*$")
_PORT_LOST = (
    "this host is served with another port: the proxy has to pass on the port that the client used "
    "(nginx: proxy_set_header Host $http_host), or set public_url"
)
_FORWARDED_MODES = ("x-forwarded", "forwarded")


class PublicURL:
    """The URI below one public URL, or below the one of several whose host the request names.

    Args:
        urls: absolute URLs: origin, and the path prefix that a proxy strips.
        insecure_http_hosts: hosts that may have plain http, besides this machine.

    Raises:
        ValueError: naming `public_url`, when one is not an https URL (http for hosts of this machine) without query,
            or two share a host.
    """

    def __init__(self, urls: str | Iterable[str], *, insecure_http_hosts: Iterable[str] = ()) -> None:
        given = (urls,) if isinstance(urls, str) else tuple(urls)
        insecure = host_names("insecure_http_hosts", insecure_http_hosts)
        bases = [_base(url, insecure) for url in given]
        self._bases = {urlsplit(base).netloc: base for base in bases}
        if len(self._bases) != len(given) or not given:
            msg = "public_url: give at least one, and one per host"
            raise ValueError(msg)
        self._only = next(iter(self._bases.values())) if len(given) == 1 else None

    def __call__(self, scope: Scope) -> str:
        """See `TargetURI`."""
        if self._only is not None:
            return self._only + path_of(scope)
        named = _authority(scope)
        for scheme in _SCHEMES:
            base = self._bases.get(_normal_host(named, scheme), "")
            if base.startswith(f"{scheme}:"):
                return base + path_of(scope)
        raise _not_served(_normal_host(named, "https"), self._bases)


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
        allowed = [_allowed_host(name) for name in allowed_hosts]
        # By scheme: a port is left out where it is the default of the scheme that the URI has.
        self._allowed = {scheme: frozenset(_normal_host(name, scheme) for name in allowed) for scheme in _SCHEMES}
        self._proxies = Proxies(trusted_proxies)
        if forwarded not in _FORWARDED_MODES:
            msg = f"forwarded: {forwarded!r} is none of {', '.join(_FORWARDED_MODES)}"
            raise ValueError(msg)
        self.is_configured: bool = bool(allowed) or self._proxies.any
        self._read = x_forwarded if forwarded == "x-forwarded" else rfc7239

    def __call__(self, scope: Scope) -> str:
        """See `TargetURI`."""
        said = self._read(scope, self._proxies) if self._proxies.trust(_peer(scope)) else {}
        scheme = _HTTP_SCHEMES.get(str(said.get("proto") or scope.get("scheme", "http")).lower())
        if scheme is None:
            raise InvalidRequest(Reason.FORWARDED_MALFORMED)
        named = said["host"] if "host" in said else _authority(scope)
        # RFC 9449 §2: https. A proxy that ends TLS without saying so changes nothing about what the client asked for.
        scheme = scheme if _is_loopback(named) else "https"
        host = _normal_host(named, scheme, Reason.FORWARDED_MALFORMED if "host" in said else Reason.HOST_MALFORMED)
        if not self._serves(host, scheme):
            raise _not_served(host, self._allowed[scheme])
        return f"{scheme}://{host}{path_of(scope)}"

    def _serves(self, host: str, scheme: str) -> bool:
        allowed = self._allowed[scheme]
        return host in allowed if allowed else _is_loopback(host)


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0] or "") if client else ""


def _authority(scope: Scope) -> str:
    """The host that the request names, with its port, as sent."""
    absolute = ABSOLUTE_FORM.match(scope.get("raw_path") or b"")
    hosts = [absolute[1]] if absolute else [value for name, value in scope["headers"] if name == b"host"]
    if len(hosts) != 1:
        raise InvalidRequest(Reason.HOST_MALFORMED)
    return hosts[0].decode("latin-1")


def _normal_host(authority: str, scheme: str, malformed: Reason = Reason.HOST_MALFORMED) -> str:
    host = normalise_authority(authority, scheme)
    if host is None:
        raise InvalidRequest(malformed)
    return host


def _not_served(host: str, served: Iterable[str]) -> InvalidRequest:
    """Says in the log which port would be served, if it is the port that is wrong."""
    name = _PORT.sub("", host)
    same_name = [known for known in served if _PORT.sub("", known) == name]
    if not same_name:
        return InvalidRequest(Reason.HOST_NOT_ALLOWED, host=host)
    return InvalidRequest(Reason.HOST_NOT_ALLOWED, host=host, served=same_name, hint=_PORT_LOST)


def _base(url: str, insecure: Collection[str]) -> str:
    base = normalise(url)
    _require_no_pattern("public_url", urlsplit(base or "").netloc)
    if base is None or "?" in url or "#" in url or not _may_have_scheme(base, insecure):
        msg = (
            f"public_url: {url!r} is not an https URL without query; http is for this machine only (RFC 9449 §2),"
            " and for the hosts in insecure_http_hosts"
        )
        raise ValueError(msg)
    return base.rstrip("/")


def _may_have_scheme(base: str, insecure: Collection[str]) -> bool:
    if base.startswith("https:") or _is_loopback(urlsplit(base).netloc):
        return True
    if urlsplit(base).hostname not in insecure:
        return False
    logger.warning("public_url: %s is plain http: whoever listens on the way reads tokens and proofs", base)
    return True


def _allowed_host(name: str) -> str:
    _require_no_pattern("allowed_hosts", name)
    if normalise_authority(name, "https") is None:
        msg = f"allowed_hosts: {name!r} is not a host, or host:port"
        raise ValueError(msg)
    return name


def _require_no_pattern(option: str, host: str) -> None:
    """A pattern would be taken for a name that no request has, and would serve nobody."""
    if "*" in host or host.startswith("."):
        msg = f"{option}: {host!r} is a pattern; list each host by its name, or give a public_url for each"
        raise ValueError(msg)


def _is_loopback(authority: str) -> bool:
    return is_loopback(_PORT.sub("", authority).lower())
