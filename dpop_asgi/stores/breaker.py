"""Fail fast while the store is away; one call at a time looks whether it is back."""

import logging
import time

from dpop_asgi.errors import StoreError

logger: logging.Logger = logging.getLogger("dpop_asgi")

# One lost batch may be a hiccup; three in a row, each after its whole deadline, are an outage.
_FAILURES_TO_OPEN = 3

# Long enough to spare a server that is starting, short enough that nobody waits a second after it is back.
_PROBE_EVERY_SECONDS = 0.2


class CircuitBreaker:
    """Counts failures of the store in a row.

    Args:
        name: of the store, for the log; must not contain a password.
        timeout: seconds after which a call has failed: no second probe is sent while the first may be answered.
    """

    def __init__(self, name: str, *, timeout: float) -> None:
        self._name = name
        self._probe_seconds = max(timeout, _PROBE_EVERY_SECONDS)
        self._failures = 0
        self._next_probe = 0.0

    @property
    def is_open(self) -> bool:
        """Whether calls are being turned away."""
        return self._failures >= _FAILURES_TO_OPEN

    def admit(self) -> None:
        """Let a call pass, as the next probe if need be.

        Raises:
            StoreError: the store is away and it is not yet time to look again.
        """
        if self._failures < _FAILURES_TO_OPEN:
            return
        now = time.monotonic()
        if now < self._next_probe:
            msg = f"{self._name} is away"
            raise StoreError(msg)
        self._next_probe = now + self._probe_seconds

    def succeeded(self) -> None:
        """The store answered."""
        if self.is_open:
            logger.warning("%s answers again", self._name)
        self._failures = 0

    def failed(self, why: str) -> None:
        """The store did not answer, or not as it should."""
        self._failures += 1
        if self._failures == _FAILURES_TO_OPEN:
            logger.error("%s failed %d times in a row, calls are turned away: %s", self._name, _FAILURES_TO_OPEN, why)
        if self.is_open:
            self._next_probe = time.monotonic() + _PROBE_EVERY_SECONDS
