"""Z08: nothing before the signature costs more than two verifications of one, whatever is sent within the limits.

The dearest requests that were found, of before and of now, and others that are drawn.
"""

import pytest
from hypothesis import given, settings, target
from hypothesis import strategies as st

from tests.fuzz.scale import MOST_VERIFICATIONS, Scale
from tests.fuzz.shapes import PIECES, SERVERS, Shape, scope_of

# Within what is normalised at all: just below the bounds of a path.
ODD = (("%c3", 30), ("%41", 29), ("[", 1), ("]", 1), ("|", 1), ("^", 1), ("a", 800))
DOTS = (("a/../", 15), ("%2e%2e/", 16), ("a", 800))
FULL_TOKEN = (("a", 16384),)
FIELDS = (("x", 95),)


@pytest.fixture(scope="module")
def scale():
    return Scale()


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param({"htu": (("%2e%2e/", 600),), "path": (("a", 8000),)}, id="dots-escaped-in-htu"),
        pytest.param({"htu": (("%7e", 1900),), "path": (("%7E", 2700),)}, id="escapes-in-htu-and-path"),
        pytest.param({"htu": (("[|^", 1900),), "path": (("]", 8000),)}, id="brackets-in-htu-and-path"),
        pytest.param({"htu": (("./", 2800),), "path": (("../", 2700),)}, id="dots-in-htu-and-path"),
        pytest.param({"htu": (("/", 5700),), "path": (("/", 8000),)}, id="slashes-in-htu-and-path"),
        pytest.param({"htu": (("a", 5700),), "path": (("a", 8000),)}, id="long-htu-and-path"),
        pytest.param({"htu": (*ODD, ("b", 1)), "path": (*ODD, ("c", 1))}, id="escapes-up-to-the-bound"),
        pytest.param({"htu": (*DOTS, ("b", 1)), "path": (*DOTS, ("c", 1))}, id="dots-up-to-the-bound"),
        pytest.param({"htu": (("?", 1), ("x", 5700))}, id="query-in-htu"),
        pytest.param({"origin": (("h", 5700),)}, id="scheme-of-htu"),
        pytest.param({"origin": (("\u212a", 1900),)}, id="scheme-of-htu-not-ascii"),
        pytest.param({"origin": (("http://", 1), ("a.", 2800))}, id="authority-of-htu"),
        pytest.param({"origin": (("http://", 1), (",", 256))}, id="authority-of-htu-up-to-the-bound"),
        pytest.param({"text": ((",", 5700),)}, id="commas-in-text"),
        pytest.param({"text": (('\\",', 1900),)}, id="escaped-quotes-in-text"),
        pytest.param({"text": (("\\n", 2800),)}, id="escapes-in-text"),
        pytest.param({"text": (("\u00e9", 2800),)}, id="not-ascii-in-text"),
        pytest.param({"text": (("\\u2003", 900),)}, id="blank-jti"),
        pytest.param({"list": (('""', 1900),)}, id="list-of-strings"),
        pytest.param({"list": (("-1.2345678e-200", 300),)}, id="list-of-numbers"),
        pytest.param(
            {"claims": (("-1.2345678e-200", 25),), "header": (("-1.2345678e-200", 27),)}, id="numbers-up-to-the-bound"
        ),
        pytest.param({"claims": (('{"a":1}', 14),), "header": (('{"a":1}', 13),)}, id="objects-up-to-the-bound"),
        pytest.param({"claims": ((f"0.{'1' * 5000}", 1),)}, id="long-number"),
        pytest.param({"garbage": (("{", 1), ('",', 2800))}, id="quotes-and-commas"),
        pytest.param({"garbage": (("{", 1), ("\\,", 2800))}, id="escapes-and-commas"),
        pytest.param({"garbage": ((" ", 5700), ("{}", 1), (" ", 1))}, id="white-space-around"),
        pytest.param({"garbage": (('{"a":', 15), ("1", 1), ("}", 15))}, id="nested"),
        pytest.param({"garbage": (("{", 1), ('"a":1,', 30), ('"a":1}', 1))}, id="one-name-many-times"),
        pytest.param({"jwk": (("_", 5700),)}, id="long-number-in-jwk"),
        pytest.param({"signature": (("A", 7600),)}, id="long-signature"),
        pytest.param({"token": FULL_TOKEN}, id="long-token"),
        pytest.param({"token": (("a", 1), ("=", 16300))}, id="padded-token"),
        pytest.param({"token": (("a", 16300), ("!", 1))}, id="malformed-token"),
        pytest.param({"hops": (("fd00::1", 99),), "fields": FIELDS}, id="hops-that-a-client-made-up"),
        pytest.param({"host": ((":", 16384),)}, id="colons-in-host"),
        pytest.param({"token": FULL_TOKEN, "text": (("x", 5700),), "fields": FIELDS}, id="all-limits"),
        pytest.param(
            {
                "token": FULL_TOKEN,
                "fields": FIELDS,
                "htu": (*ODD, ("b", 1)),
                "path": (*ODD, ("c", 1)),
                "text": (("x", 2000),),
                "claims": (("-1.2345678e-200", 25),),
                "header": (("-1.2345678e-200", 27), (f'"{"x" * 1000}"', 1)),
            },
            id="all-bounds-at-once",
        ),
    ],
)
def test_no_request_costs_much_before_its_signature(scale, parts):
    server = "x-forwarded" if parts.keys() & {"hops", "host"} else "public_url"
    assert scale.weigh(Shape(server, parts)) <= MOST_VERIFICATIONS


RUNS = st.sampled_from((1, 2, 15, 16, 17, 31, 32, 64, 65, 100, 255, 256, 300, 682, 1000, 3000, 8000, 16384))


@st.composite
def shapes(draw):
    """Of some parts, runs of pieces that are read in other ways than the ordinary ones."""
    names = draw(st.lists(st.sampled_from(sorted(PIECES)), max_size=4, unique=True))
    runs = {name: draw(st.lists(st.tuples(st.sampled_from(PIECES[name]), RUNS), max_size=4)) for name in names}
    return Shape(draw(st.sampled_from(sorted(SERVERS))), runs, rsa=draw(st.integers(0, 9)) == 9)


@given(shape=shapes())
def test_no_request_that_is_drawn_costs_much_before_its_signature(scale, shape):
    """With `--explore`, others, and hypothesis goes on from what costs more: by time, which is never the same twice."""
    headers = scope_of(shape)["headers"]
    assert max(len(value) for name, value in headers if name == b"dpop") <= 8192
    weight = scale.weigh(shape)
    if settings.get_current_profile_name() == "explore":
        target(weight)
    assert weight <= MOST_VERIFICATIONS
