"""Logs an outage when it begins, once a minute while it lasts, and when it ends."""

import logging
import time

from dpop_asgi.log import logger

# Whoever looks at a log during an outage finds its cause in the last minute.
_REMIND_EVERY_SECONDS = 60.0


class OutageLog:
    """One line per change, and reminders.

    Args:
        begins: logged when it begins, with the failure behind it: what that means to requests.
        ends: logged when it ends, as a warning.
    """

    def __init__(self, begins: str, ends: str) -> None:
        self._begins = begins
        self._ends = ends
        self._said: str | None = None
        self._remind_at = 0.0

    def failed(self, failure: Exception, begins: str | None = None, *, level: int = logging.WARNING) -> None:
        """What is watched failed.

        Args:
            failure: why.
            begins: what it means now, if that changes.
            level: of the line.
        """
        said, now = self._begins if begins is None else begins, time.monotonic()
        is_reminder = said == self._said
        if is_reminder and now < self._remind_at:
            return
        self._said, self._remind_at = said, now + _REMIND_EVERY_SECONDS
        logger.log(level, "%s%s: %s", "still: " if is_reminder else "", said, failure)

    def succeeded(self) -> None:
        """What is watched works."""
        if self._said is not None:
            self._said = None
            logger.warning("%s", self._ends)
