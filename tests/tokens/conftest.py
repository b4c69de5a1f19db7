"""Issuers in process and on a socket."""

import pytest

from dpop_asgi import IntrospectionVerifier, InvalidToken, JWTVerifier
from dpop_asgi.testing import Issuer
from tests.support.distant_issuer import PATIENCE, Distant
from tests.support.fault_proxy import FaultProxy
from tests.support.processes import AUDIENCE
from tests.support.website import IntrospectionServer


@pytest.fixture
def verify(issuer, clock):
    """Knows the issuer's keys from the start."""
    return JWTVerifier(issuer=issuer.url, audience=issuer.audience, jwks=issuer.jwks, clock=clock)


@pytest.fixture
def remote(website, clock):
    """An issuer whose metadata and keys are on the website."""
    issuer = Issuer(website.url, audience=AUDIENCE, clock=clock)
    website.publish(issuer)
    return issuer


@pytest.fixture
def verify_remote(remote, clock):
    """Knows the remote issuer's name only."""
    return JWTVerifier(issuer=remote.url, audience=AUDIENCE, timeout=PATIENCE, clock=clock)


@pytest.fixture(scope="module")
def _endpoint():
    with IntrospectionServer() as server:
        yield server


@pytest.fixture
def endpoint(_endpoint):
    """An introspection endpoint that knows no token."""
    _endpoint.clear()
    return _endpoint


@pytest.fixture
async def make_opaque(endpoint, clock):
    """Verifiers that ask the endpoint; they are closed at the end."""
    made = []

    def make(**options):
        usual = {"endpoint": endpoint.endpoint, "client_id": "api", "client_secret": "hunter2", "timeout": PATIENCE}
        made.append(IntrospectionVerifier(**{"audience": AUDIENCE, "clock": clock, **usual, **options}))
        return made[-1]

    yield make
    for verifier in made:
        await verifier.aclose()


@pytest.fixture
def verify_opaque(make_opaque):
    return make_opaque(issuer="https://id.example.com")


@pytest.fixture
def reason_of():
    """Why a token is refused; the test fails when it is accepted."""

    async def reason_of(verify, token):
        with pytest.raises(InvalidToken) as refused:
            await verify(token)
        return refused.value.reason

    return reason_of


@pytest.fixture
async def distant(own_issuer_server, clock, client):
    """An issuer behind a proxy."""
    async with FaultProxy(own_issuer_server.port) as proxy:
        issuer = own_issuer_server.issuer_behind(proxy.port, clock)
        verify = JWTVerifier(issuer=issuer.url, audience=AUDIENCE, timeout=PATIENCE, clock=clock)
        yield Distant(issuer, proxy, verify, clock, client)


@pytest.fixture
async def warm_distant(distant):
    """The same; its keys are known, and were looked up a minute ago."""
    await distant.verify(distant.token())
    distant.clock.advance(60.0)
    return distant


@pytest.fixture
def said(client, clock):
    """An answer with everything that is checked."""
    return {
        "active": True,
        "iss": "https://id.example.com",
        "aud": AUDIENCE,
        "sub": "alice",
        "client_id": "app",
        "scope": "orders:read orders:write",
        "exp": int(clock()) + 3600,
        "nbf": int(clock()),
        "token_type": "DPoP",
        "cnf": {"jkt": client.thumbprint},
    }
