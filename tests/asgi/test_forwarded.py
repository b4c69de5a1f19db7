"""What proxies say is believed when they are trusted, and only what the proxy itself wrote."""

import pytest

from dpop_asgi import InvalidRequest, Reason
from dpop_asgi.asgi.target_uri import RequestURL
from tests.support.api import call, http_scope

PROXY = "10.0.0.9"
NETWORK = ["10.0.0.0/24", "2001:db8::/64"]
HOSTS = ["localhost", "rs.example", "inner:8000", "evil.example"]


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
TRUSTED = (PROXY, "10.0.0.255", "2001:db8::99", "::ffff:10.0.0.9")
OTHERS = ("10.0.1.9", "203.0.113.5", "2001:db8:1::1", "::1", "127.0.0.1", "proxy", "testclient")


@pytest.mark.requirement("R-4.3-13", "R-4.3-15")
@pytest.mark.parametrize(
    ("options", "uri"),
    [
        *(pytest.param({"peer": peer}, "https://rs.example/r", id=peer) for peer in TRUSTED),
        *(pytest.param({"peer": peer}, IGNORED, id=f"another-{peer}") for peer in OTHERS),
        *(pytest.param({"trusted": (), "peer": peer}, IGNORED, id=f"not-even-{peer}") for peer in (PROXY, "127.0.0.1")),
        pytest.param({"trusted": (), "forwarded": "forwarded"}, IGNORED, id="nobody-is-trusted-with-forwarded"),
        pytest.param({"trusted": ["unix"]}, IGNORED, id="trust-in-unix-sockets-is-none-in-addresses"),
    ],
)
def test_a_trusted_proxy_is_believed_and_nobody_else(options, uri):
    assert _uri([*SAID, ("forwarded", "host=rs.example;proto=https")], **options) == uri


@pytest.mark.parametrize("client", [None, ("", 0), (None, None)], ids=repr)
def test_the_peer_on_a_unix_socket_is_believed_where_unix_is_trusted(client):
    said = http_scope(headers=[("host", "inner:8000"), *SAID], scheme="http", client=client)
    assert RequestURL(allowed_hosts=HOSTS, trusted_proxies=["unix"])(said) == "https://rs.example/r"
    assert RequestURL(allowed_hosts=HOSTS, trusted_proxies=NETWORK)(said) == IGNORED


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


def _x(*, hosts=(), protos=(), hops=(), **more):
    """Forwarding headers, with a line for each value."""
    lines = {"host": hosts, "proto": protos, "for": hops, **more}
    return [(f"x-forwarded-{name}", value) for name, values in lines.items() for value in values]


RS, LOCAL = "https://rs.example/r", ["localhost"]
X_FORWARDED = [
    pytest.param(_x(protos=["HTTPS"]), IGNORED, id="scheme-alone"),
    pytest.param(_x(protos=[""]), IGNORED, id="empty-scheme"),
    pytest.param(_x(protos=["https"], hosts=LOCAL), "https://localhost/r", id="https"),
    pytest.param(_x(protos=["wss"], hosts=LOCAL), "https://localhost/r", id="wss"),
    pytest.param(_x(protos=["http"], hosts=LOCAL), "http://localhost/r", id="http"),
    pytest.param([*SAID, ("x-forwarded-prefix", "/evil")], RS, id="a-prefix-is-never-believed"),
    pytest.param([*SAID, *_x(hops=["203.0.113.5, 10.0.0.8"])], RS, id="two-proxies-one-value"),
    pytest.param(
        _x(
            hops=["6.6.6.6, 203.0.113.5, 10.0.0.8"],
            protos=["http, https, http"],
            hosts=["evil.example, rs.example, inner:8000"],
        ),
        RS,
        id="what-the-client-wrote-itself-is-skipped",
    ),
    pytest.param(
        _x(hops=["10.0.0.66, 203.0.113.5, 10.0.0.8"], hosts=["evil.example, rs.example, inner:8000"]),
        RS,
        id="a-client-that-claims-to-be-a-proxy",
    ),
    pytest.param(
        _x(hops=["6.6.6.6", "203.0.113.5"], hosts=["evil.example", "rs.example"]), RS, id="several-lines-are-one-list"
    ),
    *(
        pytest.param(_x(hops=[hops], protos=["https, http"], hosts=["rs.example, inner:8000"]), RS, id=f"X13-{hops}")
        for hops in [
            "203.0.113.7:52314, 10.0.0.4:41234",
            "203.0.113.7, [2001:db8::7]:123",
            "2001:db9::1, 2001:db8::7",
            "[2001:db9::1]:80, [2001:db8::7]",
            "10.0.0.4:evil, 10.0.0.5",
            "unknown, 10.0.0.4:41234",
            "2001:db9::10, ::ffff:10.0.0.4",
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
        *(pytest.param(_x(hosts=[host]), id=f"host-{host}") for host in ["", "rs.example/evil?"]),
        pytest.param(_x(hosts=["evil.example, rs.example"]), id="more-hosts-than-hops"),
        pytest.param(_x(protos=["http, https"], hops=["1.2.3.4"]), id="more-schemes-than-hops"),
        pytest.param(_x(protos=["gopher"]), id="another-scheme"),
    ],
)
def test_malformed_x_forwarded_headers_are_rejected(said):
    assert _reason(said) == Reason.FORWARDED_MALFORMED


CLIENT = "for=203.0.113.5;host=rs.example"
FORWARDED = [
    pytest.param(['Host="rs.example"; Proto="https"'], RS, id="quoted"),
    pytest.param(["proto=https;host=rs.example;for=203.0.113.5;by=10.0.0.9"], RS, id="all-four"),
    pytest.param(["host=localhost;proto=https"], "https://localhost/r", id="https"),
    pytest.param([f"{CLIENT}, for=10.0.0.8;host=inner:8000"], RS, id="two"),
    pytest.param([f"for=6.6.6.6;host=evil.example, {CLIENT}, for=10.0.0.8"], RS, id="what-the-client-wrote-is-skipped"),
    pytest.param(['for="\\', *['for="\\a"'] * 97, CLIENT, "for=10.0.0.8"], RS, id="Z08-what-it-wrote-is-not-read"),
    pytest.param(["for=6.6.6.6;host=evil.example", CLIENT], RS, id="two-lines"),
    pytest.param(['for="[2001:db9::1]:5";host=rs.example, for="[2001:db8::7]:6"'], RS, id="address-with-port"),
    pytest.param(["for=203.0.113.5:999;host=rs.example, for=10.0.0.8:1"], RS, id="ports"),
    pytest.param(["for=unknown;host=rs.example, for=10.0.0.8"], RS, id="unknown-client"),
    pytest.param(["for=_hidden;host=rs.example"], RS, id="hidden-client"),
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
        pytest.param("proto=gopher", id="another-scheme"),
        pytest.param('host=""', id="empty-host"),
    ],
)
def test_a_malformed_forwarded_header_is_rejected(line):
    assert _reason([("forwarded", line)], forwarded="forwarded") == Reason.FORWARDED_MALFORMED


@pytest.mark.parametrize(("trusted", "status"), [("10.0.0.9", 200), ("10.0.0.1", 400)])
async def test_a_request_through_a_trusted_proxy_passes_as_the_client_addressed_it(make_api, trusted, status):
    api = make_api(public_url=None, allowed_hosts=["rs.example"], trusted_proxies=[trusted])
    headers = [("host", "inner"), ("x-forwarded-host", "rs.example"), *(await api.fields()).items()]
    assert (await call(api.app, http_scope(headers=headers, scheme="http"))).status == status


async def test_a_function_of_ones_own_can_say_what_the_uri_is(make_api):
    api = make_api(public_url=None, target_uri=lambda scope: f"https://rs.example{scope['path']}")
    assert (await api.request()).status == 200
