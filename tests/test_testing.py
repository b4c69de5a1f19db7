"""The kit for tests of protected APIs does what it says, so that a test that fails means the API."""

import base64
import json
import time

import httpx2
import pytest

from dpop_asgi import Authenticator, IncomingRequest, JWTVerifier, MemoryStore, ProofPolicy, Refusal
from dpop_asgi.core.encoding import sha256_b64url
from dpop_asgi.core.private_key import PrivateKey
from dpop_asgi.testing import Client, Issuer, ManualClock, jwt
from tests.support.api import PUBLIC_URL, Api, App

URI = "https://api.example.com/orders"


def _decoded(token):
    return [json.loads(base64.urlsafe_b64decode(part + "==")) for part in token.split(".")[:2]]


def test_the_clock_stands_until_it_is_moved():
    clock = ManualClock(100.0)
    assert [clock(), clock()] == [100.0, 100.0]
    clock.advance(5.5)
    assert clock() == 105.5
    clock.advance(-10.0)
    assert clock() == 95.5


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "ES512", "PS256", "RS256", "Ed25519", "EdDSA"])
async def test_client_and_issuer_of_every_algorithm_are_accepted_and_one_broken_part_is_not(clock, algorithm):
    issuer = Issuer("https://id.example.com", audience="a", algorithm=algorithm, clock=clock)
    client, allowed = Client(algorithm, clock=clock), (algorithm,)
    verify = JWTVerifier(issuer=issuer.url, audience="a", jwks=issuer.jwks, clock=clock, algorithms=allowed)
    authenticator = Authenticator(
        verify_token=verify,
        store=MemoryStore(clock=clock),
        nonces=None,
        clock=clock,
        proof_policy=ProofPolicy(algorithms=allowed),
    )
    token = issuer.access_token(client)

    async def ask(**changes):
        headers = client.headers("GET", URI, token, **changes)
        pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        return await authenticator.authenticate(IncomingRequest(method="GET", target_uri=URI, headers=pairs))

    assert (await ask()).key_thumbprint == client.thumbprint
    with pytest.raises(Refusal, match="method_mismatch"):
        await ask(claims={"htm": "PUT"})
    with pytest.raises(Refusal, match="signature_invalid"):
        await ask(signed_by=PrivateKey.generate(algorithm))
    [key] = issuer.jwks["keys"]
    assert not key.keys() & {"d", "p", "q", "dp", "dq", "qi"}, "only public members are published"


def test_a_proof_has_what_rfc_9449_asks_for_and_nothing_else(client, clock):
    header, claims = _decoded(client.proof("POST", URI, "token", nonce="n"))
    assert header == {"typ": "dpop+jwt", "alg": "ES256", "jwk": client.key.public_jwk}
    assert claims.pop("jti")
    assert claims == {"htm": "POST", "htu": URI, "iat": int(clock()), "ath": sha256_b64url("token"), "nonce": "n"}
    assert _decoded(client.proof("POST", URI))[1].keys() == {"jti", "htm", "htu", "iat"}
    assert len({_decoded(client.proof("GET", URI))[1]["jti"] for _ in range(100)}) == 100


def test_one_part_of_a_proof_or_a_token_can_be_changed_or_left_out(client, issuer):
    header, claims = _decoded(
        client.proof("GET", URI, "t", header={"typ": "x", "kid": 1}, claims={"htm": 5}, without={"alg", "jti", "none"})
    )
    assert (header["typ"], header["kid"], claims["htm"], claims["htu"]) == ("x", 1, 5, URI)
    assert ("alg" in header, "jti" in claims) == (False, False)
    header, claims = _decoded(issuer.access_token(header={"typ": "x"}, claims={"scope": "a b"}, without={"jti"}))
    assert (header["typ"], header["kid"], claims["scope"], "jti" in claims) == ("x", issuer.kid, "a b", False)


def test_headers_are_the_two_headers_of_a_request(client):
    headers = client.headers("GET", URI, "token")
    assert list(headers) == ["Authorization", "DPoP"]
    assert headers["Authorization"] == "DPoP token"
    assert _decoded(headers["DPoP"])[1]["ath"] == sha256_b64url("token")


async def test_auth_sends_correct_requests_and_handles_nonces(issuer, client, clock):
    api = Api(App(), issuer, client, clock)
    transport, auth = httpx2.ASGITransport(api.app), api.client.auth(api.token)
    async with httpx2.AsyncClient(transport=transport, base_url=PUBLIC_URL, auth=auth) as http:
        for statuses in ([401, 200], [200]):
            response = await http.get("/orders")
            assert [one.status_code for one in (*response.history, response)] == statuses


def test_a_client_may_bring_its_own_key(client):
    assert Client(key=client.key).thumbprint == client.thumbprint
    assert Client().thumbprint != client.thumbprint


def test_a_token_is_bound_to_the_clients_key_or_to_none(issuer, client):
    assert _decoded(issuer.access_token(client))[1]["cnf"] == {"jkt": client.thumbprint}
    assert "cnf" not in _decoded(issuer.access_token())[1]


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


async def test_the_issuers_app_serves_metadata_and_keys_and_counts(issuer):
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(issuer.app), base_url=issuer.url) as http:
        metadata = (await http.get("/.well-known/oauth-authorization-server")).json()
        assert metadata == {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/jwks"}
        assert issuer.fetches == 0
        assert (await http.get("/jwks")).json() == issuer.jwks
    assert issuer.fetches == 1


def test_bytes_are_signed_as_they_are(client):
    header, payload, signature = jwt(b"not json", b"\xff", client.key).split(".")
    decoded = [base64.urlsafe_b64decode(part + "==") for part in (header, payload)]
    assert (decoded, len(base64.urlsafe_b64decode(signature + "=="))) == ([b"not json", b"\xff"], 64)
