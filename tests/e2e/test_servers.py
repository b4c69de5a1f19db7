"""The example under ASGI servers besides uvicorn, as a user starts them; and apps of other frameworks, in process."""

import sys

import httpx2
import pytest
from starlette.requests import HTTPConnection
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from dpop_asgi.starlette import authenticate
from dpop_asgi.testing import Client
from tests.support.api import Api, call, http_scope, no_body
from tests.support.processes import ResourceServer

# How it is started, whether it is asked over HTTP/2, and the status of a handshake that is denied: daphne has but one.
SERVERS = {
    "hypercorn": (["--bind", "127.0.0.1:{port}"], True, 401),
    "granian": (["--interface", "asgi", "--port", "{port}"], False, 401),
    "daphne": (["--port", "{port}"], False, 403),
}


class _Server(ResourceServer):
    def __init__(self, name, issuer):
        super().__init__(issuer)
        options, self.http2, self.denial = SERVERS[name]
        self._own_command = [
            sys.executable,
            "-m",
            name,
            *(option.format(port=self.port) for option in options),
            self._app,
        ]

    def _command(self):
        return self._own_command


@pytest.fixture(scope="module", params=SERVERS)
def server(request, issuer_server):
    with _Server(request.param, issuer_server.issuer) as server:
        yield server
        assert "Traceback" not in server.log


def test_a_client_is_challenged_once_and_then_served(server, issuer_server):
    client, url, socket_url = Client(), f"{server.url}/files/a%2Fb", f"{server.url}/ws"
    token = issuer_server.issuer.access_token(client)
    with httpx2.Client(http1=not server.http2, http2=server.http2) as http:
        nobody = http.get(url)
        challenge = http.get(url, headers=client.headers("GET", url, token))
        nonce = challenge.headers["dpop-nonce"]
        headers = client.headers("GET", url, token, nonce=nonce)
        answers = [http.get(url, headers=headers) for _ in range(2)]
    assert challenge.http_version == ("HTTP/2" if server.http2 else "HTTP/1.1")
    assert [answer.status_code for answer in (nobody, challenge, *answers)] == [401, 401, 200, 401]
    assert (answers[0].text, "use_dpop_nonce" in challenge.headers["www-authenticate"]) == ("a/b", True)

    with pytest.raises(InvalidStatus) as denied, connect(socket_url.replace("http", "ws")):
        pass
    assert denied.value.response.status_code == server.denial
    headers = client.headers("GET", socket_url, token, nonce=nonce)
    with connect(socket_url.replace("http", "ws"), additional_headers=headers) as socket:
        socket.send("hello")
        assert socket.recv() == "hello"


def test_a_root_path_that_a_client_chooses_makes_nothing_public(server):
    """Z01: daphne takes it from this header."""
    chosen = {"Daphne-Root-Path": "/x"}
    statuses = [httpx2.get(server.url + path, headers=chosen).status_code for path in ("/public", "/x/public")]
    assert statuses == [401, 401] if server.denial == 403 else [200, 401]


def _litestar_app():
    import litestar  # noqa: PLC0415 - it takes a second

    @litestar.get("/r")
    async def orders(scope: litestar.types.Scope) -> str:
        return str((await authenticate(HTTPConnection(scope), "orders:read")).subject)

    return litestar.Litestar(route_handlers=[orders], logging_config=None)  # that of the tests stays


def _quart_app():
    import quart  # noqa: PLC0415 - it takes a second

    app = quart.Quart(__name__)

    @app.get("/r")
    async def orders():
        return (await authenticate(HTTPConnection(quart.request.scope), "orders:read")).subject

    return app


@pytest.mark.parametrize("protect", ["everything", "routes"])
@pytest.mark.parametrize("make_app", [_litestar_app, _quart_app], ids=["litestar", "quart"])
async def test_an_app_of_another_framework_asks_and_is_protected(issuer, client, clock, make_app, protect):
    api = Api(make_app(), issuer, client, clock, protect=protect)

    async def status(**changes):
        return await api.request(receive=no_body(), **changes)

    nobody = await call(api.app, http_scope(headers=[("host", "rs.example")]), no_body())
    weak = await status(token=issuer.access_token(client, claims={"scope": "orders:write"}))
    good, challenge = await status(), await status(nonce=None)
    assert [answer.status for answer in (nobody, weak, good, challenge)] == [401, 403, 200, 401]
    assert (good.body, 'scope="orders:read"' in weak.one("www-authenticate")) == (b"alice", True)
