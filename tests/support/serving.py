"""Any ASGI app under uvicorn on a real socket, in a thread: tests can move its clock and look inside."""

import threading
from typing import Any, Self

import uvicorn

from dpop_asgi.testing import Issuer, ManualClock
from tests.support.processes import AUDIENCE, PATIENCE, free_port, wait_until


class Served:
    """`app` at `url` for as long as the block lasts; `stop` and `start` again use the same port.

    Args:
        app: of ASGI 3.
        port: any that is free, unless it is given.
        options: of `uvicorn.Config`.
    """

    def __init__(self, app: Any, *, port: int | None = None, **options: Any) -> None:
        self.port = port or free_port()
        usual = {"log_level": "error", "interface": "asgi3", "lifespan": "off", "ws": "none"}
        self._config = uvicorn.Config(app, port=self.port, **{**usual, **options})
        self.url = f"{'https' if self._config.is_ssl else 'http'}://127.0.0.1:{self.port}"

    def start(self) -> Self:
        self._server = uvicorn.Server(self._config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        wait_until(lambda: self._server.started, "the app does not start")
        return self

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(PATIENCE)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class IssuerServer(Served):
    """A test issuer, so that tests can rotate its keys and count fetches."""

    def __init__(self) -> None:
        port = free_port()
        self.issuer = Issuer(f"http://127.0.0.1:{port}", audience=AUDIENCE)
        super().__init__(self.issuer.app, port=port)

    def issuer_behind(self, port: int, clock: ManualClock) -> Issuer:
        """Its issuer, with one new key, under the name that it has behind a proxy on `port`."""
        self.issuer.url, self.issuer._clock, self.issuer.fetches = f"http://127.0.0.1:{port}", clock, 0
        self.issuer.rotate(keep_old=False)
        return self.issuer
