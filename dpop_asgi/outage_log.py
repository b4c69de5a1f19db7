"""Logs an outage when it begins and when it ends, and nothing in between."""

import logging

logger: logging.Logger = logging.getLogger("dpop_asgi")


class OutageLog:
    """One warning per change.

    Args:
        begins: logged when it begins, with the failure behind it.
        ends: logged when it ends.
    """

    def __init__(self, begins: str, ends: str) -> None:
        self._begins = begins
        self._ends = ends
        self._is_out = False

    def failed(self, failure: Exception) -> None:
        """What is watched failed."""
        if not self._is_out:
            self._is_out = True
            logger.warning("%s: %s", self._begins, failure)

    def succeeded(self) -> None:
        """What is watched works."""
        if self._is_out:
            self._is_out = False
            logger.warning("%s", self._ends)
