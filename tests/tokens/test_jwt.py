"""Signed access tokens by RFC 9068 §4."""

import pytest

from dpop_asgi import AccessToken, JWTVerifier, Reason, TrustedIssuer
from dpop_asgi.core.private_key import PrivateKey
from dpop_asgi.testing import Issuer, jwt
from tests.conformance.hostile_tokens import BY_REASON
from tests.conformance.rows import row


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


@pytest.mark.requirement("R-9068-01", "R-9068-02", "R-9068-03", "R-9068-04")
@pytest.mark.parametrize(
    ("changes", "reason"),
    [row(changes, reason, name=name) for reason, rows in BY_REASON.items() for name, changes in rows.items()],
)
async def test_a_hostile_token_is_rejected_for_what_is_wrong_with_it(
    verify, issuer, client, reason_of, changes, reason
):
    assert await reason_of(verify, issuer.access_token(client, **changes)) is reason


@pytest.mark.requirement("R-9068-03")
@pytest.mark.parametrize(
    "shape", [lambda name: name, lambda name: [name], lambda name: ["x", name]], ids=["string", "list", "one-of-two"]
)
async def test_the_audience_may_be_a_string_or_in_a_list(verify, issuer, client, shape):
    assert await verify(issuer.access_token(client, claims={"aud": shape(issuer.audience)}))


async def test_one_of_several_configured_audiences_is_enough(issuer, client, clock):
    verify = JWTVerifier(
        issuer=issuer.url, audience=("https://one.example", "https://two.example"), jwks=issuer.jwks, clock=clock
    )
    assert await verify(issuer.access_token(client, claims={"aud": "https://two.example"}))


def _raw(header, payload):
    return jwt(header, payload, PrivateKey.generate())


HEADER = b'{"typ":"at+jwt","alg":"ES256"}'
MALFORMED = [
    pytest.param("a.b.c.d.e", id="encrypted"),
    pytest.param("\ud800.b.c", id="surrogate"),
    pytest.param(_raw(b"[]", b"{}"), id="header-is-a-list"),
    pytest.param(_raw(HEADER, b"[]"), id="payload-is-a-list"),
    pytest.param(_raw(HEADER, b'{"sub":"alice","sub":"bob"}'), id="a-name-twice"),
    pytest.param(_raw(b'{"alg":"none","alg":"ES256","typ":"at+jwt"}', b"{}"), id="alg-twice"),
]


@pytest.mark.parametrize("token", MALFORMED)
async def test_what_is_no_well_formed_token_is_rejected(verify, reason_of, token):
    assert await reason_of(verify, token) == Reason.TOKEN_MALFORMED


async def test_padding_in_a_segment_is_rejected(verify, issuer, client, reason_of):
    header, payload, signature = issuer.access_token(client).split(".")
    assert await reason_of(verify, f"{header}.{payload}=.{signature}") == Reason.TOKEN_MALFORMED


@pytest.mark.requirement("R-9068-04")
@pytest.mark.parametrize(
    ("claim", "seconds", "reason"),
    [
        pytest.param("exp", 0.0, None, id="expires-now"),
        pytest.param("exp", -4.999, None, id="expired-within-the-leeway"),
        pytest.param("exp", -5.0, Reason.TOKEN_EXPIRED, id="expired-by-the-leeway"),
        pytest.param("nbf", -10.0, None, id="valid-for-long"),
        pytest.param("nbf", 5.0, None, id="ahead-by-the-leeway"),
        pytest.param("nbf", 5.001, Reason.TOKEN_NOT_YET_VALID, id="ahead-by-more"),
    ],
)
async def test_a_token_is_good_between_its_times_and_five_seconds_around(
    verify, issuer, client, clock, reason_of, claim, seconds, reason
):
    token = issuer.access_token(client, claims={claim: int(clock()) + seconds})
    if reason is None:
        assert await verify(token)
    else:
        assert await reason_of(verify, token) is reason


@pytest.mark.parametrize("value", [-(10**998), None, {"a": [{}, [None, True, 0.1]]}], ids=["long", "null", "anything"])
@pytest.mark.parametrize("claim", ["x", "azp", "jti", "auth_time"])
async def test_a_claim_that_is_not_read_may_be_anything(verify, issuer, client, claim, value):
    """Y05"""
    token = await verify(issuer.access_token(client, claims={claim: value, "nbf": None}))
    assert token.claims[claim] == value


# Several issuers, each with its own keys, audience and algorithms


@pytest.fixture
def first(clock):
    return Issuer("https://one.example", audience="for-one", clock=clock)


@pytest.fixture
def second(clock):
    return Issuer("https://two.example", audience="for-two", algorithm="Ed25519", clock=clock)


@pytest.fixture
def trust_both(first, second, clock):
    def trust_both(**options):
        trusted = [
            TrustedIssuer(issuer=one.url, audience=one.audience, jwks=one.jwks, **options) for one in (first, second)
        ]
        return JWTVerifier(issuers=trusted, clock=clock)

    return trust_both


async def test_each_issuers_tokens_are_accepted(trust_both, first, second, client):
    for issuer in (first, second):
        assert (await trust_both()(issuer.access_token(client))).claims["iss"] == issuer.url


@pytest.mark.requirement("R-9068-02", "R-9068-03")
async def test_one_issuers_key_and_audience_are_not_the_others(trust_both, first, second, client, reason_of):
    forged = first.access_token(client, claims={"iss": second.url, "aud": second.audience})
    assert await reason_of(trust_both(), forged) is Reason.TOKEN_KEY_UNKNOWN
    misled = first.access_token(client, claims={"aud": second.audience})
    assert await reason_of(trust_both(), misled) is Reason.TOKEN_AUDIENCE


async def test_each_issuer_has_its_own_algorithms(trust_both, first, second, client, reason_of):
    verify = trust_both(algorithms=("ES256",))
    assert await verify(first.access_token(client))
    assert await reason_of(verify, second.access_token(client)) == Reason.TOKEN_ALGORITHM


async def test_one_issuer_that_is_down_does_not_concern_the_other(website, remote, first, client, clock):
    website.pages.clear()
    trusted = [
        TrustedIssuer(issuer=remote.url, audience=remote.audience),
        TrustedIssuer(issuer=first.url, audience=first.audience, jwks=first.jwks),
    ]
    assert await JWTVerifier(issuers=trusted, clock=clock)(first.access_token(client))
    assert website.requests == []
