"""Behind a real nginx, with the configuration that docs/deployment.md has."""

import os
import re
import shutil

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from dpop_asgi import Authenticator, DPoPMiddleware, JWTVerifier, MemoryStore
from dpop_asgi.testing import Client
from tests.support.api import App
from tests.support.processes import ROOT, ResourceServer, Server, listens
from tests.support.serving import Served

DEPLOYMENT = (ROOT / "docs" / "deployment.md").read_text()
GATE = (ROOT / "examples" / "auth_gate.py").read_text()
COMMAND = re.compile(r"uvicorn examples\.auth_gate:app --port 8001 ?(.*)")
PUBLIC = "https://api.example.com"
NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log stderr; events {{}}
http {{
    access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    {above}
    server {{ listen 127.0.0.1:{port}; {locations} }}
}}
"""


def _recipe(begin):
    """The block of the documentation that has this text."""
    [block] = [block for block in re.findall(r"```nginx\n(.*?)```", DEPLOYMENT, re.DOTALL) if begin in block]
    return block


class _Nginx(Server):
    def __init__(self, folder, above, locations):
        super().__init__()
        self._folder = folder
        values = {"folder": folder, "above": above, "locations": locations, "port": self.port}
        (folder / "nginx.conf").write_text(NGINX.format(**values))
        self.url = f"http://127.0.0.1:{self.port}"

    def _command(self):
        found = os.environ.get("NGINX") or shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
        if found is None:
            pytest.skip("no nginx: run the tests by `python3 -m tests`, which installs it")
        return [found, "-p", str(self._folder), "-e", "stderr", "-c", str(self._folder / "nginx.conf")]


def _upstream(name, server):
    return f"upstream {name} {{ server 127.0.0.1:{server.port}; }}\n"


@pytest.fixture(scope="module")
def behind():
    return App()


@pytest.fixture(scope="module")
def servers(issuer_server, behind, tmp_path_factory):
    folder = tmp_path_factory.mktemp("nginx")
    settings = {"app": "examples.auth_gate:app", "public_url": PUBLIC}
    with _Gate(issuer_server.issuer, **settings) as gate, Served(behind) as app:
        above = _upstream("app", app) + _upstream("gate", gate)
        with _Nginx(folder, above, _recipe("auth_request")) as nginx:
            yield nginx, gate


class _Gate(ResourceServer):
    def _command(self):
        return [*super()._command(), *COMMAND.search(GATE)[1].split()]

    def _answers(self):
        return listens(self.port)


@pytest.fixture
def gate(servers):
    return servers[0]


@pytest.fixture
def ask(gate, issuer_server):
    client, issuer = Client(), issuer_server.issuer

    def ask(method, path, *, signed=None, sent=None, **changes):
        with httpx2.Client() as http:
            nonce = http.get(gate.url).headers["dpop-nonce"]
            url, token = PUBLIC + (sent or path), issuer.access_token(client, **changes)
            headers = client.headers(signed or method, url, token, nonce=nonce)
            return http.request(method, gate.url + path, headers={**headers, "X-Caller": "mallory"}, content=b"x")

    return ask


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_nginx_passes_on_what_the_gate_has_accepted(ask, behind, method):
    answer = ask(method, "/orders/a%2Fb//c%20d")
    [scope] = [behind.scopes.pop() for _ in behind.scopes[:]]
    told = [value for name, value in scope["headers"] if name in {b"x-caller", b"authorization"}]
    assert (answer.status_code, scope["method"], scope["raw_path"]) == (200, method, b"/orders/a%2Fb//c%20d")
    assert told == [b"alice"]


@pytest.mark.parametrize(
    ("path", "changes", "status"),
    [
        pytest.param("/orders", {"signed": "DELETE"}, 401, id="signed-for-another-method"),
        pytest.param("/orders", {"sent": "/others"}, 401, id="signed-for-another-path"),
        pytest.param("/orders", {"claims": {"aud": "https://other.example"}}, 401, id="a-token-for-others"),
        pytest.param("/orders/%2e%2e/a", {}, 400, id="a-path-with-dots"),
    ],
)
def test_nginx_passes_on_nothing_else(ask, behind, path, changes, status):
    assert (ask("GET", path, **changes).status_code, behind.scopes) == (status, [])


def test_nginx_overwrites_what_a_client_says_about_its_request(gate, behind):
    headers = {"X-Original-Method": "GET", "X-Original-URI": "/public"}
    nobody = httpx2.get(f"{gate.url}/orders", headers=headers)
    inside = httpx2.get(f"{gate.url}/_dpop", headers=headers)
    assert (nobody.status_code, inside.status_code) == (401, 404)
    assert (nobody.headers["www-authenticate"].startswith("DPoP algs="), behind.scopes) == (True, [])


@pytest.mark.parametrize("path", ["/orders", "/_dpop"], ids=["of-nginx", "of-the-gate"])
def test_who_is_connected_is_not_taken_from_a_header_that_clients_can_send(servers, path):
    nginx, gate = servers
    headers = {"X-Forwarded-For": "203.0.113.7", "X-Original-Method": "GET", "X-Original-URI": "/orders"}
    asked = httpx2.get((nginx if path == "/orders" else gate).url + path, headers=headers)
    assert asked.status_code == 401


def test_a_prefix_that_nginx_strips_and_the_server_is_told_of_counts_once(issuer_server, tmp_path):
    """N01: `uvicorn --root-path`, and the recipe for a prefix."""
    issuer, client, recipe = issuer_server.issuer, Client(), _recipe("$below_v2")
    verifier = JWTVerifier(issuer=issuer.url, audience=issuer.audience, jwks=issuer.jwks)
    inside = Starlette(routes=[Route(path, PlainTextResponse("ok")) for path in ("/health", "/a/b")])
    app = DPoPMiddleware(
        inside,
        authenticator=Authenticator(verify_token=verifier, store=MemoryStore(), nonces=None),
        public_url=f"{PUBLIC}/v2",
        public_paths=["/health"],
    )
    above, _, locations = recipe.partition("\n\n")
    with Served(app, root_path="/v2") as server, _Nginx(tmp_path, _upstream("app", server) + above, locations) as nginx:
        headers = client.headers("GET", f"{PUBLIC}/v2/a%2Fb", issuer.access_token(client))
        statuses = [
            httpx2.get(f"{nginx.url}/v2{path}", headers=sent).status_code
            for path, sent in (("/health", {}), ("/a%2Fb", headers), ("/a%2Fb", {}))
        ]
    assert statuses == [200, 200, 401]
