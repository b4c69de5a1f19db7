"""Every bound on what one request may bring: what is exactly at it passes, what is just over it is rejected."""

import json
from contextlib import nullcontext

import pytest

from dpop_asgi import Reason
from dpop_asgi.asgi import forwarded, request_path
from dpop_asgi.core import htu, strict_json
from dpop_asgi.core.jwk import import_public_key
from dpop_asgi.errors import InvalidRequest
from tests.support.api import http_scope
from tests.support.collection import over
from tests.support.keys import number

BEHIND_A_PROXY = {"public_url": None, "allowed_hosts": ["rs.example"], "trusted_proxies": ["10.0.0.0/8"]}


# The object itself is one bracket, `jwk` another. Those of claims, and other limits, are in `differential/test_rules`.
@over(strict_json._MOST_OPENERS - 2)
async def test_most_openers_in_a_header(api, size, over):
    header = {"x": json.loads("[" * size + "]" * size)}
    if over:
        assert await api.reason(header=header) is Reason.PROOF_MALFORMED
    else:
        assert await api.passes(header=header)


async def test_commas_in_text_are_no_values(api):
    many = "/" + ",".join(["12"] * strict_json._MOST_VALUES * 4)
    assert await api.passes(path=many)
    assert await api.passes(claims={"x": '\\",' * strict_json._MOST_VALUES})


@over(htu._MOST_STEPS)
@pytest.mark.parametrize(
    ("spelled", "plain"),
    [
        pytest.param(lambda steps: "/" + "%c3" * steps, lambda steps: "/" + "%C3" * steps, id="case-of-escapes"),
        pytest.param(lambda steps: "/" + "%7e" * steps, lambda steps: "/" + "~" * steps, id="unreserved-escapes"),
        pytest.param(lambda steps: "/" + "[" * steps, lambda steps: "/" + "%5B" * steps, id="raw-by-browsers"),
        pytest.param(lambda slashes: "/." + "/a" * (slashes - 1), lambda slashes: "/a" * (slashes - 1), id="dots"),
    ],
)
def test_most_steps_of_a_path(spelled, plain, size, over):
    """Z08: a path that takes more of them is the same as one that is spelled alike."""
    assert (htu.normalise_path(spelled(size)) == htu.normalise_path(plain(size))) is not over
    assert (htu.normalise_path(spelled(size)) == spelled(size)) is over
    assert htu.normalise_path(plain(size)) == plain(size)


@over(htu._LONGEST_PATH)
def test_longest_path_with_a_normal_form(size, over):
    """Z08"""
    path = "/%7e".ljust(size, "x")
    assert (htu.normalise_path(path) == "/~".ljust(size - 2, "x")) is not over
    assert (htu.normalise_path(path) == path) is over


@over(request_path._MAX_TARGET_BYTES)
def test_max_target_bytes(size, over):
    scope = http_scope(path="/" * size, raw_path=b"/" * size + b"?" + b"q" * 10_000)
    if not over:
        assert request_path.path_of(scope) == "/" * size
        return
    with pytest.raises(InvalidRequest) as refused:
        request_path.path_of(scope)
    assert (refused.value.reason, refused.value.facts) == (Reason.TARGET_MALFORMED, {"size": size})


def test_the_longest_name_and_port_are_within_max_authority():
    assert htu.normalise_authority("h" * 253 + ".:65535", "https") is not None


@over(forwarded._MAX_HOPS)
@pytest.mark.parametrize("lines", [1, 2], ids=["one-field", "two-fields"])
@pytest.mark.parametrize("forwarded", ["x-forwarded", "forwarded"])
async def test_max_hops(make_api, forwarded, lines, size, over):
    api = make_api(**BEHIND_A_PROXY, forwarded=forwarded)
    hop, name = ("10.0.0.1", "x-forwarded-for") if forwarded == "x-forwarded" else ("for=10.0.0.1", "forwarded")
    also = [(name, ", ".join([hop] * (size - lines + 1))), *[(name, hop)] * (lines - 1)]
    if over:
        assert await api.reason(also=also) is Reason.FORWARDED_MALFORMED
    else:
        assert await api.passes(also=also)


@pytest.mark.parametrize(("bits", "fits"), [(17, True), (32, True), (33, False), (64, False)])
def test_rsa_exponent_bits(bits, fits):
    members = {"kty": "RSA", "n": number(2**2048 - 1), "e": number(2 ** (bits - 1) + 1)}
    with nullcontext() if fits else pytest.raises(ValueError, match=r"."):
        import_public_key(members, "PS256")


@pytest.mark.parametrize("length", [10, 7000])
async def test_a_line_of_the_log_has_at_most_two_kilobytes(api, caplog, length):
    caplog.set_level("DEBUG")
    await api.reason(path="/" + "p" * length, claimed="/q")
    _start, line = [record.getMessage() for record in caplog.records if record.name == "dpop_asgi"]
    assert line.startswith('rejected: target_mismatch path="/p')
    assert 'expected="https://rs.example/p' in line
    assert len(line) <= 2000
    assert 'received="https://rs.example/q"' in line
