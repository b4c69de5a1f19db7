"""A fleet with a store that fails: whatever happens in whatever order, each answer is the one that it must be.

`STATE_MACHINE_EXAMPLES=10000 pytest --timeout=0 tests/state_machine` looks longer.
"""

import pytest

from tests.state_machine.machine import examine
from tests.state_machine.rules import Fleet

# What an example is reduced to when it fails is worth the wait.
pytestmark = pytest.mark.timeout(900)

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
