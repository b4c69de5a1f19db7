"""The input says what is changed in a correct proof before or after it is signed, or in the request."""

from tests.differential.comparison import compare
from tests.differential.drawn import Drawn
from tests.differential.mutations import mutated
from tests.differential.stopwatch import aside
from tests.differential.verifier import Request
from tests.fuzz.catalogue import Target


@aside
def _drawn(drawn: Drawn) -> tuple[list[bytes], Request]:
    made = mutated(drawn, nonces=drawn.below(4) != 3)
    return made.proofs(), made.request


def make() -> Target:
    return lambda data: compare(*_drawn(Drawn(data)))
