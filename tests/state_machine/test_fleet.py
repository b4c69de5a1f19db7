"""A fleet with a store that fails: whatever happens in whatever order, each answer is the one that it must be.

`STATE_MACHINE_EXAMPLES=10000 pytest --timeout=0 tests/state_machine` looks longer.
"""

from collections import Counter

import pytest

from dpop_asgi import NoncePolicy, ProofPolicy
from tests.state_machine.machine import examine
from tests.state_machine.rules import Fleet
from tests.support.flaky_store import Fault

# What an example is reduced to when it fails is worth the wait.
pytestmark = pytest.mark.timeout(900)

BOTH = frozenset({"nonce", "proof"})
HAPPENED = {"200", "401 proof_replayed", "503", "at once, 1 passed"}


class RefusingFleet(Fleet):
    """While the store is away nothing is accepted."""


class AcceptingFleet(Fleet):
    """While the store is away proofs pass unremembered."""

    on_store_failure = "accept"


def test_every_answer_of_a_fleet_that_refuses_while_the_store_is_away_is_right():
    assert examine(RefusingFleet, examples=100).keys() >= HAPPENED


def test_every_answer_of_a_fleet_that_accepts_while_the_store_is_away_is_right():
    assert examine(AcceptingFleet, examples=60).keys() >= HAPPENED


def test_a_lost_reply_does_not_prolong_what_stood_under_the_same_jti():
    """Found by the machine: the oracle thought so, and took a third proof with that `jti` for a replay."""
    policy, nonces = ProofPolicy(max_age=300.0, max_future=10.0), NoncePolicy(period=300.0, grace=0, lookahead=1)
    AcceptingFleet.seen = Counter()
    fleet = AcceptingFleet()
    token = fleet.start(nonces=nonces, policy=policy, mode="required", skewed=(-4.99, -4.99, -4.99))
    fleet.break_the_store(fault=Fault("slow-request", BOTH, 100.0))
    for nonce in (0, 0, 3):
        fleet.use_a_nonce_of_the_past(number=nonce, token=token, worker=0)
    fleet.use_a_jti_again(number=0, worker=0)
    fleet.break_the_store(fault=Fault("slow-request", BOTH, 3.0))
    for _ in range(2):
        fleet.use_a_jti_again(number=0, worker=0)
    fleet.break_the_store(fault=Fault("lose-reply", BOTH))
    fleet.use_a_nonce_of_the_past(number=2, token=token, worker=0)
    fleet.use_a_jti_again(number=0, worker=0)
    fleet.break_the_store(fault=Fault("slow-request", BOTH, 100.0))
    fleet.use_a_jti_again(number=0, worker=0)
    fleet.teardown()
    assert fleet.seen["200"] == 4
