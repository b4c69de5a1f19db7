"""The input says what is changed in a correct proof before or after it is signed, or in the request."""

from tests.differential.comparison import compare
from tests.differential.drawn import Drawn
from tests.differential.library import Library
from tests.differential.mutations import mutated
from tests.differential.stopwatch import aside
from tests.differential.verifier import Request
from tests.fuzz.catalogue import Target


@aside
def _drawn(drawn: Drawn, *, nonces: bool) -> tuple[list[bytes], Request]:
    made = mutated(drawn, nonces=nonces)
    return made.proofs(), made.request


def make() -> Target:
    libraries = {nonces: Library(nonces=nonces) for nonces in (True, False)}

    def one(data: bytes) -> None:
        drawn = Drawn(data)
        nonces = drawn.below(4) != 3
        proofs, request = _drawn(drawn, nonces=nonces)
        compare(libraries[nonces], proofs, request)

    return one
