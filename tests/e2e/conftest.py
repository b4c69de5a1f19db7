"""Scenes with an issuer of their own."""

import pytest

from tests.support.issuer_scene import staged
from tests.support.processes import IssuerServer


@pytest.fixture(scope="session")
def own_issuer_server():
    """An issuer whose name may be changed."""
    with IssuerServer() as server:
        yield server


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
