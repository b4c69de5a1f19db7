"""What an operator should mend: told once per process, when it starts, and in no request's way."""

import asyncio
import logging

from dpop_asgi.core.ports import Clock, Inspectable, Store
from dpop_asgi.errors import StoreError

logger: logging.Logger = logging.getLogger("dpop_asgi")


class SelfCheck:
    """Looks at the store, if the store can be looked at (`findings`).

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
        """What should be mended, a sentence each; nothing when all is well."""
        if not isinstance(self._store, Inspectable):
            return []
        try:
            return await self._store.findings(self._clock)
        except StoreError as error:
            return [f"the store could not be looked at: {error}"]
