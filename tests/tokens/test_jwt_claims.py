"""Times and types of the claims in a signed token."""

import pytest

from dpop_asgi import JWTVerifier, Reason


@pytest.fixture
def now(clock):
    return int(clock())


@pytest.mark.requirement("R-9068-04")
@pytest.mark.parametrize(
    ("seconds", "accepted"),
    [
        pytest.param(-4.999, True, id="expired-within-the-leeway"),
        pytest.param(-5.0, False, id="expired-by-the-leeway"),
        pytest.param(-3600.0, False, id="expired-long-ago"),
        pytest.param(0.0, True, id="expires-now"),
    ],
)
async def test_a_token_is_good_until_it_expires_and_five_seconds_longer(
    verify, issuer, client, reason_of, now, seconds, accepted
):
    token = issuer.access_token(client, claims={"exp": now + seconds})
    if accepted:
        assert await verify(token)
    else:
        assert await reason_of(verify, token) == Reason.TOKEN_EXPIRED


@pytest.mark.requirement("R-9068-04")
@pytest.mark.parametrize(
    ("seconds", "accepted"),
    [
        pytest.param(5.0, True, id="ahead-by-the-leeway"),
        pytest.param(5.001, False, id="ahead-by-more"),
        pytest.param(-10.0, True, id="past"),
    ],
)
async def test_a_token_is_not_good_before_its_time(verify, issuer, client, reason_of, now, seconds, accepted):
    token = issuer.access_token(client, claims={"nbf": now + seconds})
    if accepted:
        assert await verify(token)
    else:
        assert await reason_of(verify, token) == Reason.TOKEN_NOT_YET_VALID


async def test_the_leeway_can_be_set(issuer, client, clock, reason_of, now):
    verify = JWTVerifier(issuer=issuer.url, audience=issuer.audience, jwks=issuer.jwks, leeway=0, clock=clock)
    assert await reason_of(verify, issuer.access_token(client, claims={"exp": now})) == Reason.TOKEN_EXPIRED


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(10**24, id="25-digits"),
        pytest.param(-(10**998), id="1000-characters"),
        pytest.param(None, id="null"),
        pytest.param({"a": [{}, [None, True, 0.1]]}, id="anything"),
    ],
)
@pytest.mark.parametrize("claim", ["x", "azp", "jti", "auth_time", "nbf"])
async def test_a_claim_that_is_not_read_may_be_anything(verify, issuer, client, claim, value):
    """Y05"""
    value = None if claim == "nbf" else value
    token = await verify(issuer.access_token(client, claims={claim: value}))
    assert token.claims[claim] == value
