"""Fail fast while another server is unavailable; one call at a time probes whether it has recovered."""

import logging
import time

from dpop_asgi.errors import DPoPError, StoreError, StoreUnavailable
from dpop_asgi.outage_log import OutageLog

# One lost call may be a hiccup; three in a row, each after its full deadline, are an outage.
_FAILURES_TO_OPEN = 3

# Long enough to spare a server that is starting, short enough that calls succeed within a second of its recovery.
_PROBE_EVERY_SECONDS = 0.2


class CircuitBreaker:
    """Counts consecutive failures of a server, and opens after three of them.

    Args:
        name: the server's name for the log; must not contain a password.
        timeout: seconds after which a call has failed. No second probe is sent while the first may still succeed.
        outage: what an outage means to requests, for the log; `None` if the caller logs the failures itself.
    """

    def __init__(self, name: str, *, timeout: float, outage: str | None = None) -> None:
        self._name = name
        begins = f"{name} failed {_FAILURES_TO_OPEN} times in a row, circuit breaker open; {outage}"
        self._log = OutageLog(begins, f"{name} has recovered") if outage is not None else None
        self._probe_seconds = max(timeout, _PROBE_EVERY_SECONDS)
        self._failures = 0
        self._next_probe = 0.0
        self._error_type: type[DPoPError] = StoreUnavailable

    @property
    def is_open(self) -> bool:
        """Whether calls fail without being tried."""
        return self._failures >= _FAILURES_TO_OPEN

    def admit(self) -> None:
        """Let a call through; if the circuit breaker is open, as the next probe.

        Raises:
            DPoPError: If the next probe is not due yet; of the type of the last failure.
        """
        if self._failures < _FAILURES_TO_OPEN:
            return
        now = time.monotonic()
        if now < self._next_probe:
            raise self._error_type(f"{self._name} {self._state}")
        self._next_probe = now + self._probe_seconds

    @property
    def _state(self) -> str:
        return "returns only errors" if self._error_type is StoreError else "is unavailable"

    def succeeded(self) -> None:
        """Record that a call succeeded."""
        # Hot path: as a rule there was no failure, and nothing to end.
        if self._failures:
            self._failures = 0
            if self._log is not None:
                self._log.succeeded()

    def failed(self, failure: DPoPError) -> None:
        """Record that a call failed. While the circuit breaker is open, calls fail with the same type of error."""
        self._failures += 1
        self._error_type = type(failure)
        if self.is_open:
            self._next_probe = time.monotonic() + _PROBE_EVERY_SECONDS
            if self._log is not None:
                self._log.failed(failure, level=logging.ERROR)
