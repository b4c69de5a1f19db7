"""How often clients are challenged while nonces rotate, as their wire shows it."""

from typing import Any

GRACE = 1
# A nonce is handed out as the current one until a fifth of its slot is left, and then as the next one. So from when
# it is handed out it lives between (grace + 0.2) and (grace + 1.2) slots.
SHORTEST_LIFE = GRACE + 0.2

Entry = dict[str, Any]


def challenges_on(wire: list[Entry]) -> list[Entry]:
    return [entry for entry in wire if (entry["challenge"] or "").startswith('DPoP error="use_dpop_nonce"')]


def undue_challenges(wire: list[Entry], period: float) -> list[Entry]:
    """Those to requests before which a response had come whose nonce was certainly alive.

    After a gap as long as the life of a nonce, which is a stall of the machine, a client has none that is.
    """
    life = SHORTEST_LIFE * period
    return [
        challenge
        for challenge in challenges_on(wire)
        if any(
            entry["answered_at"] <= challenge["asked_at"] and challenge["answered_at"] - entry["asked_at"] < life
            for entry in wire
        )
    ]
