"""uvloop, on which `uvicorn[standard]` runs, tells of dead connections by other exceptions than asyncio's own loop."""

import asyncio

import pytest
import uvloop

from dpop_asgi import RedisStore
from tests.support.fault_proxy import FaultProxy


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request):
    """Runs a coroutine in a loop of the kind."""
    loop_factory = {"asyncio": None, "uvloop": uvloop.new_event_loop}[request.param]

    def run(main):
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(main)

    return run


async def _spend_after_a_reset(port, *, notices):
    async with FaultProxy(port) as proxy:
        store = RedisStore(proxy.url)
        await store.put_if_absent("first", "mine", ttl=60)
        proxy.reset_connections()
        # Whether the loop has seen the reset before the next call or not.
        await asyncio.sleep(0.1 if notices else 0)
        stands = await store.put_if_absent("second", "mine", ttl=60)
        await store.aclose()
        return stands


@pytest.mark.parametrize("notices", [pytest.param(True, id="noticed"), pytest.param(False, id="not-yet-noticed")])
def test_a_call_after_the_idle_connection_was_reset_passes(run, redis_server, notices):
    assert run(_spend_after_a_reset(redis_server.port, notices=notices)) == "mine"
