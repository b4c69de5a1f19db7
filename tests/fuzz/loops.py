"""One event loop for all inputs: to make one takes longer than most of them."""

import asyncio
import atexit
from collections.abc import Coroutine
from functools import cache
from typing import Any


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    atexit.register(loop.close)
    return loop


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    _loop().run_until_complete(coroutine)
