"""What trusted proxies say about the request that they forward."""

import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from dpop_asgi.errors import InvalidRequest, Reason

Scope = Mapping[str, Any]

# More hops than this no request has taken. Each is looked up in the trusted networks, and proxies pass on what
# clients wrote in front of their own.
_MAX_HOPS = 100
# An address, in brackets or not, and a port behind it (RFC 7239 §6). An IPv6 address without brackets has no port.
# What no network has.
_NOBODY = "-"
_NODE = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:]+))(?::(?:[0-9]{1,5}|_[A-Za-z0-9._\-]+))?")
_FORWARDED_PAIR = re.compile(r'\s*([A-Za-z]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*))\s*')


class Proxies:
    """The networks whose forwarding fields are believed.

    Args:
        trusted: networks, addresses, or `unix`.

    Raises:
        ValueError: naming `trusted_proxies`.
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
            except ValueError as error:
                msg = f"trusted_proxies: {error}"
                raise ValueError(msg) from None

    @property
    def any(self) -> bool:
        """Whether there are any."""
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
    """`proto` and `host` as `X-Forwarded-*` fields have them; `scope` comes from one of the proxies."""
    hops = [_node(entry) for entry in _list(scope, b"x-forwarded-for")]
    client = _first_untrusted(hops, proxies)
    said = {}
    for name in ("proto", "host"):
        values = _list(scope, f"x-forwarded-{name}".encode())
        if len(values) == 1:
            said[name] = values[0]
        elif values and len(values) == len(hops):
            # One entry per hop: the entry beside the client's address was made by the proxy that saw the client.
            said[name] = values[client]
        elif values:
            raise InvalidRequest(Reason.FORWARDED_MALFORMED)
    return said


def rfc7239(scope: Scope, proxies: Proxies) -> dict[str, str]:
    """The pairs of the `Forwarded` element (RFC 7239) that the proxy in touch with the client made."""
    pairs: dict[str, str] = {}
    # Not those left of the client's: it wrote them itself, and a hundred would cost more than a signature check.
    for element in reversed(_list(scope, b"forwarded")):
        pairs = _pairs(element)
        if not proxies.trust(_node(pairs.get("for", "")) or _NOBODY):
            break
    return pairs


def _first_untrusted(hops: list[str], proxies: Proxies) -> int:
    """From the right, the first hop that is no proxy of ours: the client. What stands left of it, it wrote itself."""
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
    """The address of a hop without brackets and port; what has another form stays as it is, and is no proxy."""
    match = _NODE.fullmatch(node)
    return node if match is None else match[1] or match[2]


def _list(scope: Scope, name: bytes) -> list[str]:
    lines = [value.decode("latin-1") for field, value in scope["headers"] if field == name]
    if len(lines) + sum(line.count(",") for line in lines) > _MAX_HOPS:
        raise InvalidRequest(Reason.FORWARDED_MALFORMED, limit=_MAX_HOPS)
    return [entry.strip() for line in lines for entry in line.split(",")] if lines else []
