"""One way to read base64url and JSON, or none."""

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import example, given
from hypothesis import strategies as st

from dpop_asgi.core.encoding import b64url_decode, split_jws
from dpop_asgi.core.jwk import ecdsa_der
from dpop_asgi.core.strict_json import strict_json_object


@pytest.mark.requirement("R-4.3-02")
@pytest.mark.parametrize(
    "segment",
    [
        pytest.param(b"YQ==", id="padding"),
        pytest.param(b"YQ=", id="half-padding"),
        pytest.param(b"Y", id="one-character"),
        pytest.param(b"YR", id="loose-bits-in-two"),
        pytest.param(b"YWF", id="loose-bits-in-three"),
        pytest.param(b"YWFh\n", id="line-feed"),
    ],
)
def test_what_is_not_strict_base64url_is_refused(segment):
    with pytest.raises(ValueError, match=r"."):
        b64url_decode(segment)


@pytest.mark.requirement("R-4.3-02")
def test_base64url_has_no_other_characters():
    for number in set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"):
        for segment in (b"Y%cFh" % number, b"YW%c%cFg" % (number, number)):
            with pytest.raises(ValueError, match=r"."):
                b64url_decode(segment)


@given(st.integers(0, 2**256 - 1), st.integers(0, 2**256 - 1))
@example(0, 0)
@example(127, 128)
@example(2**255 - 1, 2**255)
def test_a_signature_is_encoded_as_cryptography_does_it(r, s):
    assert ecdsa_der(r.to_bytes(32, "big") + s.to_bytes(32, "big")) == encode_dss_signature(r, s)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("{}", {}, id="empty"),
        pytest.param(
            ' {"a" : [1, 2.5, -3, 1e2, true, null, "x"]} ', {"a": [1, 2.5, -3, 100.0, True, None, "x"]}, id="all"
        ),
        pytest.param('{"a":{"b":{}}, "c":{"b":1}}', {"a": {"b": {}}, "c": {"b": 1}}, id="same-name-elsewhere"),
        pytest.param('{"é":"\\u00e9"}', {"é": "é"}, id="unicode"),
        pytest.param('{"a":"\\ud800"}', {"a": "\ud800"}, id="lone-surrogate"),
        pytest.param('{"a":9223372036854775807}', {"a": 2**63 - 1}, id="largest-number"),
        pytest.param('{"a":"x,y"}', {"a": "x,y"}, id="a-comma-is-text"),
        pytest.param('{"a":"{","b":[]}', {"a": "{", "b": []}, id="a-bracket-is-text"),
        pytest.param('{"a":",,"}', {"a": ",,"}, id="two-commas-are-text"),
    ],
)
def test_strict_json_is_read_as_it_is(text, value):
    assert strict_json_object(text.encode()) == value


@pytest.mark.requirement("R-4.2-11", "R-4.3-05", "H-05")
@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b'{"a":"x,y","a":1}', id="name-twice-and-a-comma"),
        pytest.param(b'{"a":1,"\\u0061":1}', id="name-twice-by-escape"),
        pytest.param(b'{"a":12345678901234567890}', id="twenty-digits"),
        pytest.param(b'{"a":1.23456789012345678901234}', id="fraction-of-25-characters"),
        pytest.param(b'\v{"a":1}', id="vertical-tab-in-front"),
        pytest.param(b'{"a":1}\f', id="form-feed-behind"),
        pytest.param(b'{"a":1,}', id="trailing-comma"),
        pytest.param(b"{'a':1}", id="single-quotes"),
        pytest.param(b'{"a":1}//x', id="comment"),
        pytest.param(b'{"a":"\xed\xa0\x80"}', id="surrogate-in-utf-8"),
    ],
)
def test_what_parsers_could_differ_about_is_refused(raw):
    """More is in the table of hostile proofs."""
    with pytest.raises(ValueError, match=r"."):
        strict_json_object(raw)


@pytest.mark.parametrize("openers", [127, 128])
def test_the_bound_on_brackets_is_exact(openers):
    raw = b'{"a":' + b"[" * (openers - 1) + b"]" * (openers - 1) + b"}"
    assert strict_json_object(raw, most_openers=openers)
    with pytest.raises(ValueError, match="deeply"):
        strict_json_object(raw, most_openers=openers - 1)


def test_a_compact_jws_is_taken_apart():
    assert split_jws(b"a.b.c") == (b"a.b", b"a", b"b", b"c")


@pytest.mark.parametrize("value", [b"", b"a", b"a.b", b"a.b.", b"a.b.c.d", b".."])
def test_what_has_not_three_parts_with_a_signature_is_no_compact_jws(value):
    with pytest.raises(ValueError, match=r"."):
        split_jws(value)
