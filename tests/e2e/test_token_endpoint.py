"""OAuth clients as they are published get tokens from the example, and use them at the resource server."""

import base64
import hashlib
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
import requests
from requests.adapters import HTTPAdapter
from requests_oauth2client import DPoPKey, OAuth2Client

from dpop_asgi.testing import Client
from tests.support.load import HANGS_AFTER
from tests.support.processes import AuthorizationServer, ResourceServer

REDIRECT = "http://127.0.0.1:9000/callback"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
ASKED = {
    "client_id": "demo-app",
    "response_type": "code",
    "redirect_uri": REDIRECT,
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}
ALL = ["orders:read", "orders:write"]


@pytest.fixture(scope="module")
def servers():
    with AuthorizationServer() as issuer, ResourceServer(issuer) as api:
        yield issuer, api
        assert "Traceback" not in issuer.log + api.log


@pytest.mark.requirement("R-9-02", "R-9-03", "R-11.9-01")
def test_oauth4webapi_uses_every_grant(servers, run_program):
    issuer, api = servers
    client = Client()
    job = {"issuer": issuer.url, "api": f"{api.url}/resource", "jwk": client.key.private_jwk, "redirect": REDIRECT}
    seen = run_program("oauth4webapi-grants", **job)
    common = {"token_type": "dpop", "jkt": client.thumbprint}
    assert seen["answers"] == {
        "client credentials": {**common, "sub": "demo", "client_id": "demo", "scope": ["orders:read"]},
        "pushed code": {**common, "sub": "alice", "client_id": "demo", "scope": ALL},
        "public code": {**common, "sub": "alice", "client_id": "demo-app", "scope": ALL},
        "refresh token": {**common, "sub": "alice", "client_id": "demo-app", "scope": ALL},
    }
    assert seen["challenged"] == ["token", "api"], "each server challenges once"


@pytest.mark.requirement("R-9-02", "R-9-04", "R-11.9-01")
def test_requests_oauth2client_uses_client_credentials_and_pushed_codes(servers):
    issuer, api = servers
    key, challenged = DPoPKey.generate("ES256"), []

    class Wire(HTTPAdapter):
        def send(self, request, **options):
            answer = super().send(request, **options)
            if answer.status_code in {400, 401}:
                challenged.append(urlsplit(answer.url).path)
            return answer

    with requests.Session() as session:
        session.trust_env = False
        session.mount("http://", Wire())
        document = session.get(f"{issuer.url}/.well-known/oauth-authorization-server", timeout=HANGS_AFTER).json()
        options = {"client_id": "demo", "client_secret": "demo-secret", "redirect_uri": REDIRECT}
        oauth = OAuth2Client.from_discovery_document(
            document, **options, session=session, dpop_bound_access_tokens=True, testing=True
        )
        tokens = {"demo": oauth.client_credentials(scope="orders:read", dpop_key=key)}
        asked = oauth.authorization_request(scope=" ".join(ALL), dpop=True, dpop_key=key)
        pushed = oauth.pushed_authorization_request(asked)
        visited = session.get(str(pushed.uri), allow_redirects=False, timeout=HANGS_AFTER)
        tokens["alice"] = oauth.authorization_code(asked.validate_callback(visited.headers["location"]))
        for subject, token in tokens.items():
            answer = session.get(f"{api.url}/resource", auth=token, timeout=HANGS_AFTER).json()
            assert (answer["sub"], answer["jkt"]) == (subject, key.dpop_jkt)
    assert challenged == ["/token", "/resource"], "each server challenges once"


class Visitor:
    """A client that can do everything wrong."""

    def __init__(self, issuer):
        self.url = issuer.url
        self.nonce = None
        self.http = httpx2.Client(trust_env=False, timeout=HANGS_AFTER)

    def post(self, path, form, key=None, **options):
        for _ in range(2):
            proof = {"DPoP": key.proof("POST", f"{self.url}{path}", nonce=self.nonce)} if key else {}
            answer = self.http.post(f"{self.url}{path}", data=form, headers=proof, **options)
            self.nonce = answer.headers.get("DPoP-Nonce", self.nonce)
            if answer.json().get("error") != "use_dpop_nonce":
                break
        return answer

    def code(self, **changes):
        """A code, or the error."""
        asked = {name: value for name, value in {**ASKED, **changes}.items() if value is not None}
        answer = self.http.get(f"{self.url}/authorize", params=asked)
        if answer.status_code != 303:
            return answer.json()["error"]
        return parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]

    def redeem(self, code, key, **changes):
        form = {"grant_type": "authorization_code", "client_id": "demo-app", "code": code}
        return self.post("/token", {**form, "redirect_uri": REDIRECT, "code_verifier": VERIFIER, **changes}, key)


@pytest.fixture
def visitor(servers):
    visitor = Visitor(servers[0])
    with visitor.http:
        yield visitor


KEY, OTHER = Client(), Client()


@pytest.mark.requirement("R-11.9-01")
@pytest.mark.parametrize(
    ("asked", "redeemed", "key", "error"),
    [
        pytest.param({}, {}, KEY, None, id="good"),
        pytest.param({"dpop_jkt": KEY.thumbprint}, {}, KEY, None, id="bound"),
        pytest.param({"dpop_jkt": KEY.thumbprint}, {}, OTHER, "invalid_grant", id="another-key"),
        pytest.param({}, {}, None, "invalid_dpop_proof", id="public-without-proof"),
        pytest.param({}, {"code_verifier": "w" * 43}, KEY, "invalid_grant", id="wrong-verifier"),
        pytest.param({}, {"code_verifier": ""}, KEY, "invalid_grant", id="no-verifier"),
        pytest.param({}, {"redirect_uri": REDIRECT + "/"}, KEY, "invalid_grant", id="other-redirect"),
        pytest.param({}, {"client_id": "nobody"}, KEY, "invalid_client", id="unknown-client"),
        pytest.param({}, {"client_secret": "guessed"}, KEY, "invalid_client", id="a-secret-of-a-public-client"),
        pytest.param(
            {}, {"client_id": "demo", "client_secret": "demo-secret"}, KEY, "invalid_grant", id="other-client"
        ),
        pytest.param(
            {}, {"client_id": "demo", "client_secret": "demo-secre"}, KEY, "invalid_client", id="wrong-secret"
        ),
        pytest.param({}, {"grant_type": "password"}, KEY, "unsupported_grant_type", id="other-grant"),
        pytest.param({}, {"grant_type": "client_credentials"}, KEY, "unsupported_grant_type", id="public-credentials"),
    ],
)
def test_a_code_is_redeemed_by_the_client_and_key_that_asked_for_it(visitor, asked, redeemed, key, error):
    answer = visitor.redeem(visitor.code(**asked), key, **redeemed)
    assert answer.json().get("error") == error
    assert answer.status_code == {None: 200, "invalid_client": 401}.get(error, 400)
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"redirect_uri": REDIRECT + "?x"}, id="redirect-with-query"),
        pytest.param({"redirect_uri": "http://127.0.0.1.evil.example:9000/callback"}, id="redirect-to-another-host"),
        pytest.param({"redirect_uri": "http://127.0.0.1:9000@evil.example/callback"}, id="redirect-with-userinfo"),
        pytest.param({"redirect_uri": None}, id="no-redirect"),
        pytest.param({"client_id": "nobody"}, id="unknown-client"),
        pytest.param({"code_challenge_method": "plain"}, id="plain-pkce"),
        pytest.param({"code_challenge": None}, id="no-pkce"),
        pytest.param({"response_type": "token"}, id="implicit"),
        pytest.param({"dpop_jkt": "short"}, id="malformed-dpop-jkt"),
    ],
)
def test_an_authorization_request_is_rejected(visitor, changes):
    assert visitor.code(**changes) == "invalid_request"


def test_codes_pushed_requests_and_refresh_tokens_are_used_once(visitor):
    request_uri = visitor.post("/par", ASKED, KEY).json()["request_uri"]
    code = visitor.code(request_uri=request_uri)
    assert visitor.code(request_uri=request_uri) == "invalid_grant"
    first = visitor.redeem(code, KEY)
    assert visitor.redeem(code, KEY).json()["error"] == "invalid_grant"
    form = {"grant_type": "refresh_token", "client_id": "demo-app", "refresh_token": first.json()["refresh_token"]}
    assert visitor.post("/token", form, KEY).status_code == 200
    assert visitor.post("/token", form, KEY).json()["error"] == "invalid_grant"


@pytest.mark.requirement("R-11.9-01")
def test_a_pushed_request_binds_its_code_to_the_key_of_its_proof(visitor):
    def push(key, **more):
        return visitor.post("/par", {**ASKED, **more}, key).json()

    assert push(KEY, dpop_jkt=OTHER.thumbprint)["error"] == "invalid_request"
    assert push(None, request_uri="urn:x")["error"] == "invalid_request"
    for pushed in (push(KEY), push(KEY, dpop_jkt=KEY.thumbprint), push(None, dpop_jkt=KEY.thumbprint)):
        code = visitor.code(request_uri=pushed["request_uri"])
        assert visitor.redeem(code, OTHER).json()["error"] == "invalid_grant"


@pytest.mark.requirement("R-11.9-01")
def test_the_refresh_token_of_a_public_client_is_bound_to_its_key(visitor):
    form = {"grant_type": "refresh_token", "client_id": "demo-app"}
    token = visitor.redeem(visitor.code(), KEY).json()["refresh_token"]
    assert visitor.post("/token", {**form, "refresh_token": token}, OTHER).json()["error"] == "invalid_grant"


def test_a_client_with_a_secret_may_go_without_dpop_or_change_its_key(visitor):
    demo = {"client_id": "demo", "client_secret": "demo-secret"}
    assert visitor.post("/token", {**demo, "grant_type": "client_credentials"}).json()["token_type"] == "Bearer"
    token = visitor.redeem(visitor.code(client_id="demo"), KEY, **demo).json()["refresh_token"]
    again = visitor.post("/token", {**demo, "grant_type": "refresh_token", "refresh_token": token}, OTHER)
    assert again.json()["token_type"] == "DPoP"


@pytest.mark.parametrize("credentials", ["Basic !", "Basic ZGVtbw==", "Basic //79", "Bearer x"])
def test_malformed_credentials_are_an_invalid_client(visitor, credentials):
    headers = {"Authorization": credentials}
    answer = visitor.http.post(f"{visitor.url}/token", data={"grant_type": "client_credentials"}, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert answer.headers["www-authenticate"].startswith("Basic ")


@pytest.mark.parametrize("form", [b"client_id=demo&client_id=demo", b"x=" + b"y" * 20_000])
def test_a_form_that_repeats_a_parameter_or_is_too_large_is_rejected(visitor, form):
    answer = visitor.http.post(f"{visitor.url}/token", content=form)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
