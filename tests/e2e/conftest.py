"""Scenes with an issuer of their own; a caller and what is called, in process."""

import pytest

from dpop_asgi import RedisStore
from dpop_asgi.testing import Client
from tests.support.issuer_scene import staged
from tests.support.service import Caller, Service


@pytest.fixture
async def scene(own_issuer_server, clock, client):
    async with staged(own_issuer_server, clock, client) as scene:
        yield scene


@pytest.fixture
async def warm(scene):
    """Its keys are known, and were looked up a minute ago."""
    assert await scene.passes(scene.token())
    scene.clock.advance(60.0)
    return scene


@pytest.fixture
def alice(issuer_server):
    return Caller("alice", Client(), issuer_server.issuer)


@pytest.fixture
def service(redis_server, issuer_server):
    return Service(issuer_server.issuer, RedisStore(redis_server.url, timeout=10.0))
