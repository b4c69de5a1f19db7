"""Any ASGI app under uvicorn on a real socket, in a thread: tests can move its clock and look inside."""

import threading
from typing import Any, Self

import uvicorn

from tests.support.processes import PATIENCE, free_port, wait_until


class Served:
    """`app` at `url` for as long as the block lasts."""

    def __init__(self, app: Any) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        config = uvicorn.Config(app, port=port, log_level="error", lifespan="off", ws="none")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        wait_until(lambda: self._server.started, "the app does not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(PATIENCE)
