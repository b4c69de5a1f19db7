"""oidc-provider issues, oauth4webapi gets and uses, the example verifies: signed and opaque tokens, on both stores."""

import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from dpop_asgi import IntrospectionVerifier
from dpop_asgi.client import ClientCredentials, DPoPAuth, Key
from dpop_asgi.core.private_key import PrivateKey
from dpop_asgi.testing import Client
from tests.e2e.rotation import challenges_on, undue_challenges
from tests.support.busy import patient
from tests.support.processes import AUDIENCE, RedisServer, ResourceServer, free_port, listens, patient_with, wait_until

CLIENTS = Path(__file__).parent / "clients"
# Both have to be form-encoded (RFC 6749 §2.3.1).
SECRET = "s%c+r:t/ x"
KINDS = ("jwt", "opaque")
STORES = ("memory", "redis")
# The challenged one and twenty more, over more than two lives of a nonce; the pause is in slots.
REQUESTS, PAUSE, CACHE = 21, 0.12, 1


class AuthorizationServer:
    """`issuer` and `audience` as of a test issuer."""

    def __init__(self, node):
        self._node = node
        self.port = free_port()
        self.url, self.audience = f"http://127.0.0.1:{self.port}", AUDIENCE
        self.key = PrivateKey.generate()

    def start(self):
        signing = {**PrivateKey.generate().private_jwk, "use": "sig", "alg": "ES256", "kid": "key-1"}
        known = {"client_secret": SECRET, "scope": "orders:read orders:write", "dpop_bound_access_tokens": True}
        clients = [{"client_id": kind, "grant_types": ["client_credentials"], **known} for kind in KINDS]
        clients += [{"client_id": "api", "client_secret": SECRET}, self._client_with_a_key()]
        job = {"port": self.port, "keys": [signing], "clients": clients, "resource": AUDIENCE}
        self._process = subprocess.Popen(
            [self._node, CLIENTS / "authorization-server.mjs"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._process.stdin.write(json.dumps(job).encode())
        self._process.stdin.close()
        wait_until(lambda: listens(self.port), "the authorization server does not listen")
        return self

    def stop(self):
        self._process.kill()
        self._process.wait()

    def _client_with_a_key(self):
        keys = {"keys": [{**self.key.public_jwk, "use": "sig", "kid": "k1"}]}
        return {
            "client_id": "api-with-a-key",
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_signing_alg": "ES256",
            "jwks": keys,
        }

    def revoke(self, token):
        answer = httpx2.post(
            f"{self.url}/token/revocation", data={"token": token}, auth=("opaque", "s%25c%2Br%3At%2F+x")
        )
        assert answer.status_code == 200


@pytest.fixture(scope="module")
def authorization_server(node):
    server = AuthorizationServer(node).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def period():
    return patient(1.0)


@pytest.fixture(scope="module")
def make_server(authorization_server):
    """Makes the example."""
    usual = {"introspection_client_id": "api", "introspection_client_secret": SECRET, "introspection_cache": CACHE}
    return lambda **settings: ResourceServer(authorization_server, **usual, **settings)


@pytest.fixture(scope="module")
def servers(redis_binary, make_server, period):
    """On each store, with nonces that rotate."""
    with (
        RedisServer(redis_binary) as redis,
        make_server(store="memory://", nonce_period=period) as on_memory,
        make_server(**patient_with(redis.url), nonce_period=period) as on_redis,
    ):
        yield {"memory": on_memory, "redis": on_redis}


@pytest.fixture(scope="module")
def steady_server(make_server):
    """Its nonces don't rotate."""
    with make_server() as server:
        yield server


class Session:
    """What oauth4webapi saw, and its key and token, for more requests."""

    def __init__(self, run_program, authorization_server, kind, url, *, requests=REQUESTS, pause=0.0):
        self.client = Client()
        job = {"url": f"{url}/resource", "issuer": authorization_server.url, "client_id": kind, "requests": requests}
        job |= {"client_secret": SECRET, "jwk": self.client.key.private_jwk, "alg": "ES256", "pause": pause}
        self.seen = run_program("issued", **job)
        self.token = self.seen["token"]

    def request(self, server):
        """One more, with a nonce of now."""
        url = f"{server.url}/resource"
        nonce = httpx2.get(url).headers["dpop-nonce"]
        return httpx2.get(url, headers=self.client.headers("GET", url, self.token, nonce=nonce))


@pytest.fixture(scope="module")
def sessions(run_program, authorization_server, servers, period):
    """All at the same time."""
    with ThreadPoolExecutor(4) as pool:
        yield {
            (kind, store): pool.submit(
                Session, run_program, authorization_server, kind, servers[store].url, pause=PAUSE * period
            )
            for kind in KINDS
            for store in STORES
        }


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_token_of_a_real_issuer_is_good_for_twenty_calls_and_one_challenge(sessions, period, kind, store):
    session = sessions[kind, store].result()
    who = {"status": 200, "sub": kind, "client_id": kind, "scope": ["orders:read"], "jkt": session.client.thumbprint}
    if kind == "opaque":
        # A token of client credentials has no subject; signed ones repeat the client there (RFC 9068 §2.2).
        who["sub"] = None
    assert session.seen["answers"] == [who] * REQUESTS
    wire = session.seen["wire"]
    challenges = challenges_on(wire)
    assert challenges[:1] == wire[:1]
    assert undue_challenges(wire, period) == []
    assert [entry["status"] for entry in wire if entry not in challenges] == [200] * REQUESTS
    assert len({entry["nonce"] for entry in wire}) >= 3
    assert (session.token.count(".") == 2) is (kind == "jwt")


@pytest.mark.parametrize("kind", KINDS)
def test_our_own_client_gets_a_bound_token_and_both_servers_nonces(authorization_server, steady_server, kind):
    """The token endpoint asks for a nonce of its own, and so does the API: one challenge by each."""
    url, key, wire = f"{authorization_server.url}/token", Key.generate(), []
    credentials = ClientCredentials(url, kind, SECRET, scope="orders:read", resource=AUDIENCE)
    hooks = {"response": [lambda response: wire.append((response.url.path, response.status_code))]}
    with httpx2.Client(auth=DPoPAuth(credentials, key=key), event_hooks=hooks, timeout=60.0) as http:
        answers = [http.get(f"{steady_server.url}/resource") for _ in range(3)]
    assert {answer.json()["jkt"] for answer in answers} == {key.thumbprint}
    tokens = [("/token", 400), ("/token", 200)]
    assert wire == [*tokens, ("/resource", 401), *[("/resource", 200)] * 3]


@pytest.mark.requirement("R-FAPI-02")
def test_a_revoked_token_is_rejected_once_its_answer_is_too_old(run_program, authorization_server, steady_server):
    session = Session(run_program, authorization_server, "opaque", steady_server.url, requests=0)
    assert session.request(steady_server).status_code == 200
    authorization_server.revoke(session.token)
    revoked_at = time.monotonic()
    while (answer := session.request(steady_server)).status_code == 200:
        assert time.monotonic() - revoked_at < CACHE + 30.0
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


async def test_the_endpoint_takes_an_assertion_that_a_private_key_signs(authorization_server, sessions):
    session = sessions["opaque", "memory"].result()
    key = {**authorization_server.key.private_jwk, "kid": "k1"}
    verify = IntrospectionVerifier(
        issuer=authorization_server.url, client_id="api-with-a-key", private_key=key, audience=AUDIENCE, timeout=30.0
    )
    for _ in range(2):
        assert (await verify(session.token)).key_thumbprint == session.client.thumbprint
    await verify.aclose()
