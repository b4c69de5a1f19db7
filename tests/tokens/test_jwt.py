"""Signed access tokens by RFC 9068 §4."""

import base64
import hashlib
import hmac
import json

import pytest

from dpop_asgi import AccessToken, JWTVerifier, Reason
from dpop_asgi.core.private_key import PrivateKey
from dpop_asgi.testing import jwt


class _Secret:
    """Signs with HMAC: what an attacker has who takes a public key for a shared secret."""

    def __init__(self, secret):
        self._secret = secret

    def sign(self, message):
        return hmac.digest(self._secret, message, hashlib.sha256)


class _Nothing:
    def sign(self, _):
        return b""


async def test_a_good_token_says_who_is_calling(verify, issuer, client, clock):
    token = await verify(issuer.access_token(client, claims={"scope": "orders:read orders:write"}))
    assert isinstance(token, AccessToken)
    assert (token.subject, token.client_id) == ("alice", "demo-client")
    assert token.scopes == {"orders:read", "orders:write"}
    assert token.key_thumbprint == client.thumbprint
    assert token.expires_at == clock() + 3600
    assert token.claims["iss"] == issuer.url


async def test_an_unbound_token_has_no_thumbprint(verify, issuer):
    assert (await verify(issuer.access_token())).key_thumbprint is None


@pytest.mark.requirement("R-9068-06")
async def test_client_id_and_jti_are_not_required(verify, issuer, client):
    token = await verify(issuer.access_token(client, without={"client_id", "jti", "scope", "iat"}))
    assert (token.client_id, token.scopes) == (None, frozenset())


@pytest.mark.requirement("R-9068-01")
@pytest.mark.parametrize("typ", ["at+jwt", "at+JWT", "AT+JWT", "application/at+jwt"], ids=str)
async def test_the_type_of_an_access_token_is_accepted_in_any_case(verify, issuer, client, typ):
    assert await verify(issuer.access_token(client, header={"typ": typ}))


@pytest.mark.requirement("R-9068-01")
@pytest.mark.parametrize("typ", ["JWT", "dpop+jwt", "id_token", "", "at+jwt ", 5, None, ["at+jwt"]], ids=repr)
async def test_another_type_is_rejected(verify, issuer, client, reason_of, typ):
    assert await reason_of(verify, issuer.access_token(client, header={"typ": typ})) == Reason.TOKEN_TYPE


@pytest.mark.requirement("R-9068-01")
async def test_a_token_without_type_is_rejected(verify, issuer, client, reason_of):
    assert await reason_of(verify, issuer.access_token(client, without={"typ"})) == Reason.TOKEN_TYPE


@pytest.mark.requirement("R-9068-02")
@pytest.mark.parametrize(
    "issuer_claim",
    [
        pytest.param("https://other.example", id="another"),
        pytest.param("https://id.example.com/", id="trailing-slash"),
        pytest.param("HTTPS://id.example.com", id="upper-case"),
        pytest.param(["https://id.example.com"], id="list"),
        pytest.param({}, id="object"),
        pytest.param(None, id="null"),
    ],
)
async def test_another_issuer_is_rejected(verify, issuer, client, reason_of, issuer_claim):
    token = issuer.access_token(client, claims={"iss": issuer_claim})
    assert await reason_of(verify, token) == Reason.TOKEN_ISSUER


@pytest.mark.requirement("R-9068-02")
async def test_a_token_without_issuer_is_rejected(verify, issuer, client, reason_of):
    assert await reason_of(verify, issuer.access_token(client, without={"iss"})) == Reason.TOKEN_ISSUER


@pytest.mark.requirement("R-9068-02")
@pytest.mark.parametrize(
    "algorithm", ["none", "None", "NONE", "HS256", "es256", "XS256", "", 5, ["ES256"], None], ids=repr
)
async def test_an_algorithm_that_is_not_listed_is_rejected(verify, issuer, client, reason_of, algorithm):
    token = issuer.access_token(client, header={"alg": algorithm})
    assert await reason_of(verify, token) == Reason.TOKEN_ALGORITHM


@pytest.mark.requirement("R-9068-02")
async def test_a_public_key_is_no_shared_secret(verify, issuer, client, reason_of):
    public = json.dumps(issuer.jwks["keys"][0]).encode()
    token = issuer.access_token(client, header={"alg": "HS256"}, signed_by=_Secret(public))
    assert await reason_of(verify, token) == Reason.TOKEN_ALGORITHM


@pytest.mark.requirement("R-9068-02")
async def test_an_unsigned_token_is_rejected(verify, issuer, client, reason_of):
    token = issuer.access_token(client, header={"alg": "none"}, signed_by=_Nothing())
    assert await reason_of(verify, token) == Reason.TOKEN_MALFORMED


@pytest.mark.requirement("R-9068-02")
async def test_a_signature_by_another_key_is_rejected(verify, issuer, client, reason_of):
    token = issuer.access_token(client, signed_by=PrivateKey.generate())
    assert await reason_of(verify, token) == Reason.TOKEN_SIGNATURE


@pytest.mark.requirement("R-9068-02")
async def test_claims_that_were_changed_are_rejected(verify, issuer, client, reason_of):
    header, _, signature = issuer.access_token(client).split(".")
    _, changed, _ = issuer.access_token(client, claims={"sub": "mallory"}).split(".")
    assert await reason_of(verify, f"{header}.{changed}.{signature}") == Reason.TOKEN_SIGNATURE


@pytest.mark.requirement("R-9068-02")
async def test_an_unknown_kid_is_rejected(verify, issuer, client, reason_of):
    token = issuer.access_token(client, header={"kid": "unknown"})
    assert await reason_of(verify, token) == Reason.TOKEN_KEY_UNKNOWN


@pytest.mark.requirement("R-9068-03")
@pytest.mark.parametrize(
    "shape", [lambda name: name, lambda name: [name], lambda name: ["x", name]], ids=["string", "list", "one-of-two"]
)
async def test_the_audience_may_be_a_string_or_in_a_list(verify, issuer, client, shape):
    assert await verify(issuer.access_token(client, claims={"aud": shape(issuer.audience)}))


@pytest.mark.requirement("R-9068-03")
@pytest.mark.parametrize(
    "audience",
    [
        pytest.param("https://other.example", id="another"),
        pytest.param("https://api.example.com/", id="trailing-slash"),
        pytest.param(["https://other.example"], id="another-in-a-list"),
        pytest.param([], id="empty-list"),
        pytest.param([["https://api.example.com"]], id="list-in-a-list"),
        pytest.param({"https://api.example.com": 1}, id="object"),
        pytest.param(None, id="null"),
        pytest.param(5, id="number"),
    ],
)
async def test_another_audience_is_rejected(verify, issuer, client, reason_of, audience):
    assert await reason_of(verify, issuer.access_token(client, claims={"aud": audience})) == Reason.TOKEN_AUDIENCE


@pytest.mark.requirement("R-9068-03")
async def test_a_token_without_audience_is_rejected(verify, issuer, client, reason_of):
    assert await reason_of(verify, issuer.access_token(client, without={"aud"})) == Reason.TOKEN_AUDIENCE


async def test_one_of_several_configured_audiences_is_enough(issuer, client, clock):
    verify = JWTVerifier(
        issuer=issuer.url, audience=("https://one.example", "https://two.example"), jwks=issuer.jwks, clock=clock
    )
    assert await verify(issuer.access_token(client, claims={"aud": "https://two.example"}))


@pytest.mark.parametrize("member", ["crit", "b64"])
async def test_header_parameters_that_change_the_meaning_are_rejected(verify, issuer, client, reason_of, member):
    token = issuer.access_token(client, header={member: ["exp"] if member == "crit" else False})
    assert await reason_of(verify, token) == Reason.TOKEN_MALFORMED


async def test_other_unknown_header_parameters_are_ignored(verify, issuer, client):
    assert await verify(issuer.access_token(client, header={"jku": "https://evil.example", "tx": 1}))


@pytest.mark.parametrize("kid", [5, ["kid"], {}, True], ids=repr)
async def test_a_kid_that_is_no_string_is_rejected(verify, issuer, client, reason_of, kid):
    assert await reason_of(verify, issuer.access_token(client, header={"kid": kid})) == Reason.TOKEN_MALFORMED


def _raw(header, payload):
    return jwt(header, payload, PrivateKey.generate())


HEADER = b'{"typ":"at+jwt","alg":"ES256"}'
MALFORMED = [
    pytest.param("", id="empty"),
    pytest.param("opaque", id="opaque"),
    pytest.param("a.b", id="two-parts"),
    pytest.param("a.b.c.d", id="four-parts"),
    pytest.param("a.b.c.d.e", id="encrypted"),
    pytest.param("a.b.c", id="not-base64url"),
    pytest.param("caf\xe9.b.c", id="latin-1"),
    pytest.param("\ud800.b.c", id="surrogate"),
    pytest.param(_raw(b"[]", b"{}"), id="header-is-a-list"),
    pytest.param(_raw(HEADER, b"[]"), id="payload-is-a-list"),
    pytest.param(_raw(HEADER, b"\xff"), id="payload-is-not-utf-8"),
    pytest.param(_raw(HEADER, b'{"exp":NaN}'), id="nan"),
    pytest.param(_raw(HEADER, b'{"exp":1e999}'), id="infinite"),
    pytest.param(_raw(HEADER, b'{"exp":' + b"9" * 5000 + b"}"), id="5000-digits"),
    pytest.param(_raw(HEADER, b'{"sub":"alice","sub":"bob"}'), id="a-name-twice"),
    pytest.param(_raw(b'{"alg":"none","alg":"ES256","typ":"at+jwt"}', b"{}"), id="alg-twice"),
    pytest.param(_raw(HEADER, b'{"a":' * 500 + b"1" + b"}" * 500), id="nested-deeply"),
]


@pytest.mark.parametrize("token", MALFORMED)
async def test_what_is_no_well_formed_token_is_rejected(verify, reason_of, token):
    assert await reason_of(verify, token) == Reason.TOKEN_MALFORMED


async def test_padding_in_a_segment_is_rejected(verify, issuer, client, reason_of):
    header, payload, signature = issuer.access_token(client).split(".")
    padded = base64.urlsafe_b64encode(base64.urlsafe_b64decode(payload + "==")).decode()
    assert await reason_of(verify, f"{header}.{padded.rstrip('=')}=.{signature}") == Reason.TOKEN_MALFORMED
