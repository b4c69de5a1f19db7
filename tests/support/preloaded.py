"""The example, for process managers that import it once and then fork: every answer names the process that gave it.

With `PRELOADED_AND_USED` in the environment it has served requests before the first fork.
"""

import asyncio
import os
from typing import Any

from examples.resource_server import app as example
from examples.resource_server import settings
from tests.support.api import call, http_scope


async def app(scope: Any, receive: Any, send: Any) -> None:
    """The example, and who answered."""

    async def send_signed(message: Any) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], (b"x-process", str(os.getpid()).encode())]}
        await send(message)

    await example(scope, receive, send_signed)


async def _serve_in_the_parent() -> None:
    await settings.authenticator.ready()
    challenge = await call(example, http_scope(path="/resource", headers=[("host", "api.example.com")]))
    assert challenge.one("dpop-nonce")


if os.environ.get("PRELOADED_AND_USED"):
    for _ in range(2):
        asyncio.run(_serve_in_the_parent())
