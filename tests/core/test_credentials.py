"""Exactly one token, exactly one proof."""

import pytest

from dpop_asgi import InvalidProof, InvalidRequest, MissingCredentials, Reason
from dpop_asgi.core.credentials import MAX_AUTHORIZATION_BYTES, IncomingRequest, read_credentials
from dpop_asgi.core.encoding import sha256_b64url

TOKEN = b"Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
PROOF = b"a.b.c"


def read(*authorizations, proofs=(PROOF,)):
    """Credentials from a request with other fields between."""
    fields = [(b"authorization", value) for value in authorizations]
    return read_credentials([(b"host", b"x"), *fields, *((b"dpop", proof) for proof in proofs), (b"accept", b"*/*")])


@pytest.mark.requirement("R-7.1-01", "R-7.1-02")
@pytest.mark.parametrize(
    ("prefix", "scheme"),
    [
        pytest.param(b"DPoP ", "DPoP", id="as-registered"),
        pytest.param(b"dpop ", "DPoP", id="lower-case"),
        pytest.param(b"DPOP   ", "DPoP", id="capitals-and-three-spaces"),
        pytest.param(b"bEaReR  ", "Bearer", id="bearer-in-mixed-case"),
    ],
)
def test_scheme_in_any_case_and_one_or_more_spaces(prefix, scheme):
    credentials = read(prefix + TOKEN)
    assert (credentials.scheme, credentials.token) == (scheme, TOKEN.decode())
    assert credentials.token_hash == sha256_b64url(TOKEN)
    assert credentials.proof() == PROOF


def reason_of(kind, *authorizations):
    with pytest.raises(kind) as refused:
        read(*authorizations)
    return refused.value.reason


@pytest.mark.requirement("R-7.1-03", "R-7.2-01")
def test_a_token_is_a_token68():
    characters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/"
    for token in (b"a==", *(b"a%c" % byte for byte in range(256)), *(b"a%cb" % byte for byte in range(256))):
        if token[1] in characters or token in {b"a=", b"a=="}:
            assert read(b"DPoP " + token).token.encode() == token
        else:
            assert reason_of(InvalidRequest, b"DPoP " + token) is Reason.AUTHORIZATION_MALFORMED


@pytest.mark.requirement("R-7.1-02", "R-7.1-03", "R-6750-06")
@pytest.mark.parametrize(
    ("value", "kind", "reason"),
    [
        pytest.param(b"DPoP", InvalidRequest, Reason.AUTHORIZATION_MALFORMED, id="scheme-alone"),
        pytest.param(b"DPoP ", InvalidRequest, Reason.AUTHORIZATION_MALFORMED, id="no-token"),
        pytest.param(b"DPoP\ta", InvalidRequest, Reason.AUTHORIZATION_MALFORMED, id="tab"),
        pytest.param(b"DPoP =", InvalidRequest, Reason.AUTHORIZATION_MALFORMED, id="padding-alone"),
        pytest.param(b"Bearer", InvalidRequest, Reason.AUTHORIZATION_MALFORMED, id="bearer-alone"),
        pytest.param(b"", MissingCredentials, Reason.AUTHORIZATION_SCHEME, id="empty"),
        pytest.param(b" DPoP a", MissingCredentials, Reason.AUTHORIZATION_SCHEME, id="leading-space"),
        pytest.param(b"DPoPX a", MissingCredentials, Reason.AUTHORIZATION_SCHEME, id="longer-name"),
        pytest.param(b"DPo a", MissingCredentials, Reason.AUTHORIZATION_SCHEME, id="shorter-name"),
        pytest.param(b"D\xd0\xa0oP a", MissingCredentials, Reason.AUTHORIZATION_SCHEME, id="look-alike"),
    ],
)
def test_anything_but_one_token_is_malformed_and_another_scheme_no_credentials(value, kind, reason):
    assert reason_of(kind, value) is reason


@pytest.mark.requirement("R-7.1-06", "R-7.1-04")
@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([], id="nothing"),
        pytest.param([(b"dpop", PROOF)], id="a-proof-alone"),
        pytest.param([(b"proxy-authorization", b"DPoP a"), (b"dpop", PROOF)], id="proxy-authorization"),
        pytest.param([(b"x-authorization", b"DPoP a")], id="another-field"),
    ],
)
def test_without_the_header_there_are_no_credentials(fields):
    """A7: the log says if there is a proof, which a proxy has left where it has taken the token."""
    with pytest.raises(MissingCredentials) as refused:
        read_credentials(fields)
    assert refused.value.reason is Reason.AUTHORIZATION_MISSING
    assert refused.value.facts == {"proofs": sum(name == b"dpop" for name, _ in fields)}


@pytest.mark.requirement("R-7.2-01")
@pytest.mark.parametrize(
    "values",
    [
        pytest.param((b"Bearer a", b"DPoP a"), id="both-schemes"),
        pytest.param((b"DPoP a", b"DPoP a"), id="twice-the-same"),
        pytest.param((b"Basic x", b"DPoP a"), id="one-of-another-scheme"),
        pytest.param((b"DPoP a", b""), id="one-empty"),
    ],
)
def test_two_headers_are_ambiguous(values):
    assert reason_of(InvalidRequest, *values) is Reason.AUTHORIZATION_REPEATED


def test_a_header_of_exactly_the_allowed_size_passes_and_one_byte_more_does_not():
    longest = b"a" * (MAX_AUTHORIZATION_BYTES - len(b"DPoP "))
    assert read(b"DPoP " + longest).token.encode() == longest
    assert reason_of(InvalidRequest, b"DPoP " + longest + b"a") is Reason.AUTHORIZATION_TOO_LARGE


@pytest.mark.requirement("R-4.3-01", "R-7.1-05", "H-09")
@pytest.mark.parametrize(
    ("proofs", "reason"),
    [
        pytest.param((), Reason.PROOF_MISSING, id="none"),
        pytest.param((b"a.b.c", b"a.b.c"), Reason.PROOF_REPEATED, id="twice-the-same"),
        pytest.param((b"a.b.c", b""), Reason.PROOF_REPEATED, id="one-empty"),
    ],
)
def test_there_must_be_exactly_one_proof(proofs, reason):
    with pytest.raises(InvalidProof) as refused:
        read(b"DPoP a", proofs=proofs).proof()
    assert refused.value.reason is reason


@pytest.mark.parametrize(
    "uri",
    [
        pytest.param("*", id="no-uri"),
        pytest.param("https://api.example.com/a/../b", id="dot-segments"),
    ],
)
@pytest.mark.parametrize("resolved", [False, True], ids=["given", "resolved"])
def test_a_target_that_is_no_uri_is_a_malformed_request(uri, resolved):
    request = IncomingRequest(method="GET", target_uri=(lambda: uri) if resolved else uri, headers=[])
    with pytest.raises(InvalidRequest) as refused:
        request.resolved_uri()
    assert refused.value.reason is Reason.TARGET_MALFORMED


def test_the_target_is_brought_into_normal_form():
    request = IncomingRequest(method="GET", target_uri=lambda: "HTTPS://API.Example.com:443/%7ea?b#c", headers=[])
    assert request.resolved_uri() == "https://api.example.com/~a"
