"""Thousands of changed proofs before the library and before a verifier by hand: both say the same.

Where the library refuses more, a rule of `rules.py` says so by name, and each rule is met here.
"""

from collections import Counter
from random import Random

import pytest

from tests.differential.comparison import compare
from tests.differential.drafts import draft
from tests.differential.drawn import Drawn
from tests.differential.mutations import MUTATIONS, mutated
from tests.differential.rules import RULES
from tests.differential.verifier import ALGORITHMS

PER_MUTATION = 16
SEVERAL = 800
nonces = pytest.mark.parametrize("nonces", [pytest.param(True, id="nonces"), pytest.param(False, id="no-nonces")])
algorithms = pytest.mark.parametrize("algorithm", ALGORITHMS)


def said(draft):
    return compare(draft.proofs(), draft.request)


@nonces
@algorithms
def test_a_correct_proof_is_accepted_by_both(algorithm, nonces):
    assert said(draft(algorithm, nonces=nonces)) == "accepted"


@algorithms
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_both_say_the_same_of_a_proof_with_one_change(mutation, algorithm, seed):
    random = Random(f"{mutation.__name__} {algorithm} {seed}")
    for number in range(PER_MUTATION):
        made = draft(algorithm, nonces=number % 4 != 3)
        mutation(Drawn(random.randbytes(64)), made)
        said(made)


@nonces
def test_both_say_the_same_of_proofs_with_several_changes(nonces, seed):
    random = Random(seed)
    counted = Counter(said(mutated(Drawn(random.randbytes(96)), nonces=nonces)) for _ in range(SEVERAL))
    # That both refuse everything would be no agreement worth having. With any seed: about an eighth is accepted.
    assert counted["accepted"] > SEVERAL / 20
    assert counted["refused"] > SEVERAL / 10
    assert sum(counted[name] for name in RULES) > SEVERAL / 100
