"""`DPoPAuth` against the example server, whose nonces rotate each second: a client that never sees a nonce."""

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
from starlette.responses import RedirectResponse

from dpop_asgi.client import ClientCredentials, DPoPAuth, Key
from dpop_asgi.testing import Client
from tests.support.busy import patient
from tests.support.processes import ROOT, AuthorizationServer, ResourceServer
from tests.support.serving import Served

# In slots. A nonce lives for 1.2 at least, see test_clients.
PERIODS, PAUSE = 5, 0.2
UPLOAD = b"x" * 1_000_000
KEY_FILE = ec.generate_private_key(ec.SECP256R1()).private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)


@pytest.fixture(scope="module")
def period():
    return patient(1.0)


@pytest.fixture(scope="module")
def server(issuer_server, period):
    with ResourceServer(issuer_server.issuer, nonce_period=period) as server:
        yield server


@pytest.fixture
def auth(issuer_server):
    client = Client()
    return client.auth(issuer_server.issuer.access_token(client))


class Seen:
    """What came back over the wire, challenges too."""

    def __init__(self):
        self.statuses, self.paths = [], []
        self.nonces = set()

    def __call__(self, response):
        self.statuses.append(response.status_code)
        self.paths.append(response.url.path)
        self.nonces.add(response.headers.get("dpop-nonce"))

    async def later(self, response):
        self(response)


def _sync(server, auth, seen, **options):
    hooks = {"response": [seen]}
    return httpx2.Client(base_url=server.url, auth=auth, event_hooks=hooks, timeout=60.0, trust_env=False, **options)


def _async(server, auth, seen, **options):
    hooks = {"response": [seen.later]}
    options = {"base_url": server.url, "auth": auth, "timeout": 60.0, "trust_env": False, **options}
    return httpx2.AsyncClient(event_hooks=hooks, **options)


@pytest.mark.requirement("R-8-05", "R-8-06")
def test_eight_threads_are_challenged_once_each_while_nonces_rotate(server, auth, period):
    """They begin at the same time; later on none is challenged at all."""
    seen, begin = Seen(), threading.Barrier(8)

    def ask(http):
        begin.wait()
        until = time.monotonic() + 2 * period
        while time.monotonic() < until:
            assert http.get("/resource").status_code == 200
            time.sleep(PAUSE * period)

    with _sync(server, auth, seen) as http, ThreadPoolExecutor(8) as threads:
        list(threads.map(ask, repeat(http, 8)))
    count = Counter(seen.statuses)
    assert count.keys() == {200, 401}
    assert count[401] <= 8
    assert 401 not in seen.statuses[-count[200] // 2 :]


async def test_a_client_sees_one_challenge_in_its_life(server, auth, period):
    seen = Seen()
    async with _async(server, auth, seen) as http:
        until = time.monotonic() + PERIODS * period
        while time.monotonic() < until:
            assert (await http.get("/resource")).status_code == 200
            await asyncio.sleep(PAUSE * period)
    assert seen.statuses == [401] + [200] * (len(seen.statuses) - 1)
    assert len(seen.nonces - {None}) >= PERIODS - 1


async def test_twenty_requests_without_a_nonce_are_each_tried_twice_at_most(server, auth):
    seen = Seen()
    async with _async(server, auth, seen) as http:
        responses = await asyncio.gather(*(http.get("/resource") for _ in range(20)))
    assert {response.status_code for response in responses} == {200}
    assert all(len(response.history) <= 1 for response in responses)
    assert len(seen.statuses) <= 40


# Tokens


@pytest.fixture(scope="module")
def servers(period):
    """The example's authorization server, and an API that trusts it."""
    with AuthorizationServer() as issuer, ResourceServer(issuer, nonce_period=period) as api:
        yield f"{issuer.url}/token", api


async def test_a_token_is_fetched_with_the_endpoints_nonce_and_accepted_with_the_apis(servers):
    token_url, api = servers
    seen, key = Seen(), Key.generate()
    auth = DPoPAuth(ClientCredentials(token_url, "demo", "demo-secret", scope="orders:read"), key=key)
    async with _async(api, auth, seen) as http:
        responses = await asyncio.gather(*(http.get("/resource") for _ in range(20)))
    assert {response.json()["jkt"] for response in responses} == {key.thumbprint}
    assert Counter(seen.paths)["/token"] == 2
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


# Bodies


async def _parts():
    for _ in range(10):
        yield UPLOAD[:100_000]


@pytest.mark.parametrize("kind", ["bytes", "file", "form"])
def test_an_upload_is_sent_again_whole(server, auth, kind):
    seen = Seen()
    with _sync(server, auth, seen) as http, TemporaryFile() as file:
        file.write(UPLOAD)
        file.seek(0)
        content = {"bytes": {"content": UPLOAD}, "file": {"content": file}, "form": {"files": {"f": file}}}[kind]
        assert http.post("/resource", **content).status_code == 200
    assert seen.statuses == [401, 200]


async def test_a_stream_is_not_sent_again_but_passes_with_a_nonce_that_is_known(server, auth):
    seen = Seen()
    async with _async(server, auth, seen) as http:
        assert (await http.post("/resource", content=_parts())).status_code == 401
        assert (await http.post("/resource", content=_parts())).status_code == 200
    assert seen.statuses == [401, 200]


async def test_a_streamed_response_arrives_part_by_part(server, auth):
    async with _async(server, auth, Seen()) as http, http.stream("GET", "/stream") as response:
        events = [part async for part in response.aiter_lines() if part]
    assert (response.status_code, len(response.history)) == (200, 1)
    assert events == ["data: 0", "data: 1", "data: 2"]


# Redirects


@pytest.fixture
def following(issuer_server):
    client = Client()
    key = Key(client.key.public_jwk, client.key.sign)
    return DPoPAuth(issuer_server.issuer.access_token(client), key=key, follow_redirects=True)


async def test_a_redirect_on_the_same_origin_ends_at_the_resource(server, following):
    seen = Seen()
    async with _async(server, following, seen) as http:
        responses = [await http.post("/resource/", content=b"x") for _ in range(2)]
    assert {(response.status_code, response.url.path) for response in responses} == {(200, "/resource")}
    assert seen.statuses == [401, *[307, 200] * 2]


@pytest.mark.parametrize("content", ["bytes", "file", "stream"])
def test_an_upload_is_taken_along_unless_it_is_a_stream(server, following, content):
    with _sync(server, following, Seen()) as http, TemporaryFile() as file:
        http.get("/resource")
        file.write(UPLOAD)
        file.seek(0)
        body = {"bytes": UPLOAD, "file": file, "stream": iter([UPLOAD])}[content]
        assert http.post("/resource/", content=body).status_code == (307 if content == "stream" else 200)


@pytest.mark.parametrize("follows", ["auth", "httpx2"])
async def test_a_redirect_to_another_origin_arrives_without_the_token(server, auth, following, follows):
    seen, by_httpx2 = Seen(), follows == "httpx2"

    async def elsewhere(scope, receive, send):
        await RedirectResponse(f"{server.url}/resource")(scope, receive, send)

    with Served(elsewhere) as other:
        options = {"base_url": other.url, "follow_redirects": by_httpx2}
        async with _async(server, auth if by_httpx2 else following, seen, **options) as http:
            response = await http.get("/resource")
    assert (response.status_code, seen.statuses) == (401, [307, 401])
    assert "authorization" not in response.request.headers
    assert ("dpop" in response.request.headers) is by_httpx2


async def test_a_redirect_that_httpx2_follows_costs_a_challenge(server, auth):
    seen = Seen()
    async with _async(server, auth, seen, follow_redirects=True) as http:
        response = await http.post("/resource/", content=b"x")
    assert (response.status_code, response.url.path) == (200, "/resource")
    assert seen.statuses == [401, 307, 401, 200]
