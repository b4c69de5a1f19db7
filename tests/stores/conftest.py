"""Redis on TCP and on a Unix socket."""

import tempfile
from pathlib import Path

import pytest

from dpop_asgi import RedisStore
from tests.support.busy import patient
from tests.support.fault_proxy import FaultProxy
from tests.support.processes import RedisServer


@pytest.fixture(scope="session")
def socket_path():
    # Not below pytest's own folder: the path of a Unix socket may have a hundred characters only.
    with tempfile.TemporaryDirectory(prefix="sock-") as folder:
        yield Path(folder) / "redis.sock"


@pytest.fixture(scope="session")
def _redis_server(redis_binary, socket_path):
    with RedisServer(redis_binary, "--unixsocket", str(socket_path)) as server:
        yield server


@pytest.fixture
async def proxy(redis_server):
    async with FaultProxy(redis_server.port) as proxy:
        yield proxy


@pytest.fixture
async def proxied_store(proxy):
    """A store whose way to Redis goes through the proxy; its deadline is short, as the proxy makes it pass."""
    store = RedisStore(proxy.url, timeout=patient(0.2))
    yield store
    await store.aclose()
