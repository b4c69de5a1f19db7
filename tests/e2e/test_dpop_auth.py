"""`DPoPAuth` against the example server, also while its nonces rotate: a client that never sees a nonce."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from tempfile import TemporaryFile

import httpx2
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from dpop_asgi.client import ClientCredentials, DPoPAuth, Key
from dpop_asgi.testing import Client
from tests.e2e.rotation import challenges_on, undue_challenges
from tests.support.busy import patient
from tests.support.processes import ROOT, AuthorizationServer, ResourceServer

# In slots; for how many a nonce lives: see rotation.
PERIODS, PAUSE = 3, 0.2
KEY_FILE = ec.generate_private_key(ec.SECP256R1()).private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)


@pytest.fixture(scope="module")
def server(issuer_server):
    with ResourceServer(issuer_server.issuer) as server:
        yield server


@pytest.fixture
def auth(issuer_server):
    client = Client()
    return client.auth(issuer_server.issuer.access_token(client))


class Seen:
    """What came back over the wire, challenges too."""

    def __init__(self):
        self.statuses, self.paths, self.nonces = [], [], set()

    def __call__(self, response):
        self.statuses.append(response.status_code)
        self.paths.append(response.url.path)
        self.nonces.add(response.headers.get("dpop-nonce"))

    async def later(self, response):
        self(response)


def _sync(server, auth, seen):
    hooks = {"response": [seen]}
    return httpx2.Client(base_url=server.url, auth=auth, event_hooks=hooks, timeout=60.0, trust_env=False)


def _async(server, auth, seen):
    hooks = {"response": [seen.later]}
    return httpx2.AsyncClient(base_url=server.url, auth=auth, event_hooks=hooks, timeout=60.0, trust_env=False)


@pytest.mark.requirement("R-8-05", "R-8-06")
def test_eight_threads_are_challenged_once_each_while_nonces_rotate(issuer_server, auth):
    """They begin at the same time; later on none is challenged at all."""
    seen, begin, calls, period = Seen(), threading.Barrier(8), [], patient(1.0)

    def ask(http):
        begin.wait()
        until = time.monotonic() + PERIODS * period
        while time.monotonic() < until:
            asked_at = time.monotonic()
            response = http.get("/resource")
            challenge = response.history[0].headers["www-authenticate"] if response.history else None
            calls.append({"asked_at": asked_at, "answered_at": time.monotonic(), "challenge": challenge})
            assert response.status_code == 200
            time.sleep(PAUSE * period)

    with (
        ResourceServer(issuer_server.issuer, nonce_period=period) as server,
        _sync(server, auth, seen) as http,
        ThreadPoolExecutor(8) as threads,
    ):
        list(threads.map(ask, repeat(http, 8)))
    count = Counter(seen.statuses)
    assert count == {200: len(calls), 401: len(challenges_on(calls))}
    assert count[401] > 0
    assert undue_challenges(calls, period) == []
    assert len(seen.nonces - {None}) >= PERIODS - 1


# Tokens


@pytest.fixture(scope="module")
def servers():
    """The example's authorization server, and an API that trusts it."""
    with AuthorizationServer() as issuer, ResourceServer(issuer) as api:
        yield f"{issuer.url}/token", api


async def test_a_token_is_fetched_with_the_endpoints_nonce_and_accepted_with_the_apis(servers):
    token_url, api = servers
    seen, key = Seen(), Key.generate()
    auth = DPoPAuth(ClientCredentials(token_url, "demo", "demo-secret", scope="orders:read"), key=key)
    async with _async(api, auth, seen) as http:
        responses = await asyncio.gather(*(http.get("/resource") for _ in range(20)))
    assert {response.json()["jkt"] for response in responses} == {key.thumbprint}
    assert Counter(seen.paths)["/token"] == 2
    assert Counter(seen.paths)["/resource"] <= 2 * 20
    assert Counter(seen.statuses)[400] == 1


@pytest.mark.parametrize(
    ("secret", "code", "shown"),
    [
        ("demo-secret", 0, '200 {"sub":"demo"'),
        ("wrong-secret", 2, "no token: the token endpoint responds 401 "),
    ],
)
def test_the_example_calls_the_api(servers, tmp_path, secret, code, shown):
    (tmp_path / "client.pem").write_bytes(KEY_FILE)
    token_url, api = servers
    settings = {"TOKEN_URL": token_url, "CLIENT_ID": "demo", "CLIENT_SECRET": secret}
    done = subprocess.run(
        [sys.executable, "examples/client.py", f"{api.url}/resource"],
        env={**os.environ, **settings, "KEY_FILE": str(tmp_path / "client.pem")},
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert (done.returncode, (done.stdout + done.stderr).startswith(shown)) == (code, True), done.stderr
    assert secret not in done.stdout + done.stderr


# Bodies and redirects: all kinds of them are in tests/client/


def test_an_upload_is_sent_again_whole_and_taken_along_on_a_redirect(server, issuer_server):
    seen, client = Seen(), Client()
    key = Key(client.key.public_jwk, client.key.sign)
    auth = DPoPAuth(issuer_server.issuer.access_token(client), key=key, follow_redirects=True)
    with _sync(server, auth, seen) as http, TemporaryFile() as file:
        file.write(b"x" * 1_000_000)
        for path in ("/resource", "/resource/"):
            file.seek(0)
            response = http.post(path, content=file)
            assert (response.status_code, response.url.path) == (200, "/resource")
    assert seen.statuses == [401, 200, 307, 200]


async def test_a_streamed_response_arrives_part_by_part(server, auth):
    async with _async(server, auth, Seen()) as http, http.stream("GET", "/stream") as response:
        events = [part async for part in response.aiter_lines() if part]
    assert (response.status_code, len(response.history)) == (200, 1)
    assert events == ["data: 0", "data: 1", "data: 2"]
