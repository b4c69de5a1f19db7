"""What proxies say is believed when they are trusted, and only what the proxy itself wrote."""

import pytest

from dpop_asgi import InvalidRequest, Reason
from dpop_asgi.asgi.target_uri import RequestURL
from tests.support.api import call, http_scope

PROXY = "10.0.0.9"
NETWORK = ["10.0.0.0/24", "2001:db8::/64"]
HOSTS = ["localhost", "rs.example", "inner:8000", "evil.example", "[2001:db8::5]:8443"]


def _uri(said, *, peer=PROXY, trusted=NETWORK, forwarded="x-forwarded", hosts=HOSTS, client=None):
    resolve = RequestURL(allowed_hosts=hosts, trusted_proxies=trusted, forwarded=forwarded)
    headers = [("host", "inner:8000"), *said]
    scope = http_scope(headers=headers, scheme="http", client=client or (peer, 1234))
    return resolve(scope)


def _reason(said, **options):
    with pytest.raises(InvalidRequest) as refused:
        _uri(said, **options)
    return refused.value.reason


SAID = [("x-forwarded-proto", "https"), ("x-forwarded-host", "rs.example")]
IGNORED = "https://inner:8000/r"


@pytest.mark.requirement("R-4.3-13", "R-4.3-15")
@pytest.mark.parametrize("peer", [PROXY, "10.0.0.255", "2001:db8::99", "::ffff:10.0.0.9"], ids=str)
def test_a_trusted_proxy_is_believed(peer):
    assert _uri(SAID, peer=peer) == "https://rs.example/r"


@pytest.mark.requirement("R-4.3-13")
@pytest.mark.parametrize("peer", ["10.0.1.9", "203.0.113.5", "2001:db8:1::1", "::1", "proxy", "testclient"], ids=str)
def test_anybody_else_is_not_believed(peer):
    assert _uri(SAID, peer=peer) == IGNORED


@pytest.mark.requirement("R-4.3-13")
@pytest.mark.parametrize("forwarded", ["x-forwarded", "forwarded"])
def test_without_trusted_proxies_nobody_is_believed(forwarded):
    said = [*SAID, ("forwarded", "host=rs.example;proto=https")]
    assert _uri(said, trusted=(), forwarded=forwarded) == IGNORED


@pytest.mark.parametrize("client", [None, ("", 0), (None, None)], ids=repr)
def test_the_peer_on_a_unix_socket_is_believed_where_unix_is_trusted(client):
    said = http_scope(headers=[("host", "inner:8000"), *SAID], scheme="http", client=client)
    assert RequestURL(allowed_hosts=HOSTS, trusted_proxies=["unix"])(said) == "https://rs.example/r"
    assert RequestURL(allowed_hosts=HOSTS, trusted_proxies=NETWORK)(said) == IGNORED


def test_trust_in_unix_sockets_is_no_trust_in_addresses():
    assert _uri(SAID, trusted=["unix"]) == IGNORED


def test_only_the_chosen_kind_of_headers_is_read():
    both = [*SAID, ("forwarded", "host=evil.example;proto=http")]
    assert _uri(both) == "https://rs.example/r"
    assert _uri(both, forwarded="forwarded") == "https://evil.example/r"


@pytest.mark.requirement("R-4.3-13")
def test_what_a_trusted_proxy_says_must_be_a_host_that_is_served():
    assert _reason([("x-forwarded-host", "rs.example")], hosts=["inner:8000"]) == Reason.HOST_NOT_ALLOWED


def test_a_proxy_that_says_nothing_leaves_the_request_as_it_is():
    assert _uri([]) == IGNORED
    assert _uri([], forwarded="forwarded") == IGNORED


X_FORWARDED = [
    pytest.param([("x-forwarded-proto", "HTTPS")], "https://inner:8000/r", id="scheme-alone"),
    pytest.param([("x-forwarded-proto", "")], "https://inner:8000/r", id="empty-scheme"),
    pytest.param([("x-forwarded-proto", "http"), SAID[1]], "https://rs.example/r", id="http-elsewhere-is-https"),
    pytest.param(
        [("x-forwarded-proto", "https"), ("x-forwarded-host", "localhost")], "https://localhost/r", id="https"
    ),
    pytest.param([("x-forwarded-proto", "wss"), ("x-forwarded-host", "localhost")], "https://localhost/r", id="wss"),
    pytest.param([("x-forwarded-proto", "http"), ("x-forwarded-host", "localhost")], "http://localhost/r", id="http"),
    pytest.param([*SAID, ("x-forwarded-host", "RS.example:443")][::2], "https://rs.example/r", id="default-port"),
    pytest.param([*SAID, ("x-forwarded-prefix", "/evil")], "https://rs.example/r", id="a-prefix-is-never-believed"),
    pytest.param([*SAID, ("x-forwarded-for", "203.0.113.5")], "https://rs.example/r", id="one-hop"),
    pytest.param(
        [*SAID, ("x-forwarded-for", "203.0.113.5, 10.0.0.8")], "https://rs.example/r", id="two-proxies-one-value"
    ),
    pytest.param(
        [
            ("x-forwarded-for", "203.0.113.5, 10.0.0.8"),
            ("x-forwarded-proto", "https, http"),
            ("x-forwarded-host", "rs.example, inner:8000"),
        ],
        "https://rs.example/r",
        id="two-proxies-a-value-each",
    ),
    pytest.param(
        [
            ("x-forwarded-for", "6.6.6.6, 203.0.113.5, 10.0.0.8"),
            ("x-forwarded-proto", "http, https, http"),
            ("x-forwarded-host", "evil.example, rs.example, inner:8000"),
        ],
        "https://rs.example/r",
        id="what-the-client-wrote-itself-is-skipped",
    ),
    pytest.param(
        [
            ("x-forwarded-for", "10.0.0.66, 203.0.113.5, 10.0.0.8"),
            ("x-forwarded-host", "evil.example, rs.example, inner:8000"),
        ],
        "https://rs.example/r",
        id="a-client-that-claims-to-be-a-proxy",
    ),
    pytest.param(
        [
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-for", "203.0.113.5"),
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-host", "rs.example"),
        ],
        "https://rs.example/r",
        id="several-lines-are-one-list",
    ),
    pytest.param([("x-forwarded-host", "[2001:db8::5]:8443")], "https://[2001:db8::5]:8443/r", id="address"),
    *(
        pytest.param(
            [
                ("x-forwarded-for", f"{client}, {proxy}"),
                ("x-forwarded-proto", "https, http"),
                ("x-forwarded-host", "rs.example, inner:8000"),
            ],
            "https://rs.example/r",
            id=f"X13-{client}-and-{proxy}",
        )
        for client, proxy in [
            ("203.0.113.7:52314", "10.0.0.4:41234"),
            ("203.0.113.7", "[2001:db8::7]:123"),
            ("2001:db9::1", "2001:db8::7"),
            ("[2001:db9::1]:80", "[2001:db8::7]"),
            ("10.0.0.4:evil", "10.0.0.5"),
            ("unknown", "10.0.0.4:41234"),
            ("2001:db9::10", "::ffff:10.0.0.4"),
        ]
    ),
]


@pytest.mark.requirement("R-4.3-13", "R-4.3-14")
@pytest.mark.parametrize(("said", "uri"), X_FORWARDED)
def test_x_forwarded_headers_are_read(said, uri):
    assert _uri(said) == uri


@pytest.mark.requirement("R-4.3-13")
@pytest.mark.parametrize(
    "said",
    [
        pytest.param([("x-forwarded-host", "evil.example, rs.example")], id="more-hosts-than-hops"),
        pytest.param(
            [("x-forwarded-proto", "http, https"), ("x-forwarded-for", "1.2.3.4")], id="more-schemes-than-hops"
        ),
        pytest.param([("x-forwarded-host", "")], id="empty-host"),
        pytest.param([("x-forwarded-host", "rs.example/evil?")], id="host-with-a-path"),
        pytest.param([("x-forwarded-host", "a@rs.example")], id="host-with-a-user"),
        pytest.param([("x-forwarded-host", "rs.example:99999")], id="impossible-port"),
        pytest.param([("x-forwarded-host", "[::1")], id="half-an-address"),
        pytest.param([("x-forwarded-proto", "gopher")], id="another-scheme"),
    ],
)
def test_malformed_x_forwarded_headers_are_rejected(said):
    assert _reason(said) == Reason.FORWARDED_MALFORMED


FORWARDED = [
    pytest.param(["host=rs.example;proto=https"], "https://rs.example/r", id="plain"),
    pytest.param(['Host="rs.example"; Proto="https"'], "https://rs.example/r", id="quoted"),
    pytest.param(["proto=https;host=rs.example;for=203.0.113.5;by=10.0.0.9"], "https://rs.example/r", id="all-four"),
    pytest.param(["for=203.0.113.5;host=rs.example, for=10.0.0.8;host=inner:8000"], "https://rs.example/r", id="two"),
    pytest.param(
        ["for=6.6.6.6;host=evil.example, for=203.0.113.5;host=rs.example, for=10.0.0.8"],
        "https://rs.example/r",
        id="what-the-client-wrote-itself-is-skipped",
    ),
    pytest.param(
        ['for="\\', *['for="\\a"'] * 97, "for=203.0.113.5;host=rs.example", "for=10.0.0.8"],
        "https://rs.example/r",
        id="Z08-what-the-client-wrote-itself-is-not-read",
    ),
    pytest.param(
        ["for=6.6.6.6;host=evil.example", "for=203.0.113.5;host=rs.example"], "https://rs.example/r", id="two-lines"
    ),
    pytest.param(
        ['for="[2001:db9::1]:5";host=rs.example, for="[2001:db8::7]:6"'], "https://rs.example/r", id="address-with-port"
    ),
    pytest.param(["for=203.0.113.5:999;host=rs.example, for=10.0.0.8:1"], "https://rs.example/r", id="ports"),
    pytest.param(["for=unknown;host=rs.example, for=10.0.0.8"], "https://rs.example/r", id="unknown-client"),
    pytest.param(["for=_hidden;host=rs.example"], "https://rs.example/r", id="hidden-client"),
    pytest.param(["for=203.0.113.5"], IGNORED, id="neither-host-nor-scheme"),
]


@pytest.mark.requirement("R-4.3-13")
@pytest.mark.parametrize(("lines", "uri"), FORWARDED)
def test_the_forwarded_header_is_read(lines, uri):
    assert _uri([("forwarded", line) for line in lines], forwarded="forwarded") == uri


@pytest.mark.requirement("R-4.3-13")
@pytest.mark.parametrize(
    "line",
    [
        pytest.param("", id="empty"),
        pytest.param("rs.example", id="no-name"),
        pytest.param("host=rs.example;host=evil.example", id="a-name-twice"),
        pytest.param("host=rs.example;Host=evil.example", id="a-name-twice-in-another-case"),
        pytest.param('host="rs.example', id="half-quoted"),
        pytest.param("host=rs.example;", id="nothing-behind-the-semicolon"),
        pytest.param("host=rs.example/evil", id="host-with-a-path"),
        pytest.param("proto=gopher", id="another-scheme"),
        pytest.param('host=""', id="empty-host"),
    ],
)
def test_a_malformed_forwarded_header_is_rejected(line):
    assert _reason([("forwarded", line)], forwarded="forwarded") == Reason.FORWARDED_MALFORMED


async def test_a_request_through_a_trusted_proxy_passes_as_the_client_addressed_it(make_api):
    api = make_api(public_url=None, allowed_hosts=["rs.example"], trusted_proxies=["10.0.0.9"])
    sent = await api.fields()
    headers = [("host", "inner"), ("x-forwarded-host", "rs.example"), *sent.items()]
    assert (await call(api.app, http_scope(headers=headers, scheme="http"))).status == 200


async def test_the_same_request_from_elsewhere_is_rejected(make_api):
    api = make_api(public_url=None, allowed_hosts=["rs.example"], trusted_proxies=["10.0.0.1"])
    sent = await api.fields()
    headers = [("host", "inner"), ("x-forwarded-host", "rs.example"), *sent.items()]
    assert (await call(api.app, http_scope(headers=headers, scheme="http"))).status == 400


async def test_a_function_of_ones_own_can_say_what_the_uri_is(make_api):
    api = make_api(public_url=None, target_uri=lambda scope: f"https://rs.example{scope['path']}")
    assert (await api.request()).status == 200
