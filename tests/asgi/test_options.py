"""Wrong configuration is a `ValueError` that names the option, when the middleware is made."""

from functools import partial

import pytest

from dpop_asgi import DPoPMiddleware, Requirement, ResourceMetadata
from dpop_asgi.asgi.target_uri import PublicURL
from tests.support.api import PUBLIC_URL, App

READ = Requirement("orders:read")
CONTRARY = {"/a/": Requirement(acr_values="1"), "/a/b": Requirement(acr_values="2")}
OWN_URI = {"public_url": None, "target_uri": lambda _: f"{PUBLIC_URL}/r"}


async def _no_uri(scope):
    """Never awaited by anybody."""


def _refused(option, *values, **others):
    """Rows for several values of one option."""
    return [({option: value, **others}, f"{option}: ") for value in values]


BY_REQUEST = {"public_url": None}
HOST_PATTERNS = ("*", "*.example.com", "api.*.com", ".example.com", "*:8443")
PATH_PATTERNS = ("/a*", "/a*/b", "/a/**", "/a/.*$", "/a/<id>", "/a/:id", "/a/{id}", "/a?b", "/a#b", "a", 3)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        # Which URI the client called: one way to say it.
        *_refused("public_url", "", "rs.example", "ftp://rs.example", "https://rs.example?x=1", "https://rs.example#f"),
        *_refused("public_url", [], [PUBLIC_URL, f"{PUBLIC_URL}/api"]),
        *_refused("public_url", 3, [3], b"https://rs.example"),  # N23
        *_refused("public_url", PUBLIC_URL, allowed_hosts=["rs.example"]),
        *_refused("public_url", PUBLIC_URL, trusted_proxies=["10.0.0.9"]),
        *_refused("public_url", PUBLIC_URL, target_uri=OWN_URI["target_uri"]),
        *_refused(
            "allowed_hosts", "api.example.com", ["https://api.example.com"], ["a.example", "a b"], [""], **BY_REQUEST
        ),
        *_refused("allowed_hosts", [3], **BY_REQUEST),  # N23
        *_refused("trusted_proxies", "10.0.0.1", ["10.0.0.1/8"], ["proxy.internal"], ["*"], **BY_REQUEST),
        *_refused("forwarded", "both", trusted_proxies=["10.0.0.1"], **BY_REQUEST),
        *_refused("forwarded", "forwarded", "x-forwarded", **BY_REQUEST),
        *_refused("insecure_http_hosts", ["api"], **BY_REQUEST),
        # Y07, N23: no plain function.
        *_refused("target_uri", _no_uri, PUBLIC_URL, partial(_no_uri), PublicURL, **BY_REQUEST),
        # X11: no request has such a host, so nobody would be served.
        *(
            ({"allowed_hosts": ["a.example", host], **BY_REQUEST}, "allowed_hosts: .* is a pattern; list each host")
            for host in HOST_PATTERNS
        ),
        *(({"public_url": f"https://{host}/v1"}, "public_url: .* is a pattern") for host in HOST_PATTERNS),
        # X10: plain http is for hosts that were opted in.
        ({"public_url": "http://api:8000"}, "public_url: .* insecure_http_hosts"),
        ({"public_url": "http://api:8000", "insecure_http_hosts": ["other"]}, "public_url: .* insecure_http_hosts"),
        # Paths: none is a pattern (N23), and no two options contradict each other.
        *_refused("require", *({path: "required"} for path in PATH_PATTERNS)),
        *_refused("metadata", *({path: ResourceMetadata()} for path in PATH_PATTERNS)),
        *(row for option in ("public_paths", "nonce_paths") for row in _refused(option, *([p] for p in PATH_PATTERNS))),
        *_refused("public_paths", ["/a", "b"], [""], "healthz", 5),
        *_refused("public_paths", "/a;b/", "/a%20b/", "/../", "/a//", "/a\\b/"),  # prefixes that could open nothing
        *_refused("require", ["/a"], {"/a": "bearer"}, {"/a": ["orders:read"]}, CONTRARY),
        *_refused("require", {"/a": "mixed"}),  # looser than the mode
        *_refused("require", {"/a": READ}, public_paths=["/a"]),
        *_refused("require", {"/a": "public"}, protect="routes"),
        *_refused("public_paths", ["/a"], "/a", protect="routes"),
        *_refused("metadata", {}, PUBLIC_URL, {"/mcp": None}, {"/mcp/": ResourceMetadata()}),
        *_refused("metadata", ResourceMetadata(), **OWN_URI),  # where it would be is unknown
        # Others
        *_refused("protect", "some"),
        *_refused("preflights", "maybe"),
        *_refused("preflights", "pass", protect="routes"),  # nothing is asked before the app, so nothing is passed
        *_refused("max_stream", "forever"),
        *_refused("realm", 3, 'a"b'),  # N23
        *_refused("present_as", "dpop", "", "Bearer", True),
        *_refused("present_as", "bearer", protect="routes"),
        *_refused("allow_bearer", lambda _: True),  # where none is accepted
        *_refused("also_check", "x"),
    ],
)
def test_a_wrong_option_is_named(make_api, options, told):
    with pytest.raises(ValueError, match=f"^{told}"):
        make_api(**options)


@pytest.mark.parametrize("value", [None, "authenticator", DPoPMiddleware], ids=repr)
def test_anything_but_an_authenticator_is_rejected(value):
    with pytest.raises(ValueError, match=r"^authenticator: "):
        DPoPMiddleware(App(), authenticator=value)
