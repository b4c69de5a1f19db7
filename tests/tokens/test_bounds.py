"""Every bound on keys and tokens, on what is kept of them, and on how often the issuer is asked."""

import json
from contextlib import nullcontext

import pytest

from dpop_asgi import InvalidToken, IssuerUnavailable, Reason
from dpop_asgi.core import jwk, strict_json
from dpop_asgi.core.encoding import b64url_decode, b64url_encode
from dpop_asgi.core.private_key import PrivateKey
from dpop_asgi.tokens import signed_token
from dpop_asgi.tokens.issuer import http, key_set, remote_keys
from dpop_asgi.tokens.issuer.key_set import KeySet
from tests.support.processes import AUDIENCE
from tests.support.website import Page

# By name: the bound, less what comes with every token, and the claims that have as many.
OF_TOKENS = {
    # The claims are one level.
    "levels": (signed_token._MOST_LEVELS - 1, lambda size: {"x": _nested(size), "y": "]}" * 99}),
    # The claims are one bracket, `cnf` another, the list a third.
    "openers": (signed_token._MOST_OPENERS - 3, lambda size: {"x": [[]] * size}),
    "digits": (strict_json._LONGEST_NUMBER, lambda size: {"x": 10 ** (size - 1)}),
    # Nine claims and `x` come with a token: nine commas more than in the list.
    "audiences": (signed_token._MOST_VALUES - 9, lambda size: {"x": 1, "aud": [AUDIENCE, *[""] * (size - 1)]}),
    "values": (signed_token._MOST_VALUES - 9, lambda size: {"x": [""] * size}),
}


def _nested(brackets):
    nested = []
    for _ in range(brackets - 1):
        nested = [nested]
    return nested


@pytest.mark.parametrize("over", [0, 1], ids=["at", "over"])
@pytest.mark.parametrize(("most", "claims"), OF_TOKENS.values(), ids=OF_TOKENS)
async def test_bounds_of_a_token(verify_remote, remote, client, reason_of, most, claims, over):
    token = remote.access_token(client, claims=claims(most + over))
    if over:
        assert await reason_of(verify_remote, token) is Reason.TOKEN_MALFORMED
    else:
        assert await verify_remote(token)


async def test_a_token_full_of_objects_is_accepted(verify_remote, remote, client):
    """X07: Keycloak has an object for each client. The brackets of a proof are no bound for tokens."""
    claims = {"resource_access": {f"service-{n:03}": {"roles": ["view", "manage"]} for n in range(240)}}
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


# The same of key sets, of which one with a key of the issuer is given.
OF_KEY_SETS = {
    "bytes": (http._MAX_DOCUMENT_BYTES, lambda jwks, size: Page(jwks).body.ljust(size)),
    # The set is one bracket, its list and the key two more.
    "openers": (http._MAX_OPENERS - 3, lambda jwks, size: {**jwks, "x": [[]] * (size - 1)}),
    # The set is one level.
    "levels": (http._MAX_LEVELS - 1, lambda jwks, size: {**jwks, "x": _nested(size)}),
    # Six members of the key and the list itself: six commas.
    "values": (http._MAX_VALUES - 6, lambda jwks, size: {**jwks, "x": [1] * size}),
    "keys": (key_set._MAX_KEYS, lambda jwks, size: {"keys": [*jwks["keys"], *[{"kty": "EC"}] * (size - 1)]}),
}


@pytest.mark.parametrize("over", [0, 1], ids=["at", "over"])
@pytest.mark.parametrize(("most", "document"), OF_KEY_SETS.values(), ids=OF_KEY_SETS)
async def test_bounds_of_a_key_set(website, remote, verify_remote, client, most, document, over):
    website.pages["/jwks"] = Page(document(remote.jwks, most + over))
    with pytest.raises(IssuerUnavailable) if over else nullcontext():
        assert await verify_remote(remote.access_token(client))


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
