"""Logs each decision, for `dpop-asgi report` and for custom counts of clients by scheme."""

import json
import logging
import time
from datetime import UTC, datetime
from functools import lru_cache

from dpop_asgi.core.decision import Decision
from dpop_asgi.core.ports import Clock

# Of what a token names; issuers use a tenth of it. Collectors drop or split lines over 2 KB.
_LONGEST_CLIENT_ID = 200


class DecisionLog:
    """An observer that logs a line of JSON per decision, at level `INFO`: see docs/migration.md.

    It has the time, the outcome, and what is known of reason, scheme, binding and client; no token, proof, nonce or
    `jti`, and nothing of the URL.

    Args:
        logger: where to; by default the logger `dpop_asgi.decisions`.
        clock: seconds since the epoch.
    """

    def __init__(self, logger: logging.Logger | None = None, *, clock: Clock = time.time) -> None:
        self._logger = logger or logging.getLogger("dpop_asgi.decisions")
        self._clock = clock

    def __call__(self, decision: Decision, /) -> None:
        """See `Observer`."""
        if not self._logger.isEnabledFor(logging.INFO):
            return
        client_id = decision.client_id
        record = {
            "time": _utc(int(self._clock())),
            "outcome": decision.outcome,
            "reason": decision.reason,
            "scheme": decision.scheme,
            "bound": decision.bound,
            "client_id": client_id and client_id[:_LONGEST_CLIENT_ID],
            "after_acceptance": decision.after_acceptance or None,
        }
        self._logger.info("%s", json.dumps({name: value for name, value in record.items() if value is not None}))


@lru_cache(1)
def _utc(second: int) -> str:
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%SZ}"


log_decisions: DecisionLog = DecisionLog()
