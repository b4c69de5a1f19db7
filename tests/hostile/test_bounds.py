"""Every bound on what one request may bring: what is exactly at it passes, what is just over it is rejected."""

import json
from contextlib import nullcontext

import pytest

from dpop_asgi import Reason
from dpop_asgi.asgi import forwarded, request_path
from dpop_asgi.core import htu, proof, strict_json
from dpop_asgi.core.jwk import import_public_key
from dpop_asgi.errors import InvalidRequest
from dpop_asgi.tokens import signed_token
from tests.support.api import http_scope
from tests.support.collection import over
from tests.support.keys import number

BEHIND_A_PROXY = {"public_url": None, "allowed_hosts": ["rs.example"], "trusted_proxies": ["10.0.0.0/8"]}


@pytest.mark.parametrize("field", ["Authorization", "DPoP"])
async def test_nothing_is_decoded_of_what_is_too_large(api, monkeypatch, field):
    decoded = []
    for module in (proof, signed_token):
        monkeypatch.setattr(module, "b64url_decode", decoded.append)
    await api.reason(drop={field}, also=[(field, "DPoP " * (field == "Authorization") + "a" * 17_000)])
    assert decoded == []


def nested(brackets):
    """A claim with so many opening brackets."""
    return json.loads("[" * brackets + "]" * brackets)


# The object itself is one bracket, `jwk` another. Those of claims, and other limits, are in `differential/test_rules`.
@over(strict_json._MOST_OPENERS - 2)
async def test_most_openers_in_a_header(api, size, over):
    await _malformed_only_if(over, api, header={"x": nested(size)})


async def test_commas_in_text_are_no_values(api):
    many = "/" + ",".join(["12"] * strict_json._MOST_VALUES * 4)
    assert await api.passes(path=many)
    await _malformed_only_if(False, api, claims={"x": '\\",' * strict_json._MOST_VALUES})


async def _malformed_only_if(over, api, **changes):
    if over:
        assert await api.reason(**changes) is Reason.PROOF_MALFORMED
    else:
        assert await api.passes(**changes)


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


@over(htu._MAX_AUTHORITY)
async def test_max_authority_of_a_host(make_api, size, over):
    api = make_api(public_url=None, allowed_hosts=["rs.example"])
    expected = Reason.HOST_MALFORMED if over else Reason.HOST_NOT_ALLOWED
    assert await api.reason(host="h" * size) is expected


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


@pytest.mark.parametrize(("size", "reason"), [(64, Reason.NONCE_UNKNOWN), (65, Reason.NONCE_MALFORMED)])
async def test_max_nonce_length(api, size, reason):
    assert await api.reason(nonce="n" * size) is reason


@pytest.mark.parametrize(("bits", "fits"), [(17, True), (32, True), (33, False), (64, False)])
def test_rsa_exponent_bits(bits, fits):
    members = {"kty": "RSA", "n": number(2**2048 - 1), "e": number(2 ** (bits - 1) + 1)}
    with nullcontext() if fits else pytest.raises(ValueError, match=r"."):
        import_public_key(members, "PS256")


async def test_a_jti_has_no_bound_but_that_of_the_proof(api):
    assert await api.passes(claims={"jti": "j" * 5000})
    assert await api.reason(claims={"jti": "j" * 5000}) is Reason.PROOF_REPLAYED


@pytest.mark.parametrize("length", [10, 7000])
async def test_a_line_of_the_log_has_at_most_two_kilobytes(api, caplog, length):
    caplog.set_level("DEBUG")
    await api.reason(path="/" + "p" * length, claimed="/q")
    _start, line = [record.getMessage() for record in caplog.records if record.name == "dpop_asgi"]
    assert line.startswith('rejected: target_mismatch path="/p')
    assert 'expected="https://rs.example/p' in line
    assert len(line) <= 2000
    assert 'received="https://rs.example/q"' in line


async def test_a_request_that_is_rejected_writes_one_line(api, caplog):
    await api.reason(claims={"ath": "x"})
    caplog.set_level("DEBUG")
    for _ in range(100):
        await api.reason(claims={"ath": "x"})
    assert len(caplog.records) == 100
