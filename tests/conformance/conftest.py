"""The example under uvicorn, once for each configuration, and clients that judge every answer."""

from contextlib import ExitStack
from functools import cache

import pytest

from tests.conformance.peer import Peer
from tests.support.processes import NO_ROTATION, ResourceServer
from tests.support.serving import IssuerServer

PUBLIC_URL = "https://api.example.com"

HTTP = ("httptools", "h11")
MATRIX = [
    pytest.param((http, period), id=f"{http} nonces {'on' if period else 'off'}")
    for http in HTTP
    for period in (NO_ROTATION, 0)
]


@pytest.fixture(scope="session")
def issuer_server():
    """An issuer of this folder's own: tests elsewhere rotate the keys of theirs."""
    with IssuerServer() as server:
        yield server


@pytest.fixture(scope="session")
def start(issuer_server):
    """Starts a server once for each configuration; they all end with the session, none with a traceback."""
    running = []
    with ExitStack() as stack:

        @cache
        def start(example=ResourceServer, **settings):
            running.append(stack.enter_context(example(issuer_server.issuer, **settings)))
            return running[-1]

        yield start
        assert not [server.log for server in running if "Traceback" in server.log]


@pytest.fixture
def make_peer(start, issuer_server):
    def make(http, period, *, kind=Peer, origin=None, **settings):
        server = start(http=http, nonce_period=period, **settings)
        return kind(server, issuer_server.issuer, http=http, nonces=period > 0, origin=origin)

    return make


@pytest.fixture(params=MATRIX)
def matrix(request):
    """HTTP implementation, and seconds per nonce slot."""
    return request.param


@pytest.fixture
def peer(matrix, make_peer):
    """A client that has not yet spoken to the server."""
    return make_peer(*matrix)


@pytest.fixture
def ready(peer):
    """A client whose last request was good."""
    return peer.ready()


@pytest.fixture(params=HTTP)
def http(request):
    return request.param


@pytest.fixture
def mixed(http, make_peer):
    """A client of a server that also takes Bearer tokens."""
    return make_peer(http, NO_ROTATION, mode="mixed").ready()


@pytest.fixture
def published(http, make_peer):
    """A client of a server that was told its public URL."""
    return make_peer(http, 0, public_url=PUBLIC_URL, origin=PUBLIC_URL).ready()
