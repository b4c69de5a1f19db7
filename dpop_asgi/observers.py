"""Calls the observer."""

import logging

from dpop_asgi.core.options import closed_if_coroutine, is_plain_function, require
from dpop_asgi.core.ports import Decision, Observer, Outcome
from dpop_asgi.errors import Reason

logger: logging.Logger = logging.getLogger("dpop_asgi")


class CheckedObserver:
    """Calls an observer. Its failures are logged and don't affect requests.

    Args:
        observer: see `dpop_asgi.core.ports.Observer`; `None` if there is none.

    Raises:
        ValueError: If it isn't a function, or is async.
    """

    def __init__(self, observer: Observer | None) -> None:
        require("observer", observer is None or is_plain_function(observer), "a function, and not an async one")
        self._observer = observer

    def __call__(self, outcome: Outcome, reason: Reason | None = None, *, replay_checked: bool = True) -> None:
        """Pass one decision on."""
        if self._observer is None:
            return
        try:
            returned: object = self._observer(Decision(outcome, reason, replay_checked))
            if returned is not None and closed_if_coroutine(returned):
                self._observer = None
                logger.error("observer: must not be async; it returned a coroutine, and is not called any more")
        except Exception:
            logger.exception("the observer failed")
