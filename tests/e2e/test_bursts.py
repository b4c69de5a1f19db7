"""More than a worker can answer at once, and Redis in good health: answers are late, but none is 503.

"The store is unavailable" and "we were too busy to hear it" are two things. Only the first may open the door of
`on_store_failure="accept"`.
"""

import asyncio

import httpx2
import pytest

from dpop_asgi.testing import Client
from tests.support.connections import Crowd, allow_files, request_for
from tests.support.processes import RedisServer, ResourceServer

# More than h11 takes by default, 16 KB of fields, would be refused before our code sees it.
_LARGE = 13_000
_GOOD_CLIENTS, _REQUESTS_EACH = 20, 2


class Signer:
    """A client with a token and a nonce, who makes whole requests."""

    def __init__(self, server, issuer):
        self._client, self._server, self._nonce = Client(), server, None
        self._token = issuer.access_token(self._client)
        self._nonce = httpx2.get(f"{server.url}/resource", timeout=20, verify=False).headers["dpop-nonce"]
        # The issuer's keys are not what is waited for here.
        assert httpx2.get(f"{server.url}/resource", headers=self._fields(), timeout=20, verify=False).status_code == 200

    def _fields(self):
        return self._client.headers("GET", f"{self._server.url}/resource", self._token, nonce=self._nonce)

    def request(self):
        return request_for("/resource", self._server.port, self._fields())


@pytest.fixture(scope="module", autouse=True)
def copies():
    """Of one proof: nine thousand, or as many as this machine lets us have connections for."""
    return min(9000, allow_files(10_000) - 500)


@pytest.fixture(scope="module")
def redis(redis_binary, copies):
    with RedisServer(redis_binary) as server:
        yield server


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def loop(request):
    return request.param


def _serve(issuer_server, redis, loop, **settings):
    # A nonce must not die of the wait.
    return ResourceServer(issuer_server.issuer, loop=loop, store=redis.url, nonce_period=600, **settings)


@pytest.fixture(scope="module")
def refusing(issuer_server, redis, loop):
    with _serve(issuer_server, redis, loop) as server:
        yield server


@pytest.fixture(scope="module")
def accepting(issuer_server, redis, loop):
    with _serve(issuer_server, redis, loop, on_store_failure="accept") as server:
        yield server


async def test_three_thousand_requests_come_at_once(refusing, issuer_server):
    """Z03"""
    signer = Signer(refusing, issuer_server.issuer)
    requests = [signer.request() for _ in range(3000)]
    async with Crowd(refusing.port, len(requests)) as crowd:
        assert await crowd.ask(requests) == {200: 3000}


@pytest.mark.parametrize("strangers", [600, 1200])
async def test_good_clients_beside_a_crowd_of_strangers_are_all_accepted(refusing, issuer_server, strangers):
    """Z03"""
    signers = [Signer(refusing, issuer_server.issuer) for _ in range(_GOOD_CLIENTS)]
    large = request_for("/resource", refusing.port, {"Authorization": "DPoP stranger", "DPoP": "x" * _LARGE})
    async with Crowd(refusing.port, strangers) as crowd, Crowd(refusing.port, _GOOD_CLIENTS) as good:
        end = asyncio.Event()
        noise = asyncio.create_task(crowd.go_on(large, until=end))
        seen = [await good.ask([signer.request() for signer in signers]) for _ in range(_REQUESTS_EACH)]
        end.set()
        assert set(await noise) <= {400, 401}
    assert seen == [{200: _GOOD_CLIENTS}] * _REQUESTS_EACH


async def test_of_nine_thousand_copies_of_a_proof_at_once_one_is_accepted(accepting, issuer_server, copies):
    """Z02"""
    copy = Signer(accepting, issuer_server.issuer).request()
    async with Crowd(accepting.port, copies) as crowd:
        assert await crowd.ask([copy] * copies) == {200: 1, 401: copies - 1}
