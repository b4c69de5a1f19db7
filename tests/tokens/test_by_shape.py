"""Signed and opaque tokens side by side: each goes to its verifier, and to that one alone."""

import asyncio

import pytest

from dpop_asgi import AccessToken, InvalidToken, IssuerUnavailable, JWTVerifier, Reason, TokensByShape
from dpop_asgi.core.encoding import b64url_encode, sha256_b64url
from dpop_asgi.tokens.by_shape import is_signed
from tests.support.api import Api, App
from tests.support.processes import AUDIENCE, free_port
from tests.support.website import PATH, Page

HEADER = b64url_encode(b'{"alg":"ES256"}')


def _jws(header):
    return f"{b64url_encode(header)}.e30.c2ln"


@pytest.mark.parametrize(
    ("token", "signed"),
    [
        pytest.param(f"{HEADER}.e30.c2ln", True, id="three-parts-with-alg"),
        pytest.param(f"{HEADER}.e30", True, id="two-parts"),
        pytest.param(f"{HEADER}.e30.c2ln.c2ln.c2ln", True, id="five-parts"),
        pytest.param(f"{HEADER}.e30.c2ln\n", True, id="a-line-end"),
        pytest.param(_jws(b'{"alg":"dir","enc":"A128GCM"}') + ".c2ln.c2ln", False, id="encrypted"),
        pytest.param(_jws(b"{}"), False, id="no-alg"),
        pytest.param(_jws(b'["alg"]'), False, id="list"),
        pytest.param(_jws(b"[" * 9000), False, id="nested"),
        pytest.param("prefix.tenant.c2VjcmV0", False, id="opaque-in-three-parts"),
        pytest.param("2YotnFZFEjr1zCsicMWpAA", False, id="opaque"),
    ],
)
def test_the_shape_of_a_token(token, signed):
    assert is_signed(token) is signed


@pytest.fixture
def both(verify, make_opaque):
    return TokensByShape(jwt=verify, opaque=make_opaque())


@pytest.fixture
def api(both, issuer, client, clock):
    return Api(App(), issuer, client, clock, verify_token=both, nonces=None)


def _bound(client):
    return {"active": True, "sub": "alice", "cnf": {"jkt": client.thumbprint}}


async def test_a_request_with_either_is_accepted(api, endpoint, client):
    endpoint.says["opaque"] = _bound(client)
    for token in (api.token, "opaque", api.token, "opaque"):
        assert (await api.request(token=token)).status == 200
    assert endpoint.tokens == ["opaque"]


async def test_a_signed_token_that_is_rejected_is_not_asked_about(both, endpoint, issuer, client, reason_of):
    """It could be active there. Other endpoints respond with 400."""
    token = issuer.access_token(client, claims={"aud": "other"})
    for added in ("", "=", ".", "~"):
        endpoint.says[token + added] = _bound(client)
    assert await reason_of(both, token) is Reason.TOKEN_AUDIENCE
    for added in ("=", ".", "~"):
        assert await reason_of(both, token + added) is Reason.TOKEN_MALFORMED
    assert endpoint.asked == []


async def test_what_one_of_them_remembers_is_remembered(both, endpoint, issuer, client):
    endpoint.says["opaque"] = _bound(client)
    for token in ("opaque", issuer.access_token(client)):
        assert both.cached_token(sha256_b64url(token)) is None
        assert await both(token) is both.cached_token(sha256_b64url(token))


async def test_wrong_credentials_for_introspection_leave_signed_tokens_alone(api, endpoint):
    endpoint.pages[PATH] = Page({"error": "invalid_client"}, 401)
    for number in range(5):
        answer = await api.request(token=f"opaque-{number}")
        assert (answer.status, answer.all("www-authenticate"), answer.one("retry-after")) == (503, [], "1")
        assert (await api.request()).status == 200


async def test_all_that_is_not_ready_is_named_and_nothing_is_left_running(make_opaque, clock):
    opaque = make_opaque(endpoint=None, issuer=f"http://127.0.0.1:{free_port()}")
    jwt = JWTVerifier(issuer=f"http://127.0.0.1:{free_port()}", audience=AUDIENCE, clock=clock)
    before = asyncio.all_tasks()
    with pytest.raises(IssuerUnavailable) as error:
        await TokensByShape(jwt=jwt, opaque=opaque).ready()
    assert all(issuer in str(error.value) for issuer in (*jwt.issuers, *opaque.issuers))
    assert asyncio.all_tasks() == before


async def test_own_verifiers_need_nothing_but_to_be_called():
    async def jwt(_):
        raise InvalidToken(Reason.TOKEN_REJECTED)

    async def opaque(_):
        return AccessToken(subject="alice")

    both = TokensByShape(jwt=jwt, opaque=opaque)
    await both.ready()
    assert (await both("opaque")).subject == "alice"
    assert both.cached_token("x") is None
    await both.aclose()


def _plain(_):
    """N23: not async."""


@pytest.mark.parametrize(
    ("option", "verifier"),
    [
        *((option, verifier) for option in ("jwt", "opaque") for verifier in (None, JWTVerifier, _plain)),
        ("opaque", JWTVerifier(issuer="https://id.example", audience="a")),
    ],
)
def test_anything_but_a_verifier_is_named(verify, option, verifier):
    with pytest.raises(ValueError, match=f"^{option}: "):
        TokensByShape(**{"jwt": verify, "opaque": verify, option: verifier})


async def test_its_connections_are_closed_with_the_authenticator(api, endpoint, both):
    await api.request(token="opaque")
    assert both._opaque._endpoint._http is not None
    await api.authenticator.aclose()
    assert both._opaque._endpoint._http is None
