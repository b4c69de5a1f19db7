"""The package's logger. Whatever filters and handlers do, a line that can't be logged changes nothing else."""

import contextlib
import logging
import sys
import traceback
from collections.abc import Callable
from typing import Any


class SafeLogger(logging.LoggerAdapter[logging.Logger]):
    """Logs, and raises nothing: logging lets through what filters raise, and handlers that don't catch it themselves.

    Lines are logged while requests wait for a reply, and while state changes. An error there would leave them waiting.
    """

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__(logger)
        # Hot path: asked for each rejection, without a call in between.
        self.isEnabledFor: Callable[[int], bool] = logger.isEnabledFor  # type: ignore[assignment]

    def log(self, level: int, msg: object, *args: object, stacklevel: int = 1, **options: Any) -> None:  # noqa: ANN401 - of logging
        """Log a line. If that fails, the traceback of that goes to stderr, as with `logging.Handler.handleError`."""
        try:
            # One level more, so that a record names the caller, and not this file.
            self.logger.log(level, msg, *args, stacklevel=stacklevel + 1, **options)
        except Exception as error:  # noqa: BLE001 - of custom code
            if logging.raiseExceptions and sys.stderr:
                with contextlib.suppress(Exception):
                    # Not what was being handled: its message may be of custom code, and have a token in it.
                    traceback.print_exception(error, chain=False)


logger: SafeLogger = SafeLogger(logging.getLogger("dpop_asgi"))
