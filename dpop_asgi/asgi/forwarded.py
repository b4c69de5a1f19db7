"""Reads what trusted proxies report about the requests that they forward."""

import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from dpop_asgi.errors import InvalidRequest, Reason

Scope = Mapping[str, Any]

# No real request takes this many hops. Each entry is looked up in the trusted networks, and clients can add entries in
# front of those of the proxies.
_MAX_HOPS = 100
# Stands for a missing address; not in any network.
_UNKNOWN = "-"
# An address, in brackets or not, and an optional port (RFC 7239 §6). An IPv6 address without brackets has no port.
_NODE = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:]+))(?::(?:[0-9]{1,5}|_[A-Za-z0-9._\-]+))?")
_FORWARDED_PAIR = re.compile(r'\s*([A-Za-z]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*))\s*')


class Proxies:
    """The networks whose forwarding headers are trusted.

    Args:
        trusted: networks, addresses, or `unix`.

    Raises:
        ValueError: If an entry isn't a network, an address, or `unix`; the message names `trusted_proxies`.
    """

    def __init__(self, trusted: Iterable[str]) -> None:
        self._networks: list[IPv4Network | IPv6Network] = []
        self._unix = False
        for entry in trusted:
            if entry == "unix":
                self._unix = True
                continue
            try:
                self._networks.append(ip_network(entry))
            except ValueError:
                msg = f"trusted_proxies: {entry!r} is not a network such as 10.0.0.0/8 (bits after the prefix are 0)"
                raise ValueError(msg) from None

    @property
    def any(self) -> bool:
        """Whether any proxies are trusted."""
        return self._unix or bool(self._networks)

    def trust(self, peer: str) -> bool:
        """Whether `peer`, an IP address or empty for a Unix socket, is one of the proxies."""
        if not peer:
            return self._unix
        try:
            address = ip_address(peer)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self._networks)


def x_forwarded(scope: Scope, proxies: Proxies) -> dict[str, str]:
    """`proto` and `host` from the `X-Forwarded-*` headers of a request that comes from a trusted proxy."""
    hops = [_node(entry) for entry in _list(scope, b"x-forwarded-for")]
    client = _first_untrusted(hops, proxies)
    forwarded = {}
    for name in ("proto", "host"):
        values = _list(scope, f"x-forwarded-{name}".encode())
        if len(values) == 1:
            forwarded[name] = values[0]
        elif values and len(values) == len(hops):
            # One entry per hop: the proxy that the client connected to added the one that matches its address.
            forwarded[name] = values[client]
        elif values:
            raise InvalidRequest(Reason.FORWARDED_MALFORMED)
    return forwarded


def rfc7239(scope: Scope, proxies: Proxies) -> dict[str, str]:
    """The pairs of the `Forwarded` element (RFC 7239) added by the proxy that the client connected to."""
    pairs: dict[str, str] = {}
    # Elements further left were written by the client, and a hundred would cost more than a signature check.
    for element in reversed(_list(scope, b"forwarded")):
        pairs = _pairs(element)
        if not proxies.trust(_node(pairs.get("for", "")) or _UNKNOWN):
            break
    return pairs


def _first_untrusted(hops: list[str], proxies: Proxies) -> int:
    """From the right, the first hop that isn't a trusted proxy: the client. It wrote anything to its left itself."""
    for index in range(len(hops) - 1, 0, -1):
        if not hops[index] or not proxies.trust(hops[index]):
            return index
    return 0


def _pairs(element: str) -> dict[str, str]:
    pairs = {}
    for part in element.split(";"):
        match = _FORWARDED_PAIR.fullmatch(part)
        if match is None or match[1].lower() in pairs:
            raise InvalidRequest(Reason.FORWARDED_MALFORMED)
        pairs[match[1].lower()] = match[3] if match[2] is None else match[2]
    return pairs


def _node(node: str) -> str:
    """The address of a hop without brackets and port. Anything malformed is returned as is, and isn't trusted."""
    match = _NODE.fullmatch(node)
    return node if match is None else match[1] or match[2]


def _list(scope: Scope, name: bytes) -> list[str]:
    lines = [value.decode("latin-1") for header, value in scope["headers"] if header == name]
    if len(lines) + sum(line.count(",") for line in lines) > _MAX_HOPS:
        raise InvalidRequest(Reason.FORWARDED_MALFORMED, limit=_MAX_HOPS)
    return [entry.strip() for line in lines for entry in line.split(",")] if lines else []
