"""Fail fast while the store is unavailable; one call at a time looks whether it is back."""

import logging
import time

from dpop_asgi.errors import StoreError, StoreUnavailable

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
        self._kind: type[StoreError] = StoreError

    @property
    def is_open(self) -> bool:
        """Whether calls are being turned away."""
        return self._failures >= _FAILURES_TO_OPEN

    def admit(self) -> None:
        """Let a call pass, as the next probe if need be.

        Raises:
            StoreUnavailable: the store was seen to be unavailable, and it is not yet time to look again.
            StoreError: the same of a store that answers, but only with errors.
        """
        if self._failures < _FAILURES_TO_OPEN:
            return
        now = time.monotonic()
        if now < self._next_probe:
            raise self._kind(f"{self._name} {self._state}")
        self._next_probe = now + self._probe_seconds

    @property
    def _state(self) -> str:
        return "is unavailable" if self._kind is StoreUnavailable else "answers with errors only"

    def succeeded(self) -> None:
        """The store answered."""
        if self.is_open:
            logger.warning("%s answers again", self._name)
        self._failures = 0

    def failed(self, failure: StoreError) -> None:
        """The store did not answer, or not as it should. Until the next probe, calls fail in the same way."""
        self._failures += 1
        self._kind = type(failure)
        if self._failures == _FAILURES_TO_OPEN:
            logger.error(
                "%s failed %d times in a row, calls are turned away: %s", self._name, _FAILURES_TO_OPEN, failure
            )
        if self.is_open:
            self._next_probe = time.monotonic() + _PROBE_EVERY_SECONDS
