"""Configuration problems to report to the operator. Runs once per process at startup, in the background."""

import asyncio
import logging

from dpop_asgi.core.ports import Clock, Inspectable, Store
from dpop_asgi.errors import StoreError

logger: logging.Logger = logging.getLogger("dpop_asgi")


class SelfCheck:
    """Looks for problems of the store, if it is `Inspectable`.

    Args:
        store: of the process.
        clock: seconds since the epoch, the clock that judges proofs.
    """

    def __init__(self, store: Store, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._started: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look once, in the background, and log what is found as warnings."""
        if self._started is None:
            self._started = asyncio.get_running_loop().create_task(self._log())

    async def _log(self) -> None:
        for finding in await self.findings():
            logger.warning("self-check: %s", finding)

    async def findings(self) -> list[str]:
        """The problems, a sentence each; empty if there are none."""
        if not isinstance(self._store, Inspectable):
            return []
        try:
            return await self._store.findings(self._clock)
        except StoreError as error:
            return [f"the store could not be looked at: {error}"]
