"""When two target URIs are the same, and when not (the table of the vectors is in test_vectors)."""

import pytest

from dpop_asgi.core.htu import doubled_prefix, normalise, normalise_authority, normalise_path


@pytest.mark.requirement("R-4.3-10")
@pytest.mark.parametrize(
    ("uri", "normal"),
    [
        pytest.param("http://a.example:80/", "http://a.example/", id="default-port-http"),
        pytest.param("https://a.example:0443/", "https://a.example/", id="default-port-with-zero"),
        pytest.param("https://a.example:80/", "https://a.example:80/", id="port-of-the-other-scheme"),
        pytest.param("https://a.example:65535/", "https://a.example:65535/", id="last-port"),
        pytest.param("https://[2001:DB8::A]:8443/", "https://[2001:db8::a]:8443/", id="ipv6-case-and-port"),
        pytest.param("https://[::ffff:10.0.0.1]/", "https://[::ffff:10.0.0.1]/", id="ipv4-mapped"),
        pytest.param("https://a.example/%25%37%45", "https://a.example/%257E", id="decoded-once-only"),
        pytest.param("https://a.example/../../b", "https://a.example/b", id="above-the-root"),
        pytest.param("https://a.example/a/b/..", "https://a.example/a/", id="dot-dot-at-the-end"),
        pytest.param("https://a.example/a/.", "https://a.example/a/", id="dot-at-the-end"),
        pytest.param("https://a.example//a//../b", "https://a.example//a/b", id="empty-segments-count"),
        pytest.param("https://a.example/[a|b^]", "https://a.example/%5Ba%7Cb%5E%5D", id="left-raw-by-browsers"),
        pytest.param("https://a.example?x", "https://a.example/", id="query-behind-the-host"),
        pytest.param("https://a.example#x", "https://a.example/", id="fragment-behind-the-host"),
        pytest.param("https://a.example/mcp;v=1", "https://a.example/mcp;v=1", id="path-parameter"),
        pytest.param("https://a.example/http://b.example/c", "https://a.example/http://b.example/c", id="uri-in-path"),
    ],
)
def test_a_uri_has_one_normal_form(uri, normal):
    """Paths are spelled in every way by `tests/test_properties.py`."""
    assert normalise(uri) == normal
    assert normalise(normal) == normal


@pytest.mark.requirement("R-4.3-10", "R-4.3-11")
@pytest.mark.parametrize("length", [1000, 1100, 8000])
def test_of_a_long_uri_scheme_and_authority_have_a_normal_form(length):
    tail = "x" * length
    assert normalise(f"HTTPS://A.example:443/{tail}?y#z") == f"https://a.example/{tail}"
    assert normalise(f"wss://a.example/{tail}", websocket=True) == f"https://a.example/{tail}"
    assert normalise(f"https://a.example/{tail} ") is None
    assert normalise(f"https://user@a.example/{tail}") is None


@pytest.mark.requirement("R-4.3-10", "R-4.3-11")
@pytest.mark.parametrize("secret", [100, 8000])
def test_a_query_of_any_length_is_no_part_of_it(secret):
    """Z08"""
    assert normalise(f"https://a.example/%7e?{'x' * secret}") == "https://a.example/~"
    assert normalise(f"https://a.example/%7e#{'x' * secret}?") == "https://a.example/~"


@pytest.mark.requirement("R-4.3-11")
@pytest.mark.parametrize(
    "uri",
    [
        pytest.param("", id="empty"),
        pytest.param("//a.example/a", id="without-scheme"),
        pytest.param("https:/a.example/a", id="one-slash"),
        pytest.param("https:///a", id="no-host"),
        pytest.param("https://:443/a", id="port-alone"),
        pytest.param("https://a.example:65536/a", id="port-65536"),
        pytest.param("https://a.example:000443/a", id="port-of-six-digits"),
        pytest.param("https://a.example:٤٤٣/a", id="port-arabic-digits"),
        pytest.param("https://[::1/a", id="bracket-open"),
        pytest.param("https://[::1]x/a", id="behind-the-bracket"),
        pytest.param("https://[fe80::1%25eth0]/a", id="zone"),
        pytest.param("http\u017f://a.example/a", id="long-s"),
        pytest.param("https://\u212a.example/a", id="kelvin-sign"),
        pytest.param("https://a.example/%", id="escape-without-digits"),
        pytest.param("https://a.example/%2", id="escape-cut"),
        pytest.param("https://a.example/%zz", id="escape-not-hex"),
    ],
)
def test_what_is_no_uri_has_no_normal_form(uri):
    assert normalise(uri) is None


LETTERS_AND_MARKS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;="


@pytest.mark.requirement("R-4.3-11")
@pytest.mark.parametrize(
    ("uri", "allowed"),
    [
        pytest.param("{}https://a.example/a", "", id="in-front"),
        pytest.param("https://a{}b/a", LETTERS_AND_MARKS + "/?#", id="host"),
        pytest.param("https://a.example/{}a", LETTERS_AND_MARKS + ":@[]|^/?#", id="path"),
        pytest.param("https://a.example/a{}", LETTERS_AND_MARKS + ":@[]|^/?#", id="end"),
    ],
)
def test_no_other_character_is_part_of_a_uri(uri, allowed):
    for character in map(chr, range(256)):
        assert (normalise(uri.format(character)) is not None) is (character in allowed)


@pytest.mark.requirement("R-4.3-11", "R-4.3-14")
@pytest.mark.parametrize(
    ("one", "two"),
    [
        pytest.param("/a", "//a", id="leading-double-slash"),
        pytest.param("/mcp", "/mcp;v=1", id="path-parameter"),
        pytest.param("/a+b", "/a%20b", id="plus-is-no-space"),
        pytest.param("/a%3Fb", "/a", id="escaped-question-mark"),
        pytest.param("/a%00", "/a", id="escaped-nul"),
        pytest.param("/a:b", "/a%3Ab", id="escaped-colon"),
        pytest.param("/caf%C3%A9", "/cafe%CC%81", id="unicode-forms"),
    ],
)
def test_paths_that_differ_stay_different(one, two):
    first, second = normalise_path(one), normalise_path(two)
    assert None not in {first, second}
    assert first != second


@pytest.mark.requirement("R-4.3-11")
@pytest.mark.parametrize(
    ("one", "two"),
    [
        pytest.param("a.example", "a.example.", id="trailing-dot"),
        pytest.param("a.example", "www.a.example", id="subdomain"),
        pytest.param("127.0.0.1", "127.1", id="short-ipv4"),
        pytest.param("[::1]", "[0:0:0:0:0:0:0:1]", id="long-ipv6"),
    ],
)
def test_hosts_that_differ_stay_different(one, two):
    first, second = normalise_authority(one, "https"), normalise_authority(two, "https")
    assert None not in {first, second}
    assert first != second


@pytest.mark.requirement("R-4.3-16")
def test_websocket_schemes_count_only_where_they_are_asked_for():
    assert normalise("wss://a.example:443/x", websocket=True) == "https://a.example/x"
    assert normalise("ws://a.example:80/x", websocket=True) == "http://a.example/x"
    assert normalise("wss://a.example:80/x", websocket=True) == "https://a.example:80/x"
    assert normalise("HTTPS://a.example/x", websocket=True) == "https://a.example/x"
    assert normalise("WSS://a.example/x", websocket=True) == "https://a.example/x"
    assert normalise("wss://a.example/x") is None


@pytest.mark.parametrize(
    ("expected", "received", "prefix"),
    [
        pytest.param("/a/b/a/b/r", "/a/b/r", "/a/b", id="of-two-segments"),
        pytest.param("/api/api", "/api", "/api", id="nothing-below"),
        pytest.param("/api/api/api/r", "/api/api/r", "/api", id="three-times"),
        pytest.param("/api/r", "/r", "", id="once-and-not-at-all"),
        pytest.param("/api/apix", "/apix", "", id="another-segment"),
        pytest.param("/api/api/r", "/api/s", "", id="another-path"),
        pytest.param("/r", "/r", "", id="same"),
        pytest.param("/a/", "/", "", id="root"),
    ],
)
def test_a_prefix_that_is_duplicated_is_found(expected, received, prefix):
    """Y09."""
    assert doubled_prefix(f"https://a.example{expected}", f"http://b.example:8080{received}") == prefix
    assert doubled_prefix(f"https://a.example{expected}", "") == ""
