"""Every proof of the hostile tables is rejected for what is wrong with it. Servers are sent the same elsewhere."""

from types import SimpleNamespace

import pytest

from dpop_asgi import InvalidProof, Reason
from tests.conformance.hostile_proofs import BY_REASON
from tests.conformance.rows import row
from tests.support.proofs import TOKEN, URI, judge

ROWS = [row(make, reason, name, name=name) for reason, rows in BY_REASON.items() for name, make in rows.items()]


@pytest.fixture
def sender(client):
    return SimpleNamespace(client=client, proof=lambda **changes: client.proof("GET", URI, TOKEN, **changes))


@pytest.mark.requirement(
    "R-4.1-02", "R-4.1-03", "R-4.2-01", "R-4.2-02", "R-4.2-04", "R-4.2-05", "R-4.2-06", "R-4.2-07", "R-4.2-08",
    "R-4.2-10", "R-4.2-11", "R-4.2-13", "R-4.3-02", "R-4.3-03", "R-4.3-04", "R-4.3-05", "R-4.3-08", "R-4.3-18",
    "R-8-01", "H-03", "H-04", "H-05",
)  # fmt: skip
@pytest.mark.parametrize(("make", "reason", "name"), ROWS)
def test_a_hostile_proof_is_rejected_for_what_is_wrong_with_it(sender, make, reason, name):
    with pytest.raises(InvalidProof) as rejected:
        judge(make(sender))
    assert rejected.value.reason is reason
    if reason in {Reason.CLAIM_MISSING, Reason.CLAIM_MALFORMED}:
        assert rejected.value.facts == {"claim": name.split()[0]}
