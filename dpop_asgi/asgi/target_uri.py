"""Which URI did the client call, behind any proxies?

By default only the path below the public URL is taken from the request. The host and forwarding headers are untrusted
unless configured otherwise.
"""

import re
from collections.abc import Callable, Collection, Iterable
from urllib.parse import urlsplit

from dpop_asgi.asgi.forwarded import Proxies, Scope, rfc7239, x_forwarded
from dpop_asgi.asgi.request_path import ABSOLUTE_FORM, below, path_of, server_root_path
from dpop_asgi.core.htu import is_loopback, normalise, normalise_authority
from dpop_asgi.core.options import host_names, one_or_more, quoted_url, require
from dpop_asgi.errors import InvalidRequest, Reason
from dpop_asgi.log import logger

TargetURI = Callable[[Scope], str]

_HTTP_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
_SCHEMES = ("https", "http")
_PORT = re.compile(r":\d*$")
_PORT_LOST = (
    "this host is served on another port: the proxy has to forward the port that the client used "
    "(nginx: proxy_set_header Host $http_host), or set public_url"
)
_FORWARDED_MODES = ("x-forwarded", "forwarded")


class PublicURL:
    """The URI below the public URL; if there are several, below the one for the host that the request names.

    Args:
        urls: absolute URLs: the origin, and any path prefix that a proxy strips.
        insecure_http_hosts: hosts, besides this machine, that may use plain http.

    Raises:
        ValueError: If one isn't an https URL (http for hosts of this machine) without query, or two share a host; the
            message names `public_url`.
    """

    def __init__(self, urls: str | Iterable[str], *, insecure_http_hosts: Iterable[str] = ()) -> None:
        given = one_or_more("public_url", urls, "at least one URL, and one per host")
        insecure = host_names("insecure_http_hosts", insecure_http_hosts)
        bases = [_base(url, insecure) for url in given]
        self._bases = {urlsplit(base).netloc: base for base in bases}
        require("public_url", len(self._bases) == len(given), "at least one URL, and one per host")
        self._only = next(iter(self._bases.values())) if len(given) == 1 else None
        self._has_prefix = any(urlsplit(base).path for base in bases)

    @property
    def first_base(self) -> str:
        """A URL that clients call, for tests: the first of those given, without a slash at its end."""
        return next(iter(self._bases.values()))

    @property
    def description(self) -> str:
        """For the line that is logged at startup."""
        return f"public_url {', '.join(self._bases.values())}"

    def __call__(self, scope: Scope) -> str:
        """See `TargetURI`."""
        base, path = self._only or self.base_of(scope), path_of(scope)
        root_path = server_root_path(scope).rstrip("/") if self._has_prefix else ""
        # The server puts in front of the path what the proxy has stripped: the prefix would count twice.
        return base + (below(root_path, path) if root_path and base.endswith(root_path) else path)

    def base_of(self, scope: Scope) -> str:
        """The public URL that the request belongs to, without a slash at its end.

        Raises:
            InvalidRequest: If the request names a host that isn't served.
        """
        if self._only is not None:
            return self._only
        authority = _authority(scope)
        for scheme in _SCHEMES:
            base = self._bases.get(_normal_host(authority, scheme), "")
            if base.startswith(f"{scheme}:"):
                return base
        raise _not_served(_normal_host(authority, "https"), self._bases)


class RequestURL:
    """The URI from the request itself: the Host header, and the forwarding headers of trusted proxies.

    It is an https URI for every host except those of this machine. `X-Forwarded-Prefix` is never trusted: proxies pass
    on what clients send, and it looks the same as their own. Use `PublicURL` for a path prefix.

    Args:
        allowed_hosts: the hosts to serve, `host` or `host:port`; without any, only hosts of this machine.
        trusted_proxies: networks (`10.0.0.0/8`), addresses, or `unix` for a server on a Unix socket.
        forwarded: which headers these proxies set: `x-forwarded` (-Proto, -Host) or `forwarded` (RFC 7239).

    Raises:
        ValueError: If an option is invalid; the message names it.
    """

    def __init__(
        self, *, allowed_hosts: Iterable[str] = (), trusted_proxies: Iterable[str] = (), forwarded: str = "x-forwarded"
    ) -> None:
        for option, given in (("allowed_hosts", allowed_hosts), ("trusted_proxies", trusted_proxies)):
            if isinstance(given, str) or not isinstance(given, Iterable):
                msg = f"{option}: {given!r} is not a list"
                raise ValueError(msg)
        allowed = [_allowed_host(name) for name in allowed_hosts]
        # By scheme, because a port is omitted if it is the scheme's default.
        self._allowed = {scheme: frozenset(_normal_host(name, scheme) for name in allowed) for scheme in _SCHEMES}
        self._proxies = Proxies(trusted_proxies)
        if forwarded not in _FORWARDED_MODES:
            msg = f"forwarded: {forwarded!r} is not one of {', '.join(_FORWARDED_MODES)}"
            raise ValueError(msg)
        self.is_configured: bool = bool(allowed) or self._proxies.any
        self._read = x_forwarded if forwarded == "x-forwarded" else rfc7239

    @property
    def first_base(self) -> str:
        """A URL that clients call, for tests: at one of the allowed hosts, or on this machine."""
        host = min(self._allowed["https"], default=None)
        return "http://localhost" if host is None else f"https://{host}"

    @property
    def description(self) -> str:
        """For the line that is logged at startup."""
        hosts = ", ".join(sorted(self._allowed["https"])) or "those of this machine"
        return f"allowed_hosts {hosts}{', behind trusted_proxies' if self._proxies.any else ''}"

    def __call__(self, scope: Scope) -> str:
        """See `TargetURI`."""
        return self.base_of(scope) + path_of(scope)

    def base_of(self, scope: Scope) -> str:
        """The origin that the request names.

        Raises:
            InvalidRequest: If it names none, or one that isn't served.
        """
        forwarded = self._read(scope, self._proxies) if self._proxies.trust(_peer(scope)) else {}
        scheme = _HTTP_SCHEMES.get(str(forwarded.get("proto") or scope.get("scheme", "http")).lower())
        if scheme is None:
            raise InvalidRequest(Reason.FORWARDED_MALFORMED)
        authority = forwarded["host"] if "host" in forwarded else _authority(scope)
        malformed = Reason.FORWARDED_MALFORMED if "host" in forwarded else Reason.HOST_MALFORMED
        host = _normal_host(authority, "https", malformed)
        # RFC 9449 §2: https. If a proxy terminates TLS without reporting it, the client still called an https URI.
        if _is_loopback(host):
            host = _normal_host(authority, scheme, malformed)
        else:
            scheme = "https"
        if not self._serves(host, scheme):
            raise _not_served(host, self._allowed[scheme])
        return f"{scheme}://{host}"

    def _serves(self, host: str, scheme: str) -> bool:
        allowed = self._allowed[scheme]
        return host in allowed if allowed else _is_loopback(host)


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0] or "") if client else ""


def _authority(scope: Scope) -> str:
    """The host that the request names, with its port, as sent."""
    hosts: list[bytes] = [value for name, value in scope["headers"] if name == b"host"]
    absolute = ABSOLUTE_FORM.match(scope.get("raw_path") or b"")
    # It names the same host (RFC 9112 §3.2.2), and what is inside may look at either.
    if len(hosts) != 1 or (absolute is not None and absolute[1].lower() != hosts[0].lower()):
        raise InvalidRequest(Reason.HOST_MALFORMED)
    return hosts[0].decode("latin-1")


def _normal_host(authority: str, scheme: str, malformed: Reason = Reason.HOST_MALFORMED) -> str:
    host = normalise_authority(authority, scheme)
    if host is None:
        raise InvalidRequest(malformed)
    return host


def _not_served(host: str, served: Iterable[str]) -> InvalidRequest:
    """The rejection of a host. If only the port is wrong, its facts say so for the log."""
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
            f"public_url: {quoted_url(url)} is not an https URL without query, such as https://api.example.com."
            " Plain http is accepted only for this machine and the hosts in insecure_http_hosts"
        )
        raise ValueError(msg)
    return base.rstrip("/")


def _may_have_scheme(base: str, insecure: Collection[str]) -> bool:
    if base.startswith("https:") or _is_loopback(urlsplit(base).netloc):
        return True
    if urlsplit(base).hostname not in insecure:
        return False
    logger.warning("public_url: %s is plain http: anyone on the network path can read tokens and proofs", base)
    return True


def _allowed_host(name: str) -> str:
    one_or_more("allowed_hosts", [name], "a list of hosts")
    _require_no_pattern("allowed_hosts", name)
    if normalise_authority(name, "https") is None:
        msg = f"allowed_hosts: {quoted_url(name)} is not a host, or host:port"
        raise ValueError(msg)
    return name


def _require_no_pattern(option: str, host: str) -> None:
    """Patterns aren't supported: one would be compared literally, and never match."""
    if "*" in host or host.startswith("."):
        msg = f"{option}: {host!r} is a pattern; list each host by its name, or set a public_url for each"
        raise ValueError(msg)


def _is_loopback(authority: str) -> bool:
    """Whether a normalised authority is this machine."""
    return is_loopback(_PORT.sub("", authority))
