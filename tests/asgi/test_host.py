"""Without a public URL the origin comes from Host, and only from hosts that are served."""

import pytest

from dpop_asgi import IncomingRequest, InvalidRequest, Reason
from dpop_asgi.asgi.target_uri import PublicURL, RequestURL
from tests.support.api import http_scope


def _uri(*hosts, scheme="https", allowed=(), raw_path=b"/r"):
    headers = [("host", host) for host in hosts]
    scope = http_scope(path=raw_path.decode().partition("?")[0], raw_path=raw_path, headers=headers, scheme=scheme)
    resolve = RequestURL(allowed_hosts=allowed)
    return IncomingRequest(method="GET", target_uri=lambda: resolve(scope), headers=()).resolved_uri()


def _reason(*hosts, **options):
    with pytest.raises(InvalidRequest) as refused:
        _uri(*hosts, **options)
    return refused.value.reason


@pytest.mark.requirement("R-4.3-13", "R-4.3-15")
@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8000", "LOCALHOST:8000", "127.0.0.1", "127.5.5.5:9", "[::1]", "[::1]:8000"],
    ids=str,
)
def test_without_configuration_hosts_of_this_machine_are_served(host):
    assert _uri(host, scheme="http") == f"http://{host.lower()}/r"


@pytest.mark.requirement("R-4.3-13")
@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "localhost.",
        "0.0.0.0",
        "10.0.0.1:8000",
        "[::]",
        "[2001:db8::1]:8000",
        "2130706433",
        "0x7f.1",
        "under_score",
        "localhost,evil.example",
    ],
    ids=str,
)
def test_without_configuration_no_other_host_is_served(host):
    assert _reason(host) == Reason.HOST_NOT_ALLOWED


@pytest.mark.requirement("R-4.3-13")
def test_the_rejection_names_the_settings_to_change():
    with pytest.raises(InvalidRequest) as refused:
        _uri("api.example.com")
    assert "public_url" in refused.value.description
    assert "allowed_hosts" in refused.value.description
    assert refused.value.facts == {"host": "api.example.com"}


@pytest.mark.requirement("R-4.3-13")
@pytest.mark.parametrize(
    "hosts",
    [
        pytest.param([], id="none"),
        pytest.param([""], id="empty"),
        pytest.param(["localhost", "localhost"], id="twice"),
        pytest.param(["localhost", "evil.example"], id="two"),
        pytest.param(["localhost/other?"], id="path"),
        pytest.param(["localhost?x"], id="query"),
        pytest.param(["localhost#x"], id="fragment"),
        pytest.param(["evil.example@localhost"], id="user"),
        pytest.param(["localhost:99999"], id="impossible-port"),
        pytest.param(["localhost:800000"], id="six-digits"),
        pytest.param(["localhost:port"], id="port-is-a-word"),
        pytest.param(["localhost:80:80"], id="two-ports"),
        pytest.param(["[::1"], id="half-an-address"),
        pytest.param(["::1"], id="address-without-brackets"),
        pytest.param(["[localhost]"], id="name-in-brackets"),
        pytest.param(["local host"], id="space"),
        pytest.param(["localhost\t"], id="tab"),
        pytest.param(["localh\xf6st"], id="latin-1"),
        pytest.param(["local\\host"], id="backslash"),
    ],
)
def test_a_malformed_host_is_rejected_though_all_names_in_it_are_served(hosts):
    assert _reason(*hosts, allowed=["localhost", "evil.example"]) == Reason.HOST_MALFORMED


@pytest.mark.requirement("R-4.3-13")
@pytest.mark.parametrize(
    ("host", "uri"),
    [
        pytest.param("api.example.com", "https://api.example.com/r", id="as-listed"),
        pytest.param("API.Example.Com", "https://api.example.com/r", id="another-case"),
        pytest.param("api.example.com:443", "https://api.example.com/r", id="default-port"),
        pytest.param("api.example.com:", "https://api.example.com/r", id="empty-port"),
        pytest.param("other.example:8443", "https://other.example:8443/r", id="with-its-port"),
        pytest.param("[2001:db8::1]", "https://[2001:db8::1]/r", id="address"),
        pytest.param("under_score", "https://under_score/r", id="underscore"),
    ],
)
def test_hosts_that_are_listed_are_served(host, uri):
    assert _uri(host, allowed=["Api.example.com", "other.example:8443", "[2001:db8::1]", "under_score"]) == uri


@pytest.mark.requirement("R-4.3-13")
@pytest.mark.parametrize(
    "host",
    ["localhost", "api.example.com:8443", "api.example.com.", "sub.api.example.com", "example.com", "127.0.0.1"],
    ids=str,
)
def test_where_hosts_are_listed_no_others_are_served(host):
    assert _reason(host, allowed=["api.example.com"]) == Reason.HOST_NOT_ALLOWED


@pytest.mark.requirement("R-4.3-15")
@pytest.mark.parametrize("scheme", ["http", "ws"])
def test_a_host_elsewhere_is_https_though_the_connection_is_not(scheme):
    """Behind a proxy that ends TLS without saying so."""
    assert _uri("api.example.com", scheme=scheme, allowed=["api.example.com"]) == "https://api.example.com/r"


def test_on_this_machine_the_default_port_is_that_of_the_scheme():
    assert _uri("localhost:80", scheme="http") == "http://localhost/r"
    assert _uri("localhost:443", scheme="https") == "https://localhost/r"


@pytest.mark.parametrize(
    ("host", "scheme", "uri"),
    [
        pytest.param("localhost:443", "http", "http://localhost:443/r", id="https-port-over-http"),
        pytest.param("localhost:80", "https", "https://localhost:80/r", id="http-port-over-https"),
        pytest.param("localhost:", "http", "http://localhost/r", id="empty-port"),
    ],
)
def test_a_port_is_the_default_of_the_scheme_that_the_uri_has(host, scheme, uri):
    """Z15: a proof for `http://localhost/r` is none for port 443."""
    assert _uri(host, scheme=scheme) == _uri(host, scheme=scheme, allowed=[host]) == uri


@pytest.mark.parametrize(
    ("host", "scheme", "allowed"),
    [
        pytest.param("localhost:443", "http", "localhost", id="https-port-over-http"),
        pytest.param("localhost:80", "https", "localhost", id="http-port-over-https"),
        pytest.param("localhost", "http", "localhost:443", id="http-port-for-https-port"),
    ],
)
def test_a_host_that_is_listed_with_another_port_is_not_served(host, scheme, allowed):
    """Z15."""
    assert _reason(host, scheme=scheme, allowed=[allowed]) == Reason.HOST_NOT_ALLOWED


def test_of_several_public_urls_none_is_taken_for_the_port_of_another_scheme():
    """Z15."""
    resolve = PublicURL(["http://localhost", "https://127.0.0.1"])
    served = {"localhost": "http://localhost/r", "localhost:80": "http://localhost/r"}
    served |= {"127.0.0.1": "https://127.0.0.1/r", "127.0.0.1:443": "https://127.0.0.1/r"}
    for host, uri in served.items():
        assert resolve(http_scope(headers=[("host", host)], scheme="http")) == uri
    for host in ("localhost:443", "127.0.0.1:80"):
        with pytest.raises(InvalidRequest) as refused:
            resolve(http_scope(headers=[("host", host)], scheme="http"))
        assert refused.value.reason == Reason.HOST_NOT_ALLOWED


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
    with pytest.raises(InvalidRequest) as refused:
        _uri(host, allowed=["api.example.com:8443", "another.example"])
    facts = refused.value.facts
    assert (facts["host"], facts.get("served")) == (host, told)
    assert ("$http_host" in facts.get("hint", "")) == (told is not None)
    assert "8443" not in refused.value.description


@pytest.mark.requirement("R-4.3-13")
@pytest.mark.parametrize(
    ("raw_path", "outcome"),
    [
        pytest.param(b"http://localhost:8000/r?x", "https://localhost:8000/r", id="served"),
        pytest.param(b"http://evil.example/r", Reason.HOST_NOT_ALLOWED, id="not-served"),
        pytest.param(b"http://a@localhost/r", Reason.HOST_MALFORMED, id="malformed"),
    ],
)
def test_an_absolute_target_stands_for_the_host(raw_path, outcome):
    """RFC 9112 §3.2.2: the Host field is then ignored."""
    if isinstance(outcome, Reason):
        assert _reason("localhost", raw_path=raw_path) == outcome
    else:
        assert _uri("elsewhere.example", raw_path=raw_path) == outcome


def test_a_scheme_that_is_none_of_http_is_rejected():
    assert _reason("localhost", scheme="gopher") == Reason.FORWARDED_MALFORMED


@pytest.mark.parametrize(
    ("options", "named"),
    [
        pytest.param({"allowed_hosts": "api.example.com"}, "allowed_hosts", id="one-string"),
        pytest.param({"allowed_hosts": ["https://api.example.com"]}, "allowed_hosts", id="url"),
        pytest.param({"allowed_hosts": ["api.example.com/path"]}, "allowed_hosts", id="path"),
        pytest.param({"allowed_hosts": ["a.example", "a b"]}, "allowed_hosts", id="space"),
        pytest.param({"allowed_hosts": [""]}, "allowed_hosts", id="empty"),
        pytest.param({"allowed_hosts": [3]}, "allowed_hosts", id="N23: a-number"),
        pytest.param({"allowed_hosts": ["a:99999"]}, "allowed_hosts", id="impossible-port"),
        pytest.param({"trusted_proxies": "10.0.0.1"}, "trusted_proxies", id="one-string-of-proxies"),
        pytest.param({"trusted_proxies": ["10.0.0.1/8"]}, "trusted_proxies", id="bits-behind-the-network"),
        pytest.param({"trusted_proxies": ["proxy.internal"]}, "trusted_proxies", id="name"),
        pytest.param({"trusted_proxies": ["*"]}, "trusted_proxies", id="asterisk"),
        pytest.param({"trusted_proxies": ["10.0.0.1"], "forwarded": "both"}, "forwarded", id="both-kinds-of-headers"),
        pytest.param({"forwarded": "forwarded"}, "forwarded", id="headers-of-no-proxies"),
        pytest.param({"forwarded": "x-forwarded"}, "forwarded", id="usual-headers-of-no-proxies"),
        pytest.param({"insecure_http_hosts": ["api"]}, "insecure_http_hosts", id="http-for-no-public-url"),
    ],
)
def test_a_wrong_option_is_named(make_api, options, named):
    with pytest.raises(ValueError, match=rf"^{named}: "):
        make_api(public_url=None, **options)


@pytest.mark.parametrize("host", ["*", "*.example.com", "api.*.com", ".example.com", "*:8443"])
def test_a_pattern_is_rejected_when_it_is_configured(make_api, host):
    """X11: no request has such a host, so nobody would be served; the message says what to do."""
    with pytest.raises(ValueError, match=r"^allowed_hosts: .* is a pattern; list each host by its name"):
        make_api(public_url=None, allowed_hosts=["a.example", host])
    with pytest.raises(ValueError, match=r"^public_url: .* is a pattern"):
        make_api(public_url=f"https://{host}/v1")
