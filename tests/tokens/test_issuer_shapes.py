"""Access tokens as popular issuers make them: each passes with its documented setting, and its ID tokens never do.

The shapes are those of docs/issuers.md, from the sources of the issuers, their documentation, or tokens of theirs.
"""

import json
import logging
from dataclasses import dataclass, field

import pytest

from dpop_asgi import InvalidToken, JWTVerifier, Reason
from dpop_asgi.testing import Issuer
from dpop_asgi.tokens.token_types import USUAL_TYPES
from tests.support.api import Api, App

AUDIENCE = "https://api.example.com"
# What `Issuer` adds by itself, and issuers need not.
OURS = {"client_id", "scope"}


@dataclass
class Shape:
    """`typ` and claims of an issuer's access tokens by default, and the types that its page says to set."""

    typ: str | None
    claims: dict
    types: tuple = ("at+jwt",)
    client_id: str | None = "app"
    scopes: frozenset = frozenset({"orders:read", "orders:write"})
    algorithm: str = "RS256"
    # What else an ID token of the issuer has.
    id_token: dict = field(default_factory=dict)

    def token(self, issuer, client, *, claims):
        """With the claims of the issuer only."""
        header = {} if self.typ is None else {"typ": self.typ}
        without = (OURS - self.claims.keys()) | ({"typ"} if self.typ is None else set())
        return issuer.access_token(client, header=header, claims={**self.claims, **claims}, without=without)


STRING, ARRAY = "orders:read orders:write", ["orders:read", "orders:write"]
SHAPES = {
    "oidc-provider": Shape("at+jwt", {"client_id": "app", "scope": STRING}, algorithm="ES256"),
    "Duende (X03)": Shape("at+jwt", {"client_id": "app", "scope": ARRAY, "idp": "local", "amr": ["pwd"]}),
    "OpenIddict": Shape("at+jwt", {"client_id": "app", "scope": STRING, "oi_prst": "app"}),
    "Keycloak (X02, X04)": Shape(
        "JWT",
        {"azp": "app", "scope": STRING, "typ": "DPoP", "sid": "s", "resource_access": {"app": {"roles": ["view"]}}},
        ("at+jwt", "JWT"),
        id_token={"typ": "ID", "auth_time": 1},
    ),
    "Keycloak, with its switch": Shape("at+jwt", {"azp": "app", "scope": STRING, "typ": "DPoP", "jti": "onrtac:1"}),
    "Auth0 (X02)": Shape("JWT", {"azp": "app", "scope": STRING, "gty": "client-credentials"}, ("JWT",)),
    "Auth0, RFC 9068 profile": Shape("at+jwt", {"client_id": "app", "scope": STRING}),
    "Okta (X02, X04)": Shape(None, {"cid": "app", "uid": "u", "scp": ARRAY, "ver": 1}, ("at+jwt", None)),
    "Okta, org authorization server (X02)": Shape(
        "application/okta-internal-at+jwt", {"cid": "app", "scp": ARRAY, "ver": 1}, ("okta-internal-at+jwt",)
    ),
    "PingFederate (X02, X03)": Shape(None, {"client_id": "app", "scope": ARRAY}, (None,)),
    "PingAM (X02, X03)": Shape(
        "JWT", {"client_id": "app", "scope": ARRAY, "realm": "/a", "authGrantId": "g"}, ("JWT",), algorithm="ES256"
    ),
    "Spring (X02, X03)": Shape(None, {"scope": ARRAY}, (None,), client_id=None),
    "Connect2id (X04)": Shape("at+jwt", {"cid": "app", "scp": ARRAY}),
    "Microsoft v2, were it bound (X04)": Shape("JWT", {"azp": "app", "scp": STRING, "roles": ["a"]}, ("jwt",)),
    "Microsoft v1, were it bound (X04)": Shape("JWT", {"appid": "app", "scp": STRING}, ("JWT",)),
    "Hydra, were it bound (X04)": Shape("JWT", {"client_id": "app", "scp": ARRAY, "ext": {}}, ("JWT",)),
    "Cognito, were it bound (X02)": Shape(
        None, {"client_id": "app", "scope": STRING, "token_use": "access"}, (None,), id_token={"token_use": "id"}
    ),
}
EACH_SHAPE = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())


@pytest.fixture(scope="module")
def issuers():
    """With one key of each algorithm: RSA keys take long to make."""
    return {name: Issuer("https://id.example.com", audience=AUDIENCE, algorithm=name) for name in ("RS256", "ES256")}


@pytest.fixture
def make(issuers, clock):
    """An issuer of tokens of this shape, and a verifier with its documented setting, or with the default."""

    def make(shape, *types):
        issuer = issuers[shape.algorithm]
        issuer._clock = clock
        options = {"types": types} if types else {}
        return issuer, JWTVerifier(issuer=issuer.url, audience=AUDIENCE, jwks=issuer.jwks, clock=clock, **options)

    return make


@pytest.mark.requirement("R-9068-01")
@EACH_SHAPE
async def test_a_token_passes_with_the_documented_setting_and_not_without(make, client, caplog, clock, shape):
    issuer, verify = make(shape, *shape.types)
    bound = shape.token(issuer, client, claims={})
    token = await verify(bound)
    assert (token.client_id, token.scopes, token.key_thumbprint) == (shape.client_id, shape.scopes, client.thumbprint)
    _, by_default = make(shape)
    if shape.types == ("at+jwt",):
        assert await by_default(bound)
        return
    api = Api(App(), issuer, client, clock, verify_token=by_default)
    with caplog.at_level(logging.INFO, "dpop_asgi"):
        assert (await api.request(token=bound)).status == 401
    _start, line = caplog.messages
    received = None if shape.typ is None else shape.typ.lower().removeprefix("application/")
    assert line.startswith(
        f'rejected: token_type path="/r" peer="10.0.0.9" expected=["at+jwt"] received={json.dumps(received)} hint='
    )
    switches = [usual.switch for usual in USUAL_TYPES.values() if usual.typ == shape.typ]
    assert all(json.dumps(switch)[1:-1] in line for switch in switches)


@pytest.mark.requirement("R-9068-01")
@pytest.mark.parametrize(
    "marks", [{"nonce": "n"}, {"at_hash": "h"}, {"c_hash": "h"}, {}], ids=["nonce", "at_hash", "c_hash", "none of them"]
)
@pytest.mark.parametrize("is_bound", [False, True], ids=["unbound", "bound"])
@EACH_SHAPE
async def test_an_id_token_is_never_an_access_token(make, client, shape, marks, is_bound):
    """Even for this API, and even if its issuer had signed it with the accepted type, and bound it to a key."""
    issuer, verify = make(shape, *shape.types)
    token = shape.token(issuer, client if is_bound else None, claims={**shape.id_token, **marks})
    if not marks and (is_bound or shape.typ == "at+jwt"):
        assert await verify(token)
        return
    with pytest.raises(InvalidToken) as refused:
        await verify(token)
    assert refused.value.reason is (Reason.TOKEN_TYPE if marks else Reason.BINDING_MISSING)
    assert refused.value.facts.get("claims", ()) == tuple(marks)
    assert "n" not in refused.value.facts.values()


async def test_null_in_place_of_a_claim_of_id_tokens_counts_as_absent(make, client):
    """Y05"""
    issuer, verify = make(SHAPES["oidc-provider"])
    assert await verify(issuer.access_token(client, claims={"nonce": None, "at_hash": None}))


@pytest.mark.parametrize("typ", [None, "", 5, ["JWT"]], ids=repr)
async def test_a_type_that_is_not_text_does_not_count_as_absent(make, client, typ):
    """`null` included: only a header without `typ` is one without a type."""
    issuer, verify = make(SHAPES["oidc-provider"], "at+jwt", None)
    with pytest.raises(InvalidToken) as refused:
        await verify(issuer.access_token(client, header={"typ": typ}))
    assert refused.value.facts == {"expected": ("at+jwt", None), "received": ""}


@pytest.mark.parametrize(
    ("changes", "reason", "facts"),
    [
        pytest.param(
            {"claims": {"iss": "https://id.example.com/"}},
            Reason.TOKEN_ISSUER,
            {"expected": ("https://id.example.com",), "received": "https://id.example.com/"},
            id="Y04, a slash",
        ),
        pytest.param(
            {"claims": {"iss": ["a"]}},
            Reason.TOKEN_ISSUER,
            {"expected": ("https://id.example.com",), "received": "an array"},
            id="an array",
        ),
        pytest.param(
            {"claims": {"iss": "x" * 9000}},
            Reason.TOKEN_ISSUER,
            {"expected": ("https://id.example.com",), "received": "x" * 200},
            id="a long one, of whoever sent it",
        ),
        pytest.param(
            {"header": {"typ": "X" * 900}},
            Reason.TOKEN_TYPE,
            {"expected": ("at+jwt",), "received": "x" * 200},
            id="a long type",
        ),
        pytest.param(
            {"claims": {"aud": ["d", "b", "c", "a", 5]}},
            Reason.TOKEN_AUDIENCE,
            {"expected": (AUDIENCE,), "received": ("a", "b", "c")},
            id="several audiences",
        ),
        pytest.param(
            {"claims": {"exp": None}},
            Reason.TOKEN_MALFORMED,
            {"claim": "exp", "expected": "a number: a token must expire", "received": "null"},
            id="Y05, no end",
        ),
    ],
)
async def test_the_log_has_what_was_expected_and_what_was_received(make, client, changes, reason, facts):
    issuer, verify = make(SHAPES["oidc-provider"])
    with pytest.raises(InvalidToken) as refused:
        await verify(issuer.access_token(client, **changes))
    assert (refused.value.reason, refused.value.facts) == (reason, facts)
