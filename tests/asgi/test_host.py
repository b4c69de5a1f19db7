"""Without a public URL the origin comes from Host, and only from hosts that are served."""

import pytest

from dpop_asgi import IncomingRequest, InvalidRequest, Reason
from dpop_asgi.asgi.target_uri import RequestURL
from tests.support.api import http_scope

NOT_ALLOWED, MALFORMED = Reason.HOST_NOT_ALLOWED, Reason.HOST_MALFORMED


def _refusal(*hosts, **options):
    with pytest.raises(InvalidRequest) as refused:
        _uri(*hosts, **options)
    return refused.value


def _uri(*hosts, scheme="https", allowed=(), raw_path=b"/r"):
    headers = [("host", host) for host in hosts]
    scope = http_scope(path=raw_path.decode().partition("?")[0], raw_path=raw_path, headers=headers, scheme=scheme)
    resolve = RequestURL(allowed_hosts=allowed)
    return IncomingRequest(method="GET", target_uri=lambda: resolve(scope), headers=()).resolved_uri()


def _hosts(outcome, *hosts, **options):
    """Rows for several hosts with one outcome."""
    return [pytest.param(host, options, outcome, id=f"{host}-{'-'.join(map(str, options.values()))}") for host in hosts]


HTTP, HTTPS = {"scheme": "http"}, {"scheme": "https"}
LOCAL = ("localhost", "localhost:8000", "LOCALHOST:8000", "127.0.0.1", "127.5.5.5:9", "[::1]", "[::1]:8000")
FOREIGN = (
    *("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "localhost.", "localhost,evil.example"),
    *("0.0.0.0", "10.0.0.1:8000", "[::]", "[2001:db8::1]:8000", "2130706433", "0x7f.1", "under_score"),
)
UNLISTED = ("localhost", "a.example:8443", "a.example.", "sub.a.example", "example", "127.0.0.1")
LISTED = {"allowed": ["A.example", "other.example:8443", "[2001:db8::1]", "under_score"]}


@pytest.mark.requirement("R-4.3-13", "R-4.3-15")
@pytest.mark.parametrize(
    ("host", "options", "outcome"),
    [
        *(row for host in LOCAL for row in _hosts(f"http://{host.lower()}/r", host, **HTTP)),
        *_hosts(NOT_ALLOWED, *FOREIGN),
        *_hosts(NOT_ALLOWED, *UNLISTED, allowed=["a.example"]),
        *_hosts("https://a.example/r", "a.example", "A.Example", "a.example:443", "a.example:", **LISTED),
        *_hosts("https://other.example:8443/r", "other.example:8443", **LISTED),
        *_hosts("https://[2001:db8::1]/r", "[2001:db8::1]", **LISTED),
        *_hosts("https://under_score/r", "under_score", **LISTED),
        # Elsewhere it is https though the connection is not: behind a proxy that ends TLS without saying so.
        *_hosts("https://a.example/r", "a.example", **LISTED, **HTTP),
        *_hosts("https://a.example/r", "a.example", **LISTED, scheme="ws"),
        # On this machine a port is the default of the scheme that the URI has (Z15).
        *_hosts("http://localhost/r", "localhost:80", "localhost:", **HTTP),
        *_hosts("https://localhost/r", "localhost:443", **HTTPS),
        *_hosts("http://localhost:443/r", "localhost:443", **HTTP),
        *_hosts("http://localhost:443/r", "localhost:443", **HTTP, allowed=["localhost:443"]),
        *_hosts("https://localhost:80/r", "localhost:80", **HTTPS),
        *_hosts("https://localhost:80/r", "localhost:80", **HTTPS, allowed=["localhost:80"]),
        *_hosts(NOT_ALLOWED, "localhost:443", **HTTP, allowed=["localhost"]),
        *_hosts(NOT_ALLOWED, "localhost:80", **HTTPS, allowed=["localhost"]),
        *_hosts(NOT_ALLOWED, "localhost", **HTTP, allowed=["localhost:443"]),
        # An absolute target names the same host (RFC 9112 §3.2.2).
        *_hosts("https://localhost:8000/r", "LOCALHOST:8000", raw_path=b"http://localhost:8000/r?x"),
        *_hosts(NOT_ALLOWED, "evil.example", raw_path=b"http://evil.example/r"),
        *_hosts(MALFORMED, "elsewhere.example", raw_path=b"http://localhost:8000/r?x"),
        *_hosts(MALFORMED, "localhost", raw_path=b"http://evil.example/r"),
        *_hosts(MALFORMED, "a@localhost", raw_path=b"http://a@localhost/r"),
        *_hosts(Reason.FORWARDED_MALFORMED, "localhost", scheme="gopher"),
    ],
)
def test_hosts_are_served_if_they_are_listed_and_without_a_list_if_they_are_of_this_machine(host, options, outcome):
    if isinstance(outcome, Reason):
        assert _refusal(host, **options).reason == outcome
    else:
        assert _uri(host, **options) == outcome


@pytest.mark.requirement("R-4.3-13")
def test_the_rejection_names_the_settings_to_change():
    refusal = _refusal("api.example.com")
    assert "public_url" in refusal.description
    assert "allowed_hosts" in refusal.description
    assert refusal.facts == {"host": "api.example.com"}


@pytest.mark.requirement("R-4.3-13")
@pytest.mark.parametrize(
    "hosts",
    [
        pytest.param([], id="none"),
        pytest.param([""], id="empty"),
        pytest.param(["localhost", "localhost"], id="twice"),
        pytest.param(["localhost", "evil.example"], id="two"),
        # What else is no host: core/test_htu. In a URI, these would end one.
        *(pytest.param([f"localhost{end}"], id=f"with-{end}") for end in ("/other?", "?x", "#x", "\t")),
        pytest.param(["evil.example@localhost"], id="user"),
        pytest.param(["[localhost]"], id="name-in-brackets"),
        pytest.param(["localh\xf6st"], id="latin-1"),
    ],
)
def test_a_malformed_host_is_rejected_though_all_names_in_it_are_served(hosts):
    assert _refusal(*hosts, allowed=["localhost", "evil.example"]).reason == MALFORMED


@pytest.mark.parametrize(
    ("host", "told"),
    [
        pytest.param("api.example.com", ["api.example.com:8443"], id="port-lost"),
        pytest.param("api.example.com:8080", ["api.example.com:8443"], id="another-port"),
        pytest.param("other.example", None, id="another-host"),
    ],
)
def test_a_port_that_was_lost_on_the_way_is_reported(host, told):
    """Y10: nginx drops it with `$host`; in the log only."""
    refusal = _refusal(host, allowed=["api.example.com:8443", "another.example"])
    assert (refusal.facts["host"], refusal.facts.get("served")) == (host, told)
    assert ("$http_host" in refusal.facts.get("hint", "")) == (told is not None)
    assert "8443" not in refusal.description
