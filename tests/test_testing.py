"""The kit for tests of protected APIs does what it says, so that a test that fails means the API."""

import base64
import json
import time

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from dpop_asgi import Authenticator, DPoPMiddleware, IncomingRequest, JWTVerifier, MemoryStore, Refusal
from dpop_asgi.core.encoding import sha256_b64url
from dpop_asgi.core.private_key import PrivateKey
from dpop_asgi.testing import Client, Issuer, ManualClock, jwt

URI = "https://api.example.com/orders"


def _decoded(token):
    return [json.loads(base64.urlsafe_b64decode(part + "==")) for part in token.split(".")[:2]]


@pytest.fixture
def authenticator(issuer, clock):
    verify = JWTVerifier(issuer=issuer.url, audience=issuer.audience, jwks=issuer.jwks, clock=clock)
    return Authenticator(verify_token=verify, store=MemoryStore(clock=clock), nonces=None, clock=clock)


async def _ask(authenticator, headers, method="GET"):
    pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    return await authenticator.authenticate(IncomingRequest(method=method, target_uri=URI, headers=pairs))


def test_the_clock_stands_until_it_is_moved():
    clock = ManualClock(100.0)
    assert [clock(), clock()] == [100.0, 100.0]
    clock.advance(5.5)
    assert clock() == 105.5
    clock.advance(-10.0)
    assert clock() == 95.5


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "ES512", "PS256", "RS256", "Ed25519", "EdDSA"])
async def test_client_and_issuer_of_every_algorithm_are_accepted(clock, algorithm):
    issuer = Issuer("https://id.example.com", audience="a", algorithm=algorithm, clock=clock)
    client = Client(algorithm, clock=clock)
    policy = {"algorithms": (algorithm,)}
    verify = JWTVerifier(issuer=issuer.url, audience="a", jwks=issuer.jwks, clock=clock, **policy)
    authenticator = Authenticator(
        verify_token=verify,
        store=MemoryStore(clock=clock),
        nonces=None,
        clock=clock,
        proof_policy=type(Authenticator(verify_token=verify, store=MemoryStore()).proof_policy)(**policy),
    )
    caller = await _ask(authenticator, client.headers("GET", URI, issuer.access_token(client)))
    assert caller.key_thumbprint == client.thumbprint


def test_a_proof_has_what_rfc_9449_asks_for_and_nothing_else(client, clock):
    header, claims = _decoded(client.proof("POST", URI, "token", nonce="n"))
    assert header == {"typ": "dpop+jwt", "alg": "ES256", "jwk": client.key.public_jwk}
    assert claims.pop("jti")
    assert claims == {"htm": "POST", "htu": URI, "iat": int(clock()), "ath": sha256_b64url("token"), "nonce": "n"}


def test_a_proof_without_token_and_nonce_has_neither(client):
    assert _decoded(client.proof("POST", URI))[1].keys() == {"jti", "htm", "htu", "iat"}


def test_each_proof_has_a_jti_of_its_own(client):
    assert len({_decoded(client.proof("GET", URI))[1]["jti"] for _ in range(100)}) == 100


def test_one_part_of_a_proof_can_be_changed_or_left_out(client):
    header, claims = _decoded(
        client.proof("GET", URI, "t", header={"typ": "x", "kid": 1}, claims={"htm": 5}, without={"alg", "jti", "none"})
    )
    assert (header["typ"], header["kid"], claims["htm"]) == ("x", 1, 5)
    assert "alg" not in header
    assert "jti" not in claims
    assert claims["htu"] == URI


async def test_one_broken_part_is_all_that_is_wrong(authenticator, issuer, client):
    token = issuer.access_token(client)
    assert await _ask(authenticator, client.headers("GET", URI, token))
    with pytest.raises(Refusal, match="method_mismatch"):
        await _ask(authenticator, client.headers("GET", URI, token, claims={"htm": "PUT"}))
    with pytest.raises(Refusal, match="signature_invalid"):
        await _ask(authenticator, client.headers("GET", URI, token, signed_by=PrivateKey.generate()))


def test_headers_are_the_two_headers_of_a_request(client):
    headers = client.headers("GET", URI, "token")
    assert list(headers) == ["Authorization", "DPoP"]
    assert headers["Authorization"] == "DPoP token"
    assert _decoded(headers["DPoP"])[1]["ath"] == sha256_b64url("token")


async def _orders(_):
    return PlainTextResponse("orders")


def test_auth_sends_correct_requests_and_handles_nonces(issuer, client, clock):
    verify = JWTVerifier(issuer=issuer.url, audience=issuer.audience, jwks=issuer.jwks, clock=clock)
    authenticator = Authenticator(verify_token=verify, store=MemoryStore(clock=clock), clock=clock)
    api = DPoPMiddleware(
        Starlette(routes=[Route("/orders", _orders)]), authenticator=authenticator, public_url="https://api.example.com"
    )
    auth = client.auth(issuer.access_token(client))
    with TestClient(api, base_url="https://api.example.com") as http:
        for statuses in ([401, 200], [200]):
            response = http.get("/orders", auth=auth)
            assert [one.status_code for one in (*response.history, response)] == statuses


def test_a_client_may_bring_its_own_key(client):
    assert Client(key=client.key).thumbprint == client.thumbprint
    assert Client().thumbprint != client.thumbprint


def test_a_token_is_bound_to_the_clients_key_or_to_none(issuer, client):
    assert _decoded(issuer.access_token(client))[1]["cnf"] == {"jkt": client.thumbprint}
    assert "cnf" not in _decoded(issuer.access_token())[1]


def test_a_token_can_be_changed_like_a_proof(issuer):
    token = issuer.access_token(header={"typ": "x"}, claims={"scope": "a b"}, without={"jti"})
    header, claims = _decoded(token)
    assert (header["typ"], header["kid"], claims["scope"], "jti" in claims) == ("x", issuer.kid, "a b", False)


def test_times_are_those_of_the_clock(issuer, client, clock):
    clock.advance(1000.0)
    claims = _decoded(issuer.access_token(client))[1]
    assert (claims["iat"], claims["exp"]) == (int(clock()), int(clock()) + 3600)
    assert abs(_decoded(Client().proof("GET", URI))[1]["iat"] - time.time()) < 60


def test_rotation_keeps_old_keys_or_drops_them():
    issuer = Issuer("https://id.example.com", audience="a")
    issuer.rotate()
    assert len(issuer.jwks["keys"]) == 2
    assert issuer.jwks["keys"][-1]["kid"] == issuer.kid
    issuer.rotate(keep_old=False)
    assert [key["kid"] for key in issuer.jwks["keys"]] == [issuer.kid]


def test_the_published_keys_are_public():
    for algorithm in ("ES256", "PS256", "Ed25519"):
        [key] = Issuer("https://id.example.com", audience="a", algorithm=algorithm).jwks["keys"]
        assert not key.keys() & {"d", "p", "q", "dp", "dq", "qi"}


async def test_the_issuers_app_serves_metadata_and_keys_and_counts(issuer):
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(issuer.app), base_url=issuer.url) as http:
        metadata = (await http.get("/.well-known/oauth-authorization-server")).json()
        assert metadata == {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/jwks"}
        assert issuer.fetches == 0
        assert (await http.get("/jwks")).json() == issuer.jwks
    assert issuer.fetches == 1


def test_bytes_are_signed_as_they_are(client):
    token = jwt(b"not json", b"\xff", client.key)
    header, payload, signature = token.split(".")
    assert base64.urlsafe_b64decode(header + "==") == b"not json"
    assert base64.urlsafe_b64decode(payload + "==") == b"\xff"
    assert len(base64.urlsafe_b64decode(signature + "==")) == 64
