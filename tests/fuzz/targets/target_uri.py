"""Whatever path, `Host` and forwarding fields say: the target is one that the configuration allows, or a refusal."""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from dpop_asgi import IncomingRequest, InvalidRequest
from dpop_asgi.asgi.target_uri import PublicURL, RequestURL, TargetURI
from tests.differential.drawn import Drawn
from tests.differential.stopwatch import aside
from tests.differential.uris import Meaning, meaning
from tests.fuzz.catalogue import Target, demand

_HOST = "api.example.com"
_FORWARDING = (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-prefix", b"forwarded")
_NAMES = (b"host", *_FORWARDING, b"x-forwarded-port", b"x-real-ip")
_HOSTS = (b"api.example.com", b"api.example.com:443", b"API.EXAMPLE.COM:8443", b"localhost:8000", b"evil.example")
_HOPS = (b"127.0.0.1", b"https", b"http", b"203.0.113.9", b"10.0.0.2", b"203.0.113.9, 10.0.0.2", b"https, http")
_FORWARDED = (
    b"for=203.0.113.9;host=api.example.com;proto=https",
    b'for="[2001:db8::1]:80", for=10.0.0.2;host="evil.example"',
    b'host="api.example.com";proto=http',
)
_PARTS_OF_FORWARDED = (b"for=10.0.0.2", b"proto=https;proto=http", b'host="a\\"b"', b",", b"")
_VALUES = (*_HOSTS, *_HOPS, b"[::1]", b"one.example", *_FORWARDED, *_PARTS_OF_FORWARDED)
_OTHER_PATHS = (b"//evil.example/", b"https://evil.example/a")
_PATHS = (b"/v1/orders", b"/", b"", b"/a%2Fb?c#d", b"/../x", *_OTHER_PATHS, b"*", b"\xff")
_CLIENTS = ("10.0.0.9", "203.0.113.5", "", "::ffff:10.0.0.1", "::1", "testclient", None)
_SCHEMES = ("https", "http", "wss", "ws", "ftp", "")


@dataclass(frozen=True)
class Configured:
    """A resolver, and by hand the only URIs that it may ever give: those below these."""

    resolve: TargetURI
    allowed: tuple[str, ...]
    believes_proxies: bool = False


def _configured() -> tuple[Configured, ...]:
    hosts = ("https://api.example.com", "https://api.example.com:8443")
    behind = {"allowed_hosts": ("api.example.com", "api.example.com:8443"), "trusted_proxies": ("10.0.0.0/8", "unix")}
    several = ("https://one.example/a", "http://localhost:8000", "https://two.example:8443")
    this_machine = ("http://localhost", "http://127.0.0.1", "http://[::1]")
    return (
        Configured(PublicURL("https://api.example.com"), hosts[:1]),
        Configured(PublicURL("https://api.example.com/prefix"), ("https://api.example.com/prefix",)),
        Configured(PublicURL(several), several),
        Configured(RequestURL(allowed_hosts=(_HOST, f"{_HOST}:8443")), hosts),
        Configured(RequestURL(**behind), hosts, believes_proxies=True),
        Configured(RequestURL(**behind, forwarded="forwarded"), hosts, believes_proxies=True),
        Configured(RequestURL(), this_machine),
    )


def make() -> Target:
    configured = _configured()

    def one(data: bytes) -> None:
        drawn = Drawn(data)
        choice = drawn.pick(configured)
        check(choice, drawn_scope(drawn))

    return one


def drawn_scope(drawn: Drawn) -> dict[str, Any]:
    raw_path = drawn.pick(_PATHS) + drawn.long_piece(9000)
    client = drawn.pick(_CLIENTS)
    return {
        "type": "http",
        "path": unquote(raw_path.split(b"?")[0].decode("utf-8", "surrogateescape")),
        "raw_path": drawn.pick((raw_path, raw_path, None)),
        "scheme": drawn.pick(_SCHEMES),
        "client": None if client is None else (client, 50000),
        "headers": [_drawn_field(drawn) for _ in range(drawn.below(6))],
    }


def _drawn_field(drawn: Drawn) -> tuple[bytes, bytes]:
    return drawn.pick(_NAMES), drawn.pick(_VALUES) + drawn.long_piece(9000)


def check(choice: Configured, scope: dict[str, Any]) -> None:
    found = resolved(choice.resolve, scope)
    if not choice.believes_proxies or not _is_proxy(scope):
        kept = [field for field in scope["headers"] if field[0] not in _FORWARDING]
        demand(
            found == resolved(choice.resolve, {**scope, "headers": kept}), "somebody's forwarding fields are believed"
        )
    if found is not None:
        meant, path = meaning(found), path_by_hand(scope)
        bases = [base for base in choice.allowed if is_below(meant, base, path)]
        demand(bases, f"{found!r}: not below {choice.allowed} and {path!r}")
        demand(not has_dot_segments(path), f"{path!r}: the app sees another path")


def resolved(resolve: TargetURI, scope: dict[str, Any]) -> str | None:
    """As the middleware asks for it; `None` for a refusal."""
    try:
        return IncomingRequest(method="GET", target_uri=lambda: resolve(scope), headers=[]).resolved_uri()
    except InvalidRequest:
        return None


def _is_proxy(scope: dict[str, Any]) -> bool:
    return scope["client"] is None or scope["client"][0] in {"", "10.0.0.9", "::ffff:10.0.0.1"}


@aside
def is_below(meant: Meaning | None, base: str, path: str) -> bool:
    """Whether a URI is `base`, of this machine with any port, and `path` behind it."""
    expected = meaning(base + path)
    if meant is None or expected is None:
        return False
    same_port = meant.port == expected.port or base.startswith("http:")
    same_scheme = meant.scheme == expected.scheme or base.startswith("http:")
    return same_port and same_scheme and (meant.host, meant.path) == (expected.host, expected.path)


def has_dot_segments(path: str) -> bool:
    """RFC 3986 §3.3, escaped or not."""
    return any(unquote(segment) in {".", ".."} for segment in path.split("/"))


def path_by_hand(scope: dict[str, Any]) -> str:
    """RFC 9112 §3.2: origin-form or absolute-form, without the query."""
    sent = scope["raw_path"] or quote(scope["path"], safe="/:@!$&'()*+,;=-._~", errors="surrogateescape").encode()
    sent = sent.split(b"?")[0].decode("latin-1")
    if re.match("https?://", sent, re.IGNORECASE):
        return "/" + "/".join(sent.split("/")[3:])
    return sent
