"""What an introspection endpoint says about a token, and what becomes of it (RFC 7662, RFC 9449 §6.2)."""

import asyncio
import json
from base64 import b64decode

import pytest

from dpop_asgi import IssuerUnavailable, Reason
from dpop_asgi.core.encoding import b64url_decode
from dpop_asgi.core.jwk import import_public_key
from dpop_asgi.core.private_key import PrivateKey
from tests.support.fault_proxy import Cut, FaultProxy
from tests.support.processes import AUDIENCE
from tests.support.proofs import NOW
from tests.support.website import PATH, Page
from tests.tokens.shared import changed

TOKEN = "an-opaque.token~with/odd+characters=="
METADATA = "/.well-known/oauth-authorization-server"


async def test_what_the_endpoint_says_is_what_the_caller_is(verify_opaque, endpoint, said, client):
    endpoint.says[TOKEN] = said
    token = await verify_opaque(TOKEN)
    assert (token.subject, token.client_id, token.scopes) == ("alice", "app", {"orders:read", "orders:write"})
    assert (token.key_thumbprint, token.expires_at) == (client.thumbprint, said["exp"])
    assert token.claims == changed(said, {"active": ...})


@pytest.mark.requirement("R-7662-01", "R-7662-02", "R-6.2-01")
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"token_type": "dpop"}, id="token-type-in-lower-case"),
        pytest.param({"token_type": ...}, id="no-token-type"),
        pytest.param({"aud": ["https://other.example", AUDIENCE]}, id="several-audiences"),
        # RFC 9449 figure 11 has none. The endpoint knows who asks (RFC 7662 §4).
        pytest.param({"aud": ...}, id="no-audience"),
        pytest.param({"aud": []}, id="no-audience-in-the-list"),
        pytest.param({"exp": NOW - 4}, id="expired-within-the-leeway"),
        pytest.param({"nbf": NOW + 5}, id="not-yet-valid-within-the-leeway"),
        pytest.param({"cnf": ..., "token_type": "Bearer"}, id="unbound"),
        pytest.param({"cnf": ..., "token_type": "access_token"}, id="unbound-and-named-as-an-access-token"),
        pytest.param({"token_use": "access_token", "typ": "Bearer"}, id="named-as-an-access-token"),
    ],
)
async def test_an_answer_that_fits_is_accepted(verify_opaque, endpoint, said, changes):
    endpoint.says[TOKEN] = changed(said, changes)
    assert (await verify_opaque(TOKEN)).subject == "alice"


R = Reason


@pytest.mark.requirement("R-7662-01", "R-7662-02", "R-6.2-01")
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"active": False}, R.TOKEN_INACTIVE, id="inactive"),
        pytest.param({"active": "true"}, R.TOKEN_INACTIVE, id="active-is-a-string"),
        pytest.param({"active": ...}, R.TOKEN_INACTIVE, id="nothing-about-active"),
        pytest.param({"iss": "https://id.example.com/"}, R.TOKEN_ISSUER, id="other-issuer"),
        pytest.param({"aud": [AUDIENCE + "/", {}]}, R.TOKEN_AUDIENCE, id="other-audiences"),
        pytest.param({"exp": NOW - 5}, R.TOKEN_EXPIRED, id="expired"),
        pytest.param({"nbf": NOW + 6}, R.TOKEN_NOT_YET_VALID, id="not-yet-valid"),
        pytest.param({"token_type": "Bearer"}, R.BINDING_MALFORMED, id="bound-and-bearer"),
        pytest.param({"token_type": ["DPoP"]}, R.BINDING_MALFORMED, id="token-type-is-a-list"),
        pytest.param({"cnf": ...}, R.BINDING_MISSING, id="DPoP-and-not-bound"),
        # RFC 6749 §7.1: a type that is not understood must not be used; and N_A is none (RFC 8693 §2.2.1).
        *(
            pytest.param({"cnf": ..., "token_type": kind}, R.TOKEN_TYPE, id=f"unbound-and-{kind}")
            for kind in ("N_A", "mac", "PoP", "", ["Bearer"], False)
        ),
        pytest.param({"token_type": "refresh_token"}, R.TOKEN_TYPE, id="refresh-token"),
        pytest.param({"token_type": ..., "token_use": "refresh_token"}, R.TOKEN_TYPE, id="refresh-token-of-hydra"),
        pytest.param({"token_type": ..., "typ": "Refresh"}, R.TOKEN_TYPE, id="refresh-token-of-keycloak"),
        pytest.param({"token_type": ..., "typ": "ID"}, R.TOKEN_TYPE, id="id-token-of-keycloak"),
        pytest.param(
            {"token_type": "urn:ietf:params:oauth:token-type:id_token", "cnf": ...},
            R.TOKEN_TYPE,
            id="id-token-as-a-urn",
        ),
        pytest.param({"token_type": ..., "cnf": ..., "at_hash": "x"}, R.TOKEN_TYPE, id="claims-of-an-id-token"),
    ],
)
async def test_an_answer_that_does_not_fit_is_a_rejection(verify_opaque, endpoint, said, reason_of, changes, reason):
    endpoint.says[TOKEN] = changed(said, changes)
    assert await reason_of(verify_opaque, TOKEN) is reason


@pytest.mark.parametrize("aud", [..., [], None])
async def test_an_audience_can_be_required(make_opaque, endpoint, said, reason_of, aud):
    endpoint.says[TOKEN] = changed(said, {"aud": aud})
    assert await reason_of(make_opaque(require_audience=True), TOKEN) is Reason.TOKEN_AUDIENCE


@pytest.mark.parametrize("token", ["caf\xe9", "\ud800", "a" * 16_385], ids=["not-ascii", "surrogate", "over-16-KB"])
async def test_what_cannot_be_a_token_is_not_asked_about(verify_opaque, endpoint, reason_of, token):
    assert await reason_of(verify_opaque, token) is Reason.TOKEN_MALFORMED
    assert endpoint.asked == []


async def test_a_token_of_16_kb_is_asked_about(verify_opaque, endpoint, said):
    endpoint.says["a" * 16_384] = said
    assert await verify_opaque("a" * 16_384)


# How the endpoint is called


async def test_the_client_id_and_the_secret_are_form_encoded_before_base64(make_opaque, endpoint, reason_of):
    """RFC 6749 §2.3.1, appendix B: else a colon in the id would move the border."""
    await reason_of(make_opaque(client_id="a:p i", client_secret="s%e/c+r:é"), TOKEN)
    [question] = endpoint.asked
    scheme, _, credentials = question.fields["authorization"].partition(" ")
    assert (scheme, b64decode(credentials)) == ("Basic", b"a%3Ap+i:s%25e%2Fc%2Br%3A%C3%A9")
    assert question.form == {"token": TOKEN, "token_type_hint": "access_token"}
    assert question.fields["content-type"] == "application/x-www-form-urlencoded"
    assert question.fields["accept"] == "application/json"


@pytest.mark.parametrize("algorithm", ["ES256", "PS256", "EdDSA", "RS256"])
async def test_a_private_key_signs_an_assertion_for_each_call(make_opaque, endpoint, clock, reason_of, algorithm):
    """RFC 7523 §3. A JWK without `alg` gets the usual one of its type."""
    key = PrivateKey.generate(algorithm)
    named = {"alg": algorithm} if algorithm == "RS256" else {}
    verify = make_opaque(client_secret=None, private_key={**key.private_jwk, **named, "kid": "k1"})
    for token in ("one", "two"):
        await reason_of(verify, token)
    assertions = []
    for question in endpoint.asked:
        assert "authorization" not in question.fields
        assert question.form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        header, claims, signature = question.form["client_assertion"].encode().split(b".")
        assert json.loads(b64url_decode(header)) == {"alg": algorithm, "typ": "JWT", "kid": "k1"}
        verifying_key = import_public_key(key.public_jwk, algorithm)
        assert verifying_key.verify(algorithm, header + b"." + claims, b64url_decode(signature))
        assertions.append(json.loads(b64url_decode(claims)))
    one, two = assertions
    now = int(clock())
    assert one.pop("jti") != two.pop("jti")
    assert one == two == {"iss": "api", "sub": "api", "aud": endpoint.endpoint, "iat": now, "exp": now + 60}


async def test_the_endpoint_is_found_in_the_metadata_once(found_endpoint, make_opaque, reason_of):
    verify = make_opaque(endpoint=None, issuer=found_endpoint.url)
    await asyncio.gather(*(reason_of(verify, str(number)) for number in range(10)))
    assert sorted(found_endpoint.requests) == [METADATA, *[PATH] * 10]


@pytest.fixture
def found_endpoint(endpoint):
    """An endpoint that metadata names."""
    endpoint.pages[METADATA] = Page({"issuer": endpoint.url, "introspection_endpoint": endpoint.endpoint})
    return endpoint


async def test_assertions_are_for_the_issuer_if_it_is_known(found_endpoint, make_opaque, reason_of):
    key = PrivateKey.generate()
    verify = make_opaque(endpoint=None, issuer=found_endpoint.url, client_secret=None, private_key=key.private_jwk)
    await reason_of(verify, TOKEN)
    claims = found_endpoint.asked[0].form["client_assertion"].split(".")[1]
    assert json.loads(b64url_decode(claims.encode()))["aud"] == found_endpoint.url


async def test_an_endpoint_that_has_moved_is_found_again(found_endpoint, make_opaque, said, clock):
    verify = make_opaque(endpoint=None, issuer=found_endpoint.url)
    found_endpoint.says[TOKEN] = changed(said, {"iss": found_endpoint.url})
    found_endpoint.pages[METADATA] = Page(
        {"issuer": found_endpoint.url, "introspection_endpoint": f"{found_endpoint.url}/old"}
    )
    with pytest.raises(IssuerUnavailable, match="404"):
        await verify(TOKEN)
    found_endpoint.pages[METADATA] = Page(
        {"issuer": found_endpoint.url, "introspection_endpoint": found_endpoint.endpoint}
    )
    assert await verify(TOKEN)


@pytest.mark.parametrize(
    ("metadata", "match"),
    [
        pytest.param({"introspection_endpoint": ...}, "no introspection_endpoint", id="none"),
        pytest.param({"introspection_endpoint": 5}, "no introspection_endpoint", id="a-number"),
        pytest.param({"issuer": "https://other.example"}, "instead of", id="of-another-issuer"),
        pytest.param({"introspection_endpoint": "http://id.example/i"}, "plain http", id="plain-http"),
    ],
)
async def test_metadata_without_an_endpoint_is_not_ready(found_endpoint, make_opaque, metadata, match):
    named = found_endpoint.pages[METADATA].content
    found_endpoint.pages[METADATA] = Page(changed(named, metadata))
    verify = make_opaque(endpoint=None, issuer=found_endpoint.url)
    for attempt in (verify.ready, lambda: verify(TOKEN)):
        with pytest.raises(IssuerUnavailable, match=match):
            await attempt()


async def test_it_is_ready_as_soon_as_the_endpoint_is_known(found_endpoint, make_opaque):
    verify = make_opaque(endpoint=None, issuer=found_endpoint.url)
    for _ in range(3):
        await verify.ready()
    assert found_endpoint.requests == [METADATA]


async def test_connections_are_kept(verify_opaque, endpoint, reason_of):
    for number in range(20):
        await reason_of(verify_opaque, str(number))
    assert len(endpoint.connections) == 1


async def test_a_connection_that_was_closed_meanwhile_is_replaced(verify_opaque, endpoint, reason_of):
    """As after a restart of the issuer."""
    await reason_of(verify_opaque, "one")
    endpoint.stop()
    endpoint.start()
    assert await reason_of(verify_opaque, "two") is Reason.TOKEN_INACTIVE


async def test_a_call_that_is_made_again_has_another_assertion(make_opaque, endpoint):
    """RFC 7523 §3: it may be accepted once, and the first call may have arrived."""
    async with FaultProxy(endpoint.port) as proxy:
        address, key = f"http://127.0.0.1:{proxy.port}{PATH}", PrivateKey.generate().private_jwk
        verify = make_opaque(endpoint=address, client_secret=None, private_key=key)
        proxy.replies.cut = Cut(after=1, ending="close")
        with pytest.raises(IssuerUnavailable):
            await verify(TOKEN)
    one, two = (question.form["client_assertion"] for question in endpoint.asked)
    assert one != two
    assert endpoint.tokens == [TOKEN, TOKEN]


async def test_a_cookie_of_the_endpoint_is_not_sent_back(verify_opaque, endpoint, reason_of):
    endpoint.pages[PATH] = Page({"active": False}, headers={"set-cookie": "session=1"})
    for token in ("one", "two"):
        await reason_of(verify_opaque, token)
    assert all("cookie" not in question.fields for question in endpoint.asked)
