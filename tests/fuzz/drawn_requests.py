"""Servers, each configured in another way, and requests to them: correct ones, and what was drawn instead."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote

from tests.differential import keys
from tests.differential.drafts import TOKEN, draft, put
from tests.differential.drawn import Drawn
from tests.differential.mutations import MUTATIONS
from tests.fuzz.targets.target_uri import path_by_hand

_HOST = "api.example.com"
_CLIENT = "ES256"
_UNBOUND, _OTHERS = "an-unbound.token", "a-token-of.another-client"

# The tokens that are good, and the keys that they are bound to.
BINDINGS = {TOKEN: keys.jkt(_CLIENT), _UNBOUND: None, _OTHERS: keys.jkt("ES256 of another client")}

_PROXIES = {"allowed_hosts": (_HOST, f"{_HOST}:8443"), "trusted_proxies": ("10.0.0.0/8",)}
_TWO_PORTS = (f"https://{_HOST}", f"https://{_HOST}:8443")


@dataclass(frozen=True)
class Server:
    """Options of the middleware, those of the decision, and the URIs below which its resources are."""

    options: Mapping[str, Any]
    bases: tuple[str, ...]
    decision: Mapping[str, Any] = field(default_factory=dict)

    @property
    def nonces(self) -> bool:
        return "nonces" not in self.decision

    @property
    def mixed(self) -> bool:
        return self.decision.get("mode") == "mixed"


SERVERS = (
    Server({"public_url": f"https://{_HOST}", "preflights": "pass"}, (f"https://{_HOST}",)),
    Server(
        {
            "public_url": f"https://{_HOST}/prefix",
            "public_paths": ("/healthz", "/open/"),
            "present_as": "bearer",
            "preflights": "pass",
        },
        (f"https://{_HOST}/prefix",),
        {"mode": "mixed"},
    ),
    Server({"public_url": f"https://{_HOST}"}, (f"https://{_HOST}",), {"nonces": None}),
    Server(_PROXIES, _TWO_PORTS),
    Server({**_PROXIES, "forwarded": "forwarded"}, _TWO_PORTS, {"mode": "mixed"}),
)

_PATHS = (
    *(b"/v1/orders", b"/", b"/healthz", b"/open/a", b"/open/../v1", b"/a%2Fb", b"//", b"https://api.example.com/a"),
    *(b"*", b""),
)
_METHODS = ("POST", "GET", "OPTIONS", "HEAD", "post", "", "P\u00d6ST")
_NAMES = (b"authorization", b"dpop", b"host", b"origin", b"x-forwarded-host", b"forwarded", b"x-forwarded-for", b"")
_FIELDS = (
    (b"host", b"api.example.com"),
    (b"host", b"API.example.com:443"),
    (b"origin", b"https://app.example"),
    (b"access-control-request-method", b"GET"),
    (b"x-forwarded-host", b"api.example.com:8443"),
    (b"x-forwarded-proto", b"https"),
    (b"x-forwarded-for", b"203.0.113.9, 10.0.0.2"),
    (b"forwarded", b"for=203.0.113.9;host=api.example.com;proto=https"),
    (b"authorization", b"Bearer " + _UNBOUND.encode()),
    (b"authorization", b"Bearer " + TOKEN.encode()),
    (b"authorization", b"DPoP " + _OTHERS.encode()),
    (b"authorization", b"DPoP " + _UNBOUND.encode()),
    (b"dpop", b""),
)

Fields = list[tuple[bytes, bytes]]
Scope = dict[str, Any]


def drawn_scope(drawn: Drawn, server: Server) -> Scope:
    raw_path = drawn.pick(_PATHS) + drawn.piece(32)
    kind = drawn.pick(("http", "http", "http", "websocket"))
    scope = {
        "type": kind,
        "path": unquote(raw_path.split(b"?")[0].decode("utf-8", "surrogateescape")),
        "raw_path": drawn.pick((raw_path, raw_path, None)),
        "query_string": b"",
        "scheme": drawn.pick(("https", "http", "wss")),
        "client": drawn.pick((("10.0.0.9", 1), ("203.0.113.5", 1), None)),
        **({"method": drawn.pick(_METHODS)} if kind == "http" else {}),
        **({"extensions": {"websocket.http.response": {}}} if drawn.chance() else {}),
    }
    return {**scope, "headers": _drawn_fields(drawn, server, scope)}


def _drawn_fields(drawn: Drawn, server: Server, scope: Scope) -> Fields:
    fields = [(b"host", _HOST.encode())] if drawn.below(4) != 3 else []
    if drawn.below(4) != 3:
        fields += [(b"authorization", b"DPoP " + TOKEN.encode()), *_drawn_proofs(drawn, server, scope)]
    for _ in range(drawn.below(4)):
        kind = drawn.below(4)
        if kind == 0:
            fields.append((drawn.pick(_NAMES), drawn.piece(64)))
        else:
            fields += _drawn_proofs(drawn, server, scope) if kind == 1 else [drawn.pick(_FIELDS)]
    return fields


def _drawn_proofs(drawn: Drawn, server: Server, scope: Scope) -> Fields:
    """For this request, correct or with some changes."""
    made = draft(_CLIENT, nonces=server.nonces)
    target = drawn.pick(server.bases) + path_by_hand(scope)
    put(made.claims, "htm", scope.get("method", "GET"))
    put(made.claims, "htu", target)
    made.request = replace(made.request, uri=target)
    for _ in range(drawn.pick((0, 0, 1, 2))):
        drawn.pick(MUTATIONS)(drawn, made)
    return [(b"dpop", proof) for proof in made.proofs()]
