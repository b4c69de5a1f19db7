"""Every change of a correct proof, by name."""

from tests.differential.drafts import Draft, draft
from tests.differential.drawn import Drawn
from tests.differential.mutations_claims import CLAIM_MUTATIONS
from tests.differential.mutations_json import JSON_MUTATIONS
from tests.differential.mutations_key import KEY_MUTATIONS
from tests.differential.mutations_text import TEXT_MUTATIONS, Mutation
from tests.differential.verifier import ALGORITHMS

MUTATIONS: tuple[Mutation, ...] = (*TEXT_MUTATIONS, *JSON_MUTATIONS, *KEY_MUTATIONS, *CLAIM_MUTATIONS)


def mutated(drawn: Drawn, *, nonces: bool) -> Draft:
    """A correct proof of any algorithm with one to three changes, all of them drawn."""
    made = draft(drawn.pick(ALGORITHMS), nonces=nonces)
    for _ in range(1 + drawn.below(3)):
        drawn.pick(MUTATIONS)(drawn, made)
    return made
