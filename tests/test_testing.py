"""The kit for tests of protected APIs does what it says, so that a test that fails means the API.

What all tests here use of its client and its issuer is not tested again.
"""

import base64
import json
import os
import subprocess
import sys
import time
from contextlib import asynccontextmanager

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import WebSocketDenialResponse

from dpop_asgi import Authenticator, DPoPMiddleware, JWTVerifier, ProofPolicy, Reason, RedisStore, caller_from
from dpop_asgi.core.encoding import sha256_b64url
from dpop_asgi.core.private_key import PrivateKey
from dpop_asgi.starlette import authenticate, requires, token_from
from dpop_asgi.testing import Client, Issuer, ManualClock, OfflineAPI, WithoutProofs, make_caller
from tests.support.decisions import Resource
from tests.support.proofs import URI

# Client and issuer


def _decoded(token):
    return [json.loads(base64.urlsafe_b64decode(part + "==")) for part in token.split(".")[:2]]


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "ES512", "PS256", "RS256", "Ed25519", "EdDSA"])
async def test_client_and_issuer_of_every_algorithm_are_accepted_and_one_broken_part_is_not(clock, algorithm):
    issuer = Issuer("https://id.example.com", audience="a", algorithm=algorithm, clock=clock)
    client, allowed = Client(algorithm, clock=clock), (algorithm,)
    verify = JWTVerifier(issuer=issuer.url, audience="a", jwks=issuer.jwks, clock=clock, algorithms=allowed)
    resource = Resource(clock, client, verify_token=verify, proof_policy=ProofPolicy(algorithms=allowed))
    token = issuer.access_token(client)
    assert (await resource.accept(resource.headers(token))).key_thumbprint == client.thumbprint
    other = resource.headers(token, signed_by=PrivateKey.generate(algorithm))
    assert await resource.reason(other) is Reason.SIGNATURE_INVALID
    [key] = issuer.jwks["keys"]
    assert not key.keys() & {"d", "p", "q", "dp", "dq", "qi"}, "only public members are published"


def test_a_proof_has_what_rfc_9449_asks_for_and_nothing_else(client, clock):
    header, claims = _decoded(client.proof("POST", URI, "token", nonce="n"))
    assert header == {"typ": "dpop+jwt", "alg": "ES256", "jwk": client.key.public_jwk}
    assert claims.pop("jti")
    assert claims == {"htm": "POST", "htu": URI, "iat": int(clock()), "ath": sha256_b64url("token"), "nonce": "n"}
    assert _decoded(client.proof("POST", URI))[1].keys() == {"jti", "htm", "htu", "iat"}
    assert len({_decoded(client.proof("GET", URI))[1]["jti"] for _ in range(100)}) == 100


def test_a_client_may_bring_its_own_key(client):
    assert Client(key=client.key).thumbprint == client.thumbprint != Client().thumbprint


def test_times_are_those_of_the_clock(issuer, client, clock):
    clock.advance(1000.0)
    claims = _decoded(issuer.access_token(client))[1]
    assert (claims["iat"], claims["exp"]) == (int(clock()), int(clock()) + 3600)
    assert abs(_decoded(Client().proof("GET", URI))[1]["iat"] - time.time()) < 60


# An app under test keeps its options, and needs no network


URL = "https://api.example.com"
REASONS = []


async def _whoami(request):
    caller = await authenticate(request)
    return JSONResponse([caller.subject, caller.client_id, sorted(caller.scopes)])


@requires("orders:read", acr_values="urn:example:loa:2")
async def _orders(request):
    return JSONResponse([caller_from(request).subject, token_from(request)])


async def _greet(request):
    caller = await authenticate(request, optional=True)
    return JSONResponse(None if caller is None else caller.subject)


async def _hello(websocket):
    await authenticate(websocket)
    await websocket.accept()
    await websocket.send_text(caller_from(websocket).subject)


ROUTES = [
    Route("/whoami", _whoami, methods=["GET", "POST"]),
    Route("/orders", _orders),
    Route("/greet", _greet),
    WebSocketRoute("/hello", _hello),
]


def _authenticator(**options):
    """As in production: neither the issuer nor the store can be reached from here."""
    verify = JWTVerifier(issuer="https://issuer.invalid", audience=URL)
    observer = lambda decision: REASONS.append(decision.reason)  # noqa: E731 - an option
    return Authenticator(verify_token=verify, store=RedisStore("redis://store.invalid"), observer=observer, **options)


def _app(protect="routes", authenticator=None, **options):
    options = {"public_url": URL, "authenticator": authenticator or _authenticator(), "protect": protect, **options}
    return Starlette(routes=ROUTES, middleware=[Middleware(DPoPMiddleware, **options)])


def _wrapped(**options):
    return DPoPMiddleware(Starlette(routes=ROUTES), authenticator=_authenticator(), **options)


@pytest.mark.parametrize(
    ("app", "base_url"),
    [
        pytest.param(_app(), URL, id="added to the app"),
        pytest.param(_app("everything"), URL, id="asks by itself"),
        pytest.param(_wrapped(public_url=URL), URL, id="around the app"),
        pytest.param(_wrapped(public_url=[f"{URL}:8443", URL]), f"{URL}:8443", id="several public URLs"),
        pytest.param(_wrapped(public_url=f"{URL}/shop"), f"{URL}/shop", id="a proxy strips a prefix"),
        pytest.param(_wrapped(allowed_hosts=["b.example", "a.example"]), "https://a.example", id="allowed hosts"),
        pytest.param(_wrapped(), "http://localhost", id="this machine only"),
    ],
)
def test_the_middleware_is_found_and_its_url_is_signed(app, base_url):
    with OfflineAPI(app) as api:
        assert api.base_url == base_url
        assert api.client("a b").get("/whoami").json() == ["alice", "demo-client", ["a", "b"]]
        with api.client().websocket_connect("/hello?x=1") as websocket:
            assert websocket.receive_text() == "alice"


@pytest.mark.parametrize(
    ("options", "status"),
    [
        pytest.param({}, 200, id="this machine only"),
        pytest.param({"allowed_hosts": ["a.example"]}, 200, id="allowed hosts"),
        pytest.param({"public_url": [f"{URL}:8443", URL]}, 200, id="several public URLs"),
        pytest.param({"public_url": URL}, 401, id="a public URL, which clients call"),
    ],
)
@pytest.mark.parametrize("host", ["testserver", "other"])
def test_the_host_that_a_test_client_calls_by_default_is_served_and_no_other(options, status, host):
    """N05b"""
    app = _wrapped(protect="routes", **options)
    with OfflineAPI(app, base_url=f"http://{host}") as api:
        of_others = 401 if status == 401 else 400
        expected = status if host == "testserver" else of_others
        assert api.client().get("/whoami").status_code == expected
        api.without_proofs(make_caller(), outside_pytest=True)
        assert api.client().get("/whoami").status_code == expected


def _included(inner):
    (app := FastAPI()).include_router(APIRouter(routes=[Mount("/v2", inner)]))
    return app


@pytest.mark.parametrize(
    "around", [lambda app: Starlette(routes=[Mount("/v2", app)]), _included], ids=["app", "router"]
)
def test_a_mounted_app_is_found(around):
    with OfflineAPI(around(_app())) as api:
        assert api.client().get("/v2/whoami").status_code == 200


def test_what_cannot_be_found_out_is_named():
    with pytest.raises(ValueError, match=r"^app: there is no DPoPMiddleware"):
        OfflineAPI(Starlette())
    app = DPoPMiddleware(Starlette(), authenticator=_authenticator(), target_uri=lambda _: URL)
    with pytest.raises(ValueError, match=r"^base_url: "):
        OfflineAPI(app)


def test_options_stay_and_everything_comes_back():
    allowed = []
    authenticator = _authenticator(mode="mixed", nonces=None, allow_bearer=lambda token: allowed.append(token) or True)
    before = dict(vars(authenticator))
    with OfflineAPI(_app(authenticator=authenticator)) as api:
        http = api.client()
        assert http.get("/whoami").history == []
        bearer = {"Authorization": f"Bearer {api.issuer.access_token()}"}
        assert http.get("/whoami", headers=bearer, auth=None).status_code == 200
        assert len(allowed) == 1
        REASONS.clear()
        assert http.get("/whoami", headers={"Authorization": "Bearer x"}, auth=None).status_code == 401
        assert REASONS == ["token_malformed"]
    assert vars(authenticator) == before


def test_what_a_subclass_adds_and_overrides_stays():
    class Counting(Authenticator):
        def __init__(self, **options):
            super().__init__(**options)
            self.asked = []

        async def authenticate(self, request, needed=None):
            self.asked.append(request.method)
            return await super().authenticate(request, needed)

    verify = JWTVerifier(issuer="https://issuer.invalid", audience=URL)
    authenticator = Counting(verify_token=verify, store=RedisStore("redis://store.invalid"), nonces=None)
    with OfflineAPI(_app(authenticator=authenticator)) as api:
        assert api.client().get("/whoami").status_code == 200
    assert authenticator.asked == ["GET"]


def test_the_lifespan_runs_in_a_with_block():
    ran = []

    @asynccontextmanager
    async def lifespan(_):
        ran.append("begun")
        yield
        ran.append("ended")

    app = Starlette(routes=ROUTES, lifespan=lifespan)
    with OfflineAPI(DPoPMiddleware(app, authenticator=_authenticator(), public_url=URL)) as api:
        for number, http in enumerate([api.client(), api.without_proofs(make_caller())], 1):
            with http:
                assert http.get("/whoami").status_code == 200
            assert ran == ["begun", "ended"] * number


async def test_a_client_signs_in_again_with_the_same_key():
    with OfflineAPI(
        _app(), issuer=Issuer("https://b.example", audience="b", clock=(c := ManualClock())), clock=c
    ) as api:
        async with api.async_client() as http:
            assert (await http.post("/whoami")).json() == ["alice", "demo-client", []]
            first = http.token
            assert (await http.get("/orders")).status_code == 401
            strong = {"sub": "bob", "acr": "urn:example:loa:2"}
            assert http.sign_in("orders:read", claims=strong) == http.token != first
            assert (await http.get("/orders")).json() == ["bob", http.token]
            assert api.client(key=http.client).client is http.client
        plain = api.client()
        assert plain.sign_in("orders:read", claims=strong) == plain.token
        assert plain.get("/orders").json() == ["bob", plain.token]


def test_a_handshake_that_is_rejected_stays_rejected():
    with OfflineAPI(_app()) as api:
        http = api.client()
        api.clock.advance(4000)
        for auth in ({}, {"auth": None}):
            with pytest.raises(WebSocketDenialResponse) as denied, http.websocket_connect("/hello", **auth):
                pass
            assert denied.value.status_code == 401
            assert "use_dpop_nonce" not in denied.value.headers["WWW-Authenticate"]


# Without proofs


def test_without_proofs_for_a_thousand_tests_of_one_app():
    """Requests with a proof don't pass through as many layers."""
    with OfflineAPI(_wrapped(protect="routes", public_url=URL), base_url=URL) as api:
        for _ in range(1100):
            api.without_proofs(make_caller(), outside_pytest=True)
        assert api.client().get("/whoami").status_code == 200


@pytest.mark.parametrize("protect", ["routes", "everything"])
def test_without_proofs_every_kind_of_route_gets_its_caller(dpop_api, protect, caplog):
    """Scopes and step-up are still checked, and other clients of the same app are judged as ever."""
    api, scopes = dpop_api(_app(protect)), ["a", "orders:read"]
    strong = make_caller("bob", client_id="c", scopes="a orders:read", acr="urn:example:loa:2", key_thumbprint=None)
    http = api.without_proofs(strong)
    assert "accepted without proof and token" in caplog.text
    assert http.get("/whoami", headers={"Authorization": "Basic x", "DPoP": "y"}).json() == ["bob", "c", scopes]
    assert http.get("/orders").json() == ["bob", "no-token-was-sent"]
    for weak, status in ((make_caller(scopes="orders:read"), 401), (make_caller(acr="urn:example:loa:2"), 403)):
        assert api.without_proofs(weak).get("/orders").status_code == status
    assert http.get("/greet").json() == "bob"
    with http.websocket_connect("/hello") as websocket:
        assert websocket.receive_text() == "bob"
    assert api.client().get("/whoami", auth=None).status_code == 401
    assert api.client().get("/whoami").json()[0] == "alice"
    assert (make_caller().key_thumbprint is None, make_caller(key_thumbprint=None).key_thumbprint) == (False, None)


OUTSIDE = """
from starlette.applications import Starlette
from dpop_asgi import Authenticator, DPoPMiddleware, JWTVerifier, MemoryStore
from dpop_asgi.testing import WithoutProofs, make_caller
import pytest, dpop_asgi.testing.pytest   # to be importable is not to be running

verify = JWTVerifier(issuer="https://id.example.com", audience="a", jwks={"keys": []})
app = DPoPMiddleware(Starlette(), authenticator=Authenticator(verify_token=verify, store=MemoryStore()))
for options in ({}, {"outside_pytest": 1}, {"outside_pytest": True}):
    try:
        WithoutProofs(app, make_caller(), **options)
    except RuntimeError as refused:
        print(refused)
    else:
        print("accepted")
"""


def test_outside_pytest_nothing_but_the_code_can_do_without_proofs():
    names = ("PYTEST_CURRENT_TEST", "PYTEST_VERSION", "PYTEST_PLUGINS", "DPOP_TESTING", "DPOP_OUTSIDE_PYTEST")
    environment = {**os.environ, **dict.fromkeys(names, "1")}
    ran = subprocess.run([sys.executable, "-c", OUTSIDE], env=environment, capture_output=True, text=True, check=True)
    by_environment, by_what_is_true, by_code = ran.stdout.splitlines()
    assert by_environment == by_what_is_true
    assert by_environment.startswith("WithoutProofs accepts every request")
    assert by_code == "accepted"
    assert "This is for tests only" in ran.stderr


def test_pytest_without_the_plugin_does_not_do_without_proofs(monkeypatch):
    monkeypatch.setattr("dpop_asgi.testing.without_proofs._pytest_runs", [])
    with pytest.raises(RuntimeError, match=r"dpop_asgi\.testing.pytest"):
        WithoutProofs(_app(), make_caller())


def test_the_plugin_works_as_long_as_pytest_runs(pytester):
    """A run inside another, as here, ends alone."""
    pytester.makeconftest('pytest_plugins = ["dpop_asgi.testing.pytest"]')
    pytester.makepyfile("def test(dpop_client, dpop_issuer, dpop_clock):\n    assert dpop_issuer._clock is dpop_clock")
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)
    assert WithoutProofs(_app(), make_caller())
