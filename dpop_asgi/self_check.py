"""What an operator should mend: told once per process, when it starts, and in no request's way."""

import asyncio
import logging

from dpop_asgi.core.ports import Clock, Store
from dpop_asgi.errors import StoreError

logger: logging.Logger = logging.getLogger("dpop_asgi")


class SelfCheck:
    """Looks at the store, if the store can be looked at (`findings`).

    Args:
        store: of the process.
        clock: seconds since the epoch, the clock that judges proofs.
        forgets: whether proofs pass unremembered while the store fails.
    """

    def __init__(self, store: Store, *, clock: Clock, forgets: bool) -> None:
        self._store = store
        self._clock = clock
        self._forgets = forgets
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
        found = []
        if self._forgets and not getattr(self._store, "is_shared", True):
            found.append(
                "on_store_failure is accept, and the store is one of this process: it fails when it is full, and a "
                "single client could fill it and then use proofs again and again. Use refuse, or a RedisStore"
            )
        look = getattr(self._store, "findings", None)
        if look is not None:
            try:
                found += await look(self._clock)
            except StoreError as error:
                found.append(f"the store could not be looked at: {error}")
        return found
