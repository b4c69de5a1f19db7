"""Every bound on keys and tokens, on what is kept of them, and on how often and how long the issuer is asked."""

import asyncio
import json

import pytest

from dpop_asgi import InvalidToken, IssuerUnavailable, JWTVerifier, Reason
from dpop_asgi.core import jwk, strict_json
from dpop_asgi.core.encoding import b64url_decode, b64url_encode
from dpop_asgi.core.private_key import PrivateKey
from dpop_asgi.tokens import signed_token
from dpop_asgi.tokens.issuer import http, key_set, remote_keys
from dpop_asgi.tokens.issuer.key_set import KeySet
from tests.support.collection import over
from tests.support.processes import AUDIENCE
from tests.support.website import Page


@pytest.fixture
def malformed_only_if(verify_remote, reason_of):
    async def malformed_only_if(over, token):
        if over:
            assert await reason_of(verify_remote, token) is Reason.TOKEN_MALFORMED
        else:
            assert await verify_remote(token)

    return malformed_only_if


def _nested(brackets):
    nested = []
    for _ in range(brackets - 1):
        nested = [nested]
    return nested


# The claims are one level.
@over(signed_token._MOST_LEVELS - 1)
async def test_most_levels_in_a_token(malformed_only_if, remote, client, size, over):
    await malformed_only_if(over, remote.access_token(client, claims={"x": _nested(size), "y": "]}" * 99}))


# The claims are one bracket, `cnf` another, the list a third.
@over(signed_token._MOST_OPENERS - 3)
async def test_most_openers_in_a_token(malformed_only_if, remote, client, size, over):
    await malformed_only_if(over, remote.access_token(client, claims={"x": [[]] * size}))


@over(strict_json._LONGEST_NUMBER)
async def test_longest_number_in_a_token(malformed_only_if, remote, client, size, over):
    await malformed_only_if(over, remote.access_token(client, claims={"x": 10 ** (size - 1)}))


# Nine claims and `x` come with a token: nine commas more than in the list.
@over(signed_token._MOST_VALUES - 9)
@pytest.mark.parametrize("claim", ["aud", "x"])
async def test_most_values_in_a_token(malformed_only_if, remote, client, claim, size, over):
    values = [AUDIENCE, *[""] * (size - 1)]
    await malformed_only_if(over, remote.access_token(client, claims={"x": 1, claim: values}))


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param(
            {"resource_access": {f"service-{n:03}": {"roles": ["view", "manage"]} for n in range(240)}},
            id="62 clients of Keycloak, and 178 more",
        ),
        pytest.param(
            {"authorization": {"permissions": [{"rsid": "0" * 36, "rsname": "order", "scopes": ["view"]}] * 64}},
            id="64 permissions of an RPT",
        ),
        pytest.param(
            {"authorization_details": [{"type": "account", "actions": ["read"], "locations": ["https://a"]}] * 128},
            id="128 authorization details",
        ),
    ],
)
async def test_a_token_full_of_objects_is_accepted(verify_remote, remote, client, claims):
    """X07: the brackets of a proof are no bound for tokens."""
    token = remote.access_token(client, claims=claims)
    assert 6_000 < len(token) < 16_384
    assert (await verify_remote(token)).claims.items() >= claims.items()


async def test_a_token_full_of_names_is_accepted(verify_remote, remote, client):
    """Of `_MOST_VALUES`: it is no bound on roles, groups or scopes that a token of 16 KB could have."""
    names = [f"{number:04}" for number in range(1400)]
    token = remote.access_token(client, claims={"groups": names})
    assert len(token) < 16_384
    assert len((await verify_remote(token)).claims["groups"]) == 1400
    scopes = remote.access_token(client, claims={"scope": " ".join(names)})
    assert len((await verify_remote(scopes)).scopes) == 1400


@over(http._MAX_DOCUMENT_BYTES)
async def test_max_document_bytes(website, remote, verify_remote, client, size, over):
    document = Page(remote.jwks).body
    website.pages["/jwks"] = Page(document + b" " * (size - len(document)))
    await _unavailable_only_if(over, verify_remote, remote.access_token(client))


# The set is one bracket, its list and the key two more.
@over(http._MAX_OPENERS - 3)
async def test_max_openers_in_a_key_set(website, remote, verify_remote, client, size, over):
    website.pages["/jwks"] = Page({**remote.jwks, "x": [[]] * (size - 1)})
    await _unavailable_only_if(over, verify_remote, remote.access_token(client))


# Six members of the key and the list itself: six commas.
@over(http._MAX_VALUES - 6)
async def test_max_values_in_a_key_set(website, remote, verify_remote, client, size, over):
    website.pages["/jwks"] = Page({**remote.jwks, "x": [1] * size})
    await _unavailable_only_if(over, verify_remote, remote.access_token(client))


@over(key_set._MAX_KEYS)
async def test_max_keys(website, remote, verify_remote, client, size, over):
    others = [{"kty": "EC", "kid": str(number)} for number in range(size - 1)]
    website.pages["/jwks"] = Page({"keys": [*remote.jwks["keys"], *others]})
    await _unavailable_only_if(over, verify_remote, remote.access_token(client))


async def _unavailable_only_if(over, verify, token):
    if over:
        with pytest.raises(IssuerUnavailable):
            await verify(token)
    else:
        assert await verify(token)


def test_an_invented_kid_imports_no_key_again(monkeypatch, caplog):
    """Keys without a `kid` fit any; one of them is not acceptable, and said to be so once."""
    imports = []
    import_public_key = jwk.import_public_key
    monkeypatch.setattr(jwk, "import_public_key", lambda *key: imports.append(1) or import_public_key(*key))
    good = [PrivateKey.generate().public_jwk for _ in range(3)]
    keys = KeySet({"keys": [*good, {**good[0], "y": good[1]["y"]}]})
    for number in range(1000):
        assert len(keys.candidates("ES256", str(number))) == 3
    assert len(imports) == 4
    assert len(caplog.records) == 1


async def test_cool_down_seconds(website, remote, verify_remote, reason_of, client, clock):
    await verify_remote(remote.access_token(client))
    clock.advance(60.0)
    for number in range(50):
        await reason_of(verify_remote, remote.access_token(client, header={"kid": str(number)}))
        clock.advance(remote_keys._COOL_DOWN_SECONDS / 50)
    assert website.requests.count("/jwks") == 2
    await reason_of(verify_remote, remote.access_token(client, header={"kid": "after"}))
    assert website.requests.count("/jwks") == 3


async def test_the_timeout_bounds_the_wait_of_a_thousand(website, remote, client, clock):
    """Here for an issuer that sends a byte at a time."""
    verify = JWTVerifier(issuer=remote.url, audience=AUDIENCE, timeout=0.3, clock=clock)
    website.pages["/.well-known/oauth-authorization-server"] = Page(endless=True)
    token = remote.access_token(client)
    async with asyncio.timeout(60.0):
        answers = await asyncio.gather(*(verify(token) for _ in range(1000)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {IssuerUnavailable}
    # None, if the time was over before the request had arrived.
    assert len(website.requests) <= 1


@pytest.fixture
def unsigned(issuer, client):
    """Tokens with these claims, and a signature that is of another one."""
    header, payload, signature = issuer.access_token(client).split(".")
    usual = json.loads(b64url_decode(payload.encode()))
    return lambda **claims: f"{header}.{b64url_encode(json.dumps({**usual, **claims}).encode())}.{signature}"


async def test_bad_tokens_leave_nothing_behind(verify, unsigned, issuer, client):
    """Of other issuers, with invented kids, and with bad signatures."""
    for number in range(250):
        forged = [
            issuer.access_token(client, header=header, signed_by=client.key) for header in ({"kid": str(number)}, {})
        ]
        for token in (*forged, unsigned(sub=str(number)), unsigned(iss=f"https://{number}.example")):
            with pytest.raises(InvalidToken):
                await verify(token)
    keys = verify._sources[issuer.url].current(0.0)
    assert len(verify._cache) == 0
    assert keys._matching.cache_info().currsize == 1
