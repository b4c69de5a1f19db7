"""The input as it comes is the `DPoP` field: the whole decision, beside the verifier by hand."""

from tests.differential.comparison import compare
from tests.differential.drafts import draft
from tests.differential.verifier import ALGORITHMS
from tests.fuzz.catalogue import Target


def make() -> Target:
    requests = [draft(algorithm).request for algorithm in ALGORITHMS]

    def one(data: bytes) -> None:
        # The first byte says for which client's token the request is.
        compare([data[1:]], requests[data[0] % len(requests)] if data else requests[0])

    return one
